"""Run a ``python`` block in the page's own module; with a caption it is a file as well."""

from sybil import Example
from sybil.evaluators.python import PythonEvaluator
from sybil.region import Lexeme

from docs._blocks.dependencies import names_of
from docs._blocks.page import page_of

execute = PythonEvaluator()


def run_python(example: Example) -> str | None:
    """Execute a block in the page's module; with a caption it is a file, and a whole program."""
    page = page_of(example.namespace)
    caption = example.region.lexemes.get("options", {}).get("caption")
    if caption:
        if "serve_forever(" in example.parsed:
            page.configure(caption, example.parsed)
        else:
            page.save(caption, page.servers.to_real(example.parsed))
        missing = names_of(example.parsed).needs
        if missing:
            return f"{caption} is a file, and has not in it: {', '.join(sorted(missing))}"
    example.parsed = Lexeme(page.servers.to_real(example.parsed), 0, example.parsed.line_offset)
    execute(example)
    return None
