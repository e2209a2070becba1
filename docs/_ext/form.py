"""The form of a page: ``.. in-short::`` opens it, and ``.. check::`` folds what only proves it."""

from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator


class InShortBox(nodes.container):
    """What an expert reads: a few lines and one listing."""


class CheckFold(nodes.container):
    """What only proves the page: folded, run and searchable."""


class CheckSummary(nodes.paragraph):
    """The line of a fold that opens it."""


class InShort(SphinxDirective):
    """The answer of a page, at its top."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the box.

        :raises DirectiveError: when it is empty, or the second on its page.
        """
        self.assert_has_content()
        if any(self.state.document.findall(InShortBox)):
            raise self.error(f"a page has one {self.name}::")
        box = InShortBox("", *self.parse_content_to_nodes())
        self.set_source_info(box)
        return [box]


class Check(SphinxDirective):
    """Blocks and sentences that prove the page or its numbers."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the fold.

        :raises DirectiveError: when it is empty.
        """
        self.assert_has_content()
        summary = CheckSummary("", "Checks")
        if self.arguments:
            title, problems = self.parse_inline(self.arguments[0])
            summary += [nodes.Text(": "), *title, *problems]
        fold = CheckFold("", summary, *self.parse_content_to_nodes())
        self.set_source_info(fold)
        return [fold]


def open_in_short(writer: HTML5Translator, _: nodes.Element) -> None:
    """Write a region with a name, which assistive technology lists."""
    writer.body.append(
        '<section class="in-short" id="in-short" aria-labelledby="in-short-name">\n'
        '<p class="in-short-name" id="in-short-name">In short</p>\n'
    )


def close_in_short(writer: HTML5Translator, _: nodes.Element) -> None:
    """Close the region."""
    writer.body.append("</section>\n")


def open_fold(writer: HTML5Translator, _: nodes.Element) -> None:
    """Write a fold that every browser opens by mouse, keyboard and a link into it."""
    writer.body.append('<details class="check">\n')


def close_fold(writer: HTML5Translator, _: nodes.Element) -> None:
    """Close the fold."""
    writer.body.append("</details>\n")


def open_summary(writer: HTML5Translator, _: nodes.Element) -> None:
    """Open the line with the name of the fold."""
    writer.body.append("<summary>")


def close_summary(writer: HTML5Translator, _: nodes.Element) -> None:
    """Close the line with the name of the fold."""
    writer.body.append("</summary>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add both directives: an extension of Sphinx."""
    app.add_node(InShortBox, html=(open_in_short, close_in_short))
    app.add_node(CheckFold, html=(open_fold, close_fold))
    app.add_node(CheckSummary, html=(open_summary, close_summary))
    app.add_directive("in-short", InShort)
    app.add_directive("check", Check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
