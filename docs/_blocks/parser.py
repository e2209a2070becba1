"""Find every code block of a page and pair it with what runs it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sybil import Document, Example, Region
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.rest.lexers import DirectiveLexer
from sybil.typing import Evaluator, Lexer

from docs._blocks.kinds.pycon import prompts
from docs._blocks.left_out import left_out_by_name
from docs._blocks.page import LeftOut, page_of
from docs._blocks.refused import OPTIONS, REFUSED, REFUSED_IN_MARKDOWN, refuse

#: What runs a block: one evaluator, or for an interactive session a parser of its prompts.
Runner = Evaluator | DocTestStringParser

Item = TypeVar("Item")

BLOCKS = DirectiveLexer("code-block")
INCLUDES = DirectiveLexer("literalinclude")
FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<arguments>[^\n]*)\n"))


def line_of(document: Document, region: Region) -> int:
    """Return the line of a page, counted from 1, on which a region starts."""
    return document.text.count("\n", 0, region.start) + 1


def language_of(block: Region) -> str:
    """Return the language that a block names, or nothing."""
    return (block.lexemes.get("arguments") or "").strip()


def brings_app(example: Example) -> bool:
    """Tell whether a block, or the file that it includes, brings the page's app."""
    lexemes = example.region.lexemes
    if lexemes.get("directive") == "literalinclude":
        included = Path(example.path).parent / lexemes["arguments"].strip()
        return bool(re.search(r"^app = ", included.read_text("utf-8"), re.MULTILINE))
    source = str(lexemes.get("source", example.parsed))
    return lexemes["language"] in ("python", "pycon") and bool(
        re.search(r"\bapp\s*=|import .*\bapp\b", source)
    )


def in_order(items: Iterable[Item], example_of: Callable[[Item], Example]) -> list[Item]:
    """Put the blocks of a page in the order in which they run.

    A page shows the bytes before the code, but the code must run before the bytes: the ``http``
    blocks above the page's first app run right after the block that brings it.

    :param items: the blocks, in the order in which they stand.
    :param example_of: returns the example of one of them.
    """
    early: list[Item] = []
    ordered: list[Item] = []
    waiting = True
    for item in items:
        example = example_of(item)
        if waiting and example.region.lexemes.get("language") == "http":
            early.append(item)
            continue
        ordered.append(item)
        if waiting and "language" in example.region.lexemes and brings_app(example):
            ordered += early
            waiting = False
    return ordered if not waiting else ordered + early


def run_above(example: Example) -> None:
    """Run the blocks that come before one on its page, except those that ran already.

    :param example: the block that is about to run.
    """
    page = page_of(example.namespace)
    if not page.order:
        page.order = in_order(example.document.examples(), lambda block: block)
    for above in page.order:
        if above.start == example.start:
            break
        if above.start not in page.ran:
            page.ran.add(above.start)
            with suppress(LeftOut):  # what needs it is left out by itself
                above.evaluate()
    page.ran.add(example.start)


class BlockParser:
    """A Sybil parser that gives every block of a document its runner, and refuses the others.

    :param runners: for each kind of block, by the language it names, what runs it.
    :param include: what runs a file that a page includes.
    :param lexer: what finds the blocks; those of reStructuredText by default.
    """

    def __init__(
        self, runners: Mapping[str, Runner], include: Evaluator, lexer: Lexer = BLOCKS
    ) -> None:
        self.runners = runners
        self.include = include
        self.lexer = lexer

    def __call__(self, document: Document) -> Iterator[Region]:
        """Yield a region for all that must run, in the order of the page."""
        end = 0
        for block in sorted(self.find(document), key=lambda region: region.start):
            if block.start < end:
                continue  # shown inside another block
            end = block.end
            for region in self.assign(block, document):
                region.lexemes |= {
                    "block": line_of(document, block),
                    "language": language_of(block),
                }
                if region.evaluator:
                    region.evaluator = left_out_by_name(region.evaluator)
                yield region

    def find(self, document: Document) -> Iterable[Region]:
        """Return every block, include and piece of refused markup of a document."""
        yield from self.lexer(document)
        refused = REFUSED_IN_MARKDOWN
        if self.lexer is BLOCKS:
            yield from INCLUDES(document)
            refused = REFUSED
        for pattern, reason in refused.items():
            for found in re.finditer(pattern, document.text, re.MULTILINE):
                yield Region(*found.span(), evaluator=refuse(reason))

    def assign(self, block: Region, document: Document) -> Iterator[Region]:
        """Give one block its runner."""
        if block.evaluator:
            yield block
            return
        block.parsed = block.lexemes["source"]
        unknown = block.lexemes.get("options", {}).keys() - OPTIONS
        if unknown:
            block.evaluator = refuse(f"nothing runs a block with {', '.join(sorted(unknown))}")
            yield block
            return
        if block.lexemes.get("directive") == "literalinclude":
            block.evaluator = self.include
            yield block
            return
        language = language_of(block)
        runner = self.runners.get(language)
        if isinstance(runner, DocTestStringParser):
            yield from prompts(block, runner, document)
            return
        block.evaluator = runner or refuse(
            f"nothing runs {f'a {language!r} block' if language else 'a block of no language'}: "
            f"write one of {', '.join(self.runners)}, or teach conftest.py to run it"
        )
        yield block
