"""Find every code block of a page and pair it with what runs it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from doctest import DONT_ACCEPT_TRUE_FOR_1, ELLIPSIS
from pathlib import Path
from typing import TypeVar

from sybil import Document, Example, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.rest.lexers import DirectiveLexer
from sybil.typing import Evaluator, Lexer

from docs._blocks.page import page_of

#: What runs a block: one evaluator, or for an interactive session a parser of its prompts.
Runner = Evaluator | DocTestStringParser

Item = TypeVar("Item")

#: Options that leave a block to be what it runs and what every reader sees.
OPTIONS = {
    "caption",
    "emphasize-lines",
    "end-at",
    "end-before",
    "language",
    "pyobject",
    "start-after",
    "start-at",
}

BLOCKS = DirectiveLexer("code-block")
INCLUDES = DirectiveLexer("literalinclude")
FENCES = RawFencedCodeBlockLexer(re.compile(r"(?P<arguments>[^\n]*)\n"))

#: Markup of Markdown that shows code and that nothing would run, and what to write instead.
REFUSED_IN_MARKDOWN = {
    r"^(?: {4}|\t)\S|<pre\b": "nothing runs this: write a fence with a language",
    r"<!--(?:(?!-->)[\s\S])*?^```": "a block that no reader sees",
}

#: Markup that shows code and that nothing would run, and what to write instead.
REFUSED = {
    r"^[ \t]*\.\.[ \t]+(?:code-block|literalinclude)[ \t]*:(?!:)": (
        "one colon makes this a comment, which no reader sees: write two"
    ),
    r"^[ \t]*\.\.[ \t]+(?:invisible-|skip:|clear-namespace|only[ \t]*::)": (
        "a block that no reader sees: what a page needs stands on the page"
    ),
    r"^[ \t]*\.\.[ \t]+(?:code|sourcecode|parsed-literal|prompt|doctest|test\w+)[ \t]*::": (
        "nothing runs this directive: write '.. code-block:: LANGUAGE'"
    ),
    r"^(?![ \t]*\.\.[ \t]).*::[ \t]*$": (
        "nothing runs a literal block after '::': write '.. code-block:: LANGUAGE'"
    ),
    r"^[ \t]*\.\.[ \t]+raw[ \t]*::": (
        "nothing runs what a page shows raw: write '.. code-block:: LANGUAGE'"
    ),
    r"^[ \t]*(?:[-*+]|\d+\.|#\.)[ \t]+(?:[-*][ \t]+)?\.\.[ \t]+(?:code-block|literalinclude)": (
        "nothing finds a block on the line of a list item: indent it below the item"
    ),
    r"^[ \t]*>>> ": "nothing runs a prompt outside a block: write '.. code-block:: pycon'",
}


def refuse(reason: str) -> Evaluator:
    """Make an evaluator that fails with a reason.

    :param reason: what is wrong with the block, and what to write instead.
    :returns: an evaluator whose failure carries the page and the line.
    """
    return lambda example: f"{example.path}:{example.line}: {reason}"


def line_of(document: Document, region: Region) -> int:
    """Return the line of a page, counted from 1, on which a region starts."""
    return document.text.count("\n", 0, region.start) + 1


def language_of(block: Region) -> str:
    """Return the language that a block names, or nothing."""
    return (block.lexemes.get("arguments") or "").strip()


class PromptEvaluator(DocTestEvaluator):
    """Run a prompt as a doctest; an address on the page leads to the server behind it."""

    def __call__(self, example: Example) -> str:
        """Run one prompt and return the difference from what the page shows, if there is one."""
        example.parsed.source = page_of(example.namespace).to_real(example.parsed.source)
        return super().__call__(example)


def session_parser() -> DocTestStringParser:
    """Make what runs a ``pycon`` block: a doctest for each prompt."""
    return DocTestStringParser(PromptEvaluator(ELLIPSIS | DONT_ACCEPT_TRUE_FOR_1))


def prompts(block: Region, runner: DocTestStringParser, document: Document) -> Iterator[Region]:
    """Split an interactive session into its prompts, each a region of its own."""
    source = block.lexemes["source"]
    if not source.lstrip().startswith(">>> "):
        block.evaluator = refuse("a 'pycon' block starts with a '>>> ' prompt")
        yield block
        return
    # The text as it stands on the page, so that each prompt keeps its line.
    start = end = block.start + source.offset
    for prompt in honest(runner(document.text[start : block.end], document.path)):
        prompt.start += start
        prompt.end += start
        if document.text[end : prompt.start].strip():
            prompt.evaluator = refuse("nothing compares the text above this prompt")
        end = prompt.end
        yield prompt
    if document.text[end : block.end].strip():
        yield Region(end, block.end, evaluator=refuse("nothing compares text after an empty line"))


def honest(regions: Iterable[Region]) -> Iterator[Region]:
    """Refuse prompts that tell doctest to look away, which Sphinx hides from readers."""
    for prompt in regions:
        if re.search(r"#\s*doctest:", prompt.parsed.source):
            prompt.evaluator = refuse("a doctest directive is hidden from readers: write '...'")
        yield prompt


def docstring_prompts(document: Document) -> Iterator[Region]:
    """Find the prompts of a docstring: a Sybil parser."""
    return honest(session_parser()(document.text, document.path))


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
