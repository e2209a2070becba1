"""Run a ``python`` block in the page's own module; with a caption it is a file as well."""

from collections.abc import Iterator
from contextlib import contextmanager

from sybil import Example
from sybil.evaluators.python import PythonEvaluator
from sybil.region import Lexeme

from docs._blocks.dependencies import names
from docs._blocks.page import page_of

execute = PythonEvaluator()


@contextmanager
def newest_app_served(example: Example) -> Iterator[None]:
    """Let an app that a block brings take the place of a server that the page started."""
    before = example.namespace.get("app")
    yield
    if example.namespace.get("app") is not before:
        page_of(example.namespace).servers.renew_app()


def run_python(example: Example) -> str | None:
    """Execute a block in the page's module; with a caption it is a file, and a whole program."""
    page = page_of(example.namespace)
    caption = example.region.lexemes.get("options", {}).get("caption")
    if caption:
        if "serve_forever(" in example.parsed:
            page.configure(caption, example.parsed)
        else:
            page.save(caption, page.servers.to_real(example.parsed))
        missing = names(example.parsed).needs
        if missing:
            return f"{caption} is a file, and has not in it: {', '.join(sorted(missing))}"
    example.parsed = Lexeme(page.servers.to_real(example.parsed), 0, example.parsed.line_offset)
    with newest_app_served(example):
        execute(example)
    return None
