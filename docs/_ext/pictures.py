"""Show what is drawn, on light pages and on dark ones.

``.. figure-of:: NAME`` shows a figure of ``measurements/publish/figures.py``, and
``.. drawing:: NAME`` the file ``_drawings/NAME.svg``. Both have an ``:alt:``.
"""

import os
from html import escape
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib import rc_context
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from docs.measurements.lab.results import RECORDED
from docs.measurements.publish import figures
from docs.measurements.publish.drawing import DARK, LIGHT, style


class Drawn(SphinxDirective):
    """A directive with a name and a text alternative."""

    required_arguments = 1
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def alternative(self) -> str:
        """Return what is read out in place of the drawing.

        :raises DirectiveError: when the page has nothing.
        """
        if "alt" not in self.options:
            raise self.error(f"{self.name}:: {self.arguments[0]} has no :alt:")
        return " ".join(self.options["alt"].split())


class FigureOf(Drawn):
    """Draw the function of that name for light pages and for dark ones, as SVG."""

    def run(self) -> list[nodes.Node]:
        """Return both figures; the style sheet shows the one that fits."""
        name, alt = self.arguments[0], self.alternative()
        draw = vars(figures).get(name)
        if not draw:
            raise self.error(f"no function of figures.py is called {name}")
        if not self.config.draw_figures:
            return []
        for source in (*Path(figures.__file__).parent.glob("*.py"), *RECORDED.glob("*.csv")):
            self.env.note_dependency(str(source))
        shown: list[nodes.Node] = []
        for mode, theme in (("light", LIGHT), ("dark", DARK)):
            file = Path(self.env.doctreedir, "figures", f"{name}-{mode}.svg")
            file.parent.mkdir(exist_ok=True)
            # Text stays text, in a reader's own font, and two builds draw the same bytes.
            with rc_context(style(theme) | {"svg.fonttype": "none", "svg.hashsalt": name}):
                figure = draw(theme).figure
                figure.savefig(file, metadata={"Date": None})
            place = os.path.relpath(file, self.env.srcdir)
            # A browser loads what is lazy when it is about to be seen: one of the two.
            image = nodes.image(uri=f"/{place}", alt=alt, classes=[f"only-{mode}"], loading="lazy")
            # With a size, a link to a section below arrives there before the figure is loaded.
            width, height = figure.get_size_inches() * 96  # CSS pixels in an inch
            image["width"], image["height"] = f"{width:.0f}", f"{height:.0f}"
            shown.append(nodes.figure("", image))
        return shown


class InlineSvg(nodes.General, nodes.Element):
    """An SVG that is a part of the page."""


def visit_inline_svg(writer: HTML5Translator, node: nodes.Element) -> None:
    """Write an SVG with its text alternative."""
    writer.body.append(f'<div role="img" aria-label="{escape(node["alt"])}">{node["svg"]}</div>')
    raise nodes.SkipNode


class Drawing(Drawn):
    """Put a file into the page itself, where it has the colours of ``guide.css``."""

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        file = Path(self.env.srcdir, "_drawings", f"{self.arguments[0]}.svg")
        self.env.note_dependency(str(file))
        return [InlineSvg(alt=self.alternative(), svg=file.read_text("utf-8"))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add both directives: an extension of Sphinx."""
    app.add_config_value("draw_figures", True, "env")  # who reads code alone can do without
    app.add_node(InlineSvg, html=(visit_inline_svg, None))
    app.add_directive("figure-of", FigureOf)
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
