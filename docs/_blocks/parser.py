"""Find every code block of a page and pair it with what runs it."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sybil import Document, Example, Region
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.rest.lexers import DirectiveLexer
from sybil.typing import Evaluator, Lexer

from docs._blocks import left_out
from docs._blocks.page import LeftOut, page_of
from docs._blocks.refused import RULES, refuse


class Splitter(NamedTuple):
    """What splits a block into regions that run by themselves, as a session into its prompts."""

    split: Callable[[Region, Document], Iterator[Region]]


#: What runs a block: one evaluator, or what splits it into parts that have one each.
Runner = Evaluator | Splitter

BLOCKS = DirectiveLexer("code-block")
INCLUDES = DirectiveLexer("literalinclude")
FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<arguments>[^\n]*)\n"))


def kind_of(block: Region) -> str:
    """Return the language that a block names, or the directive that includes a file."""
    if block.lexemes.get("directive") == "literalinclude":
        return "literalinclude"
    return (block.lexemes.get("arguments") or "").strip()


def brings_app(block: Region, document: Document) -> bool:
    """Tell whether a block, or the file that it includes, brings the page's app."""
    kind = block.lexemes["kind"]
    if kind == "literalinclude":
        included = Path(document.path).parent / block.lexemes["arguments"].strip()
        return bool(re.search(r"^app = ", included.read_text("utf-8"), re.MULTILINE))
    source = document.text[block.start : block.end]
    return kind in ("python", "pycon") and bool(re.search(r"\bapp\s*=|import .*\bapp\b", source))


def turn(example: Example) -> int:
    """Return where a block runs, as a place in the text of its page.

    A page shows the bytes before the code, but the code must run before the bytes: the ``http``
    blocks above the page's first app run right after the block that brings it.
    """
    return int(example.region.lexemes.get("turn", example.start))


def on_its_page(evaluator: Evaluator) -> Evaluator:
    """Make an evaluator that lets the page know what a block did to it.

    A block is left out where it needs what another one, which was left out, would have left.
    An app that it brings takes the place of a server that the page started.

    :param evaluator: what runs the block.
    """

    def evaluate(example: Example) -> str | None:
        page, app = page_of(example.namespace), example.namespace.get("app")
        try:
            if page.left_out:
                left_out.check_needs(example)
            result: str | None = evaluator(example)
        except LeftOut as reason:
            left_out.lose(example, reason)
            raise
        if page.left_out:
            left_out.keep(example)
        if example.namespace.get("app") is not app:
            page.servers.renew_app()
        return result

    return evaluate


class BlockParser:
    """A Sybil parser that gives every block of a document its runner, and refuses the others.

    :param runners: for each kind of block, by the language or the directive, what runs it.
    :param lexer: what finds the blocks; those of reStructuredText by default.
    """

    def __init__(self, runners: Mapping[str, Runner], lexer: Lexer = BLOCKS) -> None:
        self.runners = runners
        self.lexer = lexer

    def __call__(self, document: Document) -> Iterator[Region]:
        """Yield a region for all that must run, in the order of the page."""
        early: list[Region] = []
        end, waiting = 0, True
        for block in sorted(self.find(document), key=lambda region: region.start):
            if block.start < end:
                continue  # shown inside another block
            end = block.end
            line, kind = document.text.count("\n", 0, block.start) + 1, kind_of(block)
            for region in self.assign(block, kind, document):
                region.lexemes |= {"block": line, "kind": kind}
                if region.evaluator:
                    region.evaluator = on_its_page(region.evaluator)
                if waiting and kind == "http":
                    early.append(region)
                elif waiting and brings_app(region, document):
                    waiting = False
                    for bytes_before in early:
                        bytes_before.lexemes["turn"] = region.end
                yield region

    def find(self, document: Document) -> Iterator[Region]:
        """Yield every block, include and piece of refused markup of a document."""
        yield from self.lexer(document)
        if self.lexer is BLOCKS:
            yield from INCLUDES(document)
        for pattern, reason in RULES["rst" if self.lexer is BLOCKS else "markdown"].items():
            for found in re.finditer(pattern, document.text, re.MULTILINE):
                yield Region(*found.span(), evaluator=refuse(reason))

    def assign(self, block: Region, kind: str, document: Document) -> Iterator[Region]:
        """Give one block its runner, unless it was refused already."""
        if not block.evaluator:
            block.parsed = block.lexemes["source"]
            unknown = block.lexemes.get("options", {}).keys() - RULES["options"]
            runner = self.runners.get(kind)
            if unknown:
                runner = refuse(f"nothing runs a block with {', '.join(sorted(unknown))}")
            if isinstance(runner, Splitter):
                yield from runner.split(block, document)
                return
            block.evaluator = runner or refuse(
                f"nothing runs {f'a {kind!r} block' if kind else 'a block of no language'}: "
                f"write one of {', '.join(self.runners)}, or teach conftest.py to run it"
            )
        yield block
