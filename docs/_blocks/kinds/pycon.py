"""Run a ``pycon`` block: each prompt of the session is a doctest."""

import re
from collections.abc import Iterable, Iterator
from doctest import DONT_ACCEPT_TRUE_FOR_1, ELLIPSIS

from sybil import Document, Example, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser

from docs._blocks.page import page_of
from docs._blocks.refused import refuse


class PromptEvaluator(DocTestEvaluator):
    """Run a prompt as a doctest; an address on the page leads to the server behind it."""

    def __call__(self, example: Example) -> str:
        """Run one prompt and return the difference from what the page shows, if there is one."""
        example.parsed.source = page_of(example.namespace).servers.to_real(example.parsed.source)
        return super().__call__(example)


#: Runs a ``pycon`` block: a doctest for each prompt.
run_prompts = DocTestStringParser(PromptEvaluator(ELLIPSIS | DONT_ACCEPT_TRUE_FOR_1))


def prompts(block: Region, document: Document) -> Iterator[Region]:
    """Split an interactive session into its prompts, each a region of its own."""
    source = block.lexemes["source"]
    if not source.lstrip().startswith(">>> "):
        block.evaluator = refuse("a 'pycon' block starts with a '>>> ' prompt")
        yield block
        return
    # The text as it stands on the page, so that each prompt keeps its line.
    start = end = block.start + source.offset
    for prompt in honest(run_prompts(document.text[start : block.end], document.path)):
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
    return honest(run_prompts(document.text, document.path))
