"""Run what a page includes: a file of the examples, or the example of the README."""

from importlib import import_module
from pathlib import Path

from sybil import Document, Example

from docs._blocks.kinds.python import newest_app_served
from docs._blocks.page import ROOT, page_of
from docs._blocks.parser import FENCES


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
