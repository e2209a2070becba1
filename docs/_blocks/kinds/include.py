"""Run what a page includes: a file of the examples, or the example of the README."""

from importlib import import_module
from pathlib import Path

from sybil import Document, Example

from docs._blocks.page import page_of
from docs._blocks.parser import FENCES
from docs._system import ROOT


def include(example: Example) -> str | None:
    """Run what a page includes: a file of ``examples/``, or the example of the README.

    A module is imported and the page gets its names. A template or a script is saved in the
    page's folder.
    """
    page = page_of(example.namespace)
    file = (Path(example.path).parent / example.region.lexemes["arguments"].strip()).resolve()
    text = file.read_text("utf-8")
    if file == ROOT / "README.md":
        fences = FENCES(Document(text, str(file)))
        python = next(block for block in fences if block.lexemes["arguments"] == "python")
        exec(compile(python.lexemes["source"], str(file), "exec"), example.namespace)
        return None
    if not file.is_relative_to(ROOT / "examples"):
        return f"a page includes files of examples/, and {file.name} is none"
    inside = file.relative_to(ROOT / "examples")
    if inside.suffix == ".py":
        module = import_module(".".join(["examples", *inside.with_suffix("").parts]))
        names = vars(module).items()
        example.namespace.update({name: value for name, value in names if name[:2] != "__"})
    else:
        page.save(str(inside), text)
    return None
