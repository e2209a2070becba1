"""Run an ``rst`` block, which shows how to write a page, as a page of its own."""

from sybil import Document, Example
from sybil.typing import Parser

from docs._blocks.page import close_page, open_page
from docs._blocks.parser import turn


class NestedPage:
    """An evaluator that reads a block as a page and runs every block in it.

    :param parser: what finds the blocks of a page.
    """

    def __init__(self, parser: Parser) -> None:
        self.parser = parser

    def __call__(self, example: Example) -> str | None:
        """Run the page that the block shows; a failure names its line on the page around it."""
        above = "\n" * (example.line + example.parsed.line_offset)
        document = Document(above + example.parsed, example.path)
        for region in self.parser(document):
            document.add(region)
        if not document.regions:
            return "an 'rst' block shows a page, and this one has no block to run"
        open_page(document.namespace)
        try:
            for inner in sorted(document.examples(), key=turn):
                inner.evaluate()
        finally:
            close_page(document.namespace)
        return None
