"""Run an ``rst`` block, which shows how to write a page, as a page of its own."""

from sybil import Document, Example
from sybil.typing import Evaluator, Parser

from docs._blocks.page import close_page, open_page
from docs._blocks.parser import turn


def nested_page(parser: Parser) -> Evaluator:
    """Make an evaluator that reads a block as a page and runs every block in it.

    A failure names its line on the page around it.

    :param parser: what finds the blocks of a page.
    """

    def run_page(example: Example) -> str | None:
        above = "\n" * (example.line + example.parsed.line_offset)
        document = Document(above + example.parsed, example.path)
        for region in parser(document):
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

    return run_page
