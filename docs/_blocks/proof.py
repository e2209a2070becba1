"""The proof that the pages keep the promise: every block that a reader sees was run."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from pickle import load
from tempfile import TemporaryDirectory

from docutils import nodes

from docs._blocks.page import ROOT

#: A place in the project: a file, and a line counted from 1.
Place = tuple[str, int]


def doctrees() -> Iterator[nodes.document]:
    """Read every page with Sphinx and yield what it made of each.

    :raises RuntimeError: when Sphinx cannot read the pages.
    """
    docs = ROOT / "docs"
    with TemporaryDirectory(prefix="doctrees-") as folder:
        trees = f"{folder}/doctrees"
        command = ["-m", "sphinx", "-q", "-b", "dummy", "-d", trees, str(docs), f"{folder}/out"]
        built = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        if built.returncode:
            raise RuntimeError(f"Sphinx could not read the pages:\n{built.stderr}")
        for tree in Path(trees).rglob("*.doctree"):
            with tree.open("rb") as file:
                document: nodes.document = load(file)
            yield document


def docstring_line(file: Path, name: str, text: str) -> int:
    """Return the line of a module on which a docstring says something.

    The line that Sphinx gives for it differs between versions of Sphinx.

    :param file: the module.
    :param name: the full name of what has the docstring, such as ``examples.rows.load``.
    :param text: the line of the docstring, without its indentation.
    :raises ValueError: when it stands nowhere in or below the docstring.
    """
    source = file.read_text("utf-8")
    scope: ast.AST = ast.parse(source)
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for part in name.removeprefix(module).strip(".").split("."):
        for node in ast.iter_child_nodes(scope):
            if getattr(node, "name", None) == part:
                scope = node
    docstring: ast.stmt = vars(scope)["body"][0]
    lines = [line.strip() for line in source.splitlines()]
    return lines.index(text, docstring.lineno - 1) + 1


def place(block: nodes.Element) -> Place:
    """Return where a block stands in the project, be it on a page or in a docstring."""
    source, _, name = str(block.source).partition(":docstring of ")
    if name:
        return source, docstring_line(Path(source), name, first_line(block))
    return source, block.line or 0


def first_line(block: nodes.Element) -> str:
    """Return the first line of a block."""
    return block.astext().strip().partition("\n")[0]


def literal_blocks(files: Iterable[Path]) -> dict[Place, str]:
    """Return every block of code that Sphinx shows from some files, with its first line.

    :param files: pages, and modules whose docstrings stand on pages.
    """
    wanted = {str(file) for file in files}
    shown: dict[Place, str] = {}
    for document in doctrees():
        for kind in (nodes.literal_block, nodes.doctest_block, nodes.raw):
            for block in document.findall(kind):
                where = place(block)
                on_page = str(document["source"]) in wanted and f"{ROOT}/examples" not in where[0]
                if where[0] in wanted or on_page:
                    shown[where] = first_line(block)
    return shown


def unproved(files: Iterable[Path], ran: set[Place], red: set[Place]) -> list[str]:
    """Name each block that readers see and that was not run, and each that ran unseen.

    :param files: the pages and modules that the suite read.
    :param ran: where the blocks stand that ran.
    :param red: where those of them stand that failed, and so were named already.
    """
    shown = literal_blocks(files)
    never = [f"{file}:{line}: never run: {shown[file, line]}" for file, line in shown.keys() - ran]
    unseen = [
        f"{file}:{line}: run, but no reader sees it"
        for file, line in ran - red - shown.keys()
        if file.endswith(".rst")
    ]
    return sorted(never + unseen)
