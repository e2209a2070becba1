"""Run the blocks that are files: a template, a captioned program, an included example."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.region import Lexeme

from docs._blocks.names import names
from docs._blocks.page import ROOT, page_of
from docs._blocks.reading import FENCES

execute = PythonEvaluator()


def save_template(example: Example) -> str | None:
    """Save a template in the page's folder, under the name in its caption."""
    caption = example.region.lexemes["options"].get("caption", "")
    if not re.fullmatch(r"templates/[\w/.-]*\w", caption):
        return "a template needs a caption such as ':caption: templates/page.html'"
    try:
        Environment().parse(example.parsed)
    except TemplateSyntaxError as error:
        return f"line {error.lineno} of the template: {error.message}"
    page_of(example.namespace).save(caption, example.parsed)
    return None


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
        missing, _ = names(example.parsed)
        if missing:
            return f"{caption} is a file, and has not in it: {', '.join(sorted(missing))}"
    example.parsed = Lexeme(page.servers.to_real(example.parsed), 0, example.parsed.line_offset)
    with newest_app_served(example):
        execute(example)
    return None


def include(example: Example) -> str | None:
    """Run what a page includes: a file of ``examples/``, or the example of the README.

    A module is imported and the page gets its names. A template is saved in the page's folder, and
    so is a module whose caption is its own name, for a program of the page to import.
    """
    file = (Path(example.path).parent / example.region.lexemes["arguments"].strip()).resolve()
    if not file.is_relative_to(ROOT):
        return f"a page includes files of examples/, and {file.name} is outside of the project"
    inside = file.relative_to(ROOT)
    if inside.name == "README.md":
        readme = Document(file.read_text("utf-8"), str(file))
        python = next(block for block in FENCES(readme) if block.lexemes["arguments"] == "python")
        with newest_app_served(example):
            exec(compile(python.lexemes["source"], str(file), "exec"), example.namespace)
        return None
    if inside.parts[0] != "examples":
        return f"a page includes files of examples/, and {inside} is none"
    if inside.suffix == ".py":
        module = import_module(".".join(inside.with_suffix("").parts))
        names = vars(module).items()
        with newest_app_served(example):
            example.namespace.update({name: value for name, value in names if name[:2] != "__"})
        if example.region.lexemes["options"].get("caption") == inside.name:
            page_of(example.namespace).save(inside.name, file.read_text("utf-8"))
    else:
        page_of(example.namespace).save("/".join(inside.parts[1:]), file.read_text("utf-8"))
    return None
