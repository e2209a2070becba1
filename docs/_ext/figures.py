"""``.. figure-of:: NAME`` shows a figure of ``measurements/publish/figures.py``, light and dark."""

import os
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from matplotlib import rc_context
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.measurements.lab.results import RECORDED
from docs.measurements.publish import figures
from docs.measurements.publish.drawing import DARK, LIGHT


class FigureOf(SphinxDirective):
    """Draw the function of that name for light pages and for dark ones, as SVG."""

    required_arguments = 1
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return both figures; the style sheet shows the one that fits."""
        (name,) = self.arguments
        try:
            draw, alt = vars(figures)[name], self.options["alt"]
        except KeyError as missing:
            raise self.error(f"no figure or option {missing}") from missing
        for source in (*Path(figures.__file__).parent.glob("*.py"), *RECORDED.glob("*.csv")):
            self.env.note_dependency(str(source))
        shown: list[nodes.Node] = []
        for mode, theme in (("light", LIGHT), ("dark", DARK)):
            file = Path(self.env.doctreedir, "figures", f"{name}-{mode}.svg")
            file.parent.mkdir(exist_ok=True)
            # Text stays text, in a reader's own font, and two builds draw the same bytes.
            with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
                draw(theme).figure.savefig(file, metadata={"Date": None})
            place = os.path.relpath(file, self.env.srcdir)
            image = nodes.image(uri=f"/{place}", alt=alt, classes=[f"only-{mode}"])
            shown.append(nodes.figure("", image))
        return shown


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive: an extension of Sphinx."""
    app.add_directive("figure-of", FigureOf)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
