"""What Sphinx shows of the pages: as a program, it reads them and prints what it found."""

import ast
import gc
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from docutils import nodes
from sphinx.application import Sphinx

from docs._blocks.proof import Place
from docs._system import ROOT

DOCS = ROOT / "docs"

#: The directive with which a page shows blocks of another file: of the README, of a module.
SHOWS = {".md": ".. include::", ".py": ".. auto"}

#: The extensions that show blocks, or that may find a page wrong. The others take half of the time.
EXTENSIONS = [
    "sphinx.ext.autodoc",
    *(f"docs._ext.{each}" for each in ("examples_zip", "form", "pictures", "values")),
]


def showing(files: set[Path]) -> list[str]:
    """Return the pages that show blocks of some files, by their names below ``docs/``."""
    directives = [SHOWS[suffix] for suffix in {file.suffix for file in files} - {".rst"}]
    return [
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.rst")
        if "_build" not in page.parts
        if page in files or any(each in page.read_text("utf-8") for each in directives)
    ]


def doctrees(pages: list[str]) -> list[nodes.document]:
    """Return what Sphinx makes of some pages.

    :param pages: their names below ``docs/``.
    """
    own: dict[str, object] = {"extensions": EXTENSIONS, "draw_figures": False, "smartquotes": False}
    own |= {"include_patterns": pages, "root_doc": pages[0].removesuffix(".rst")}
    with TemporaryDirectory(prefix="doctrees-") as folder:
        app = Sphinx(DOCS, DOCS, folder, folder, "dummy", own, status=None)
        return [app.env.get_doctree(name) for name in app.builder.read()]


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
        inside = ast.iter_child_nodes(scope)
        scope = next((node for node in inside if getattr(node, "name", "") == part), scope)
    docstring: ast.stmt = vars(scope)["body"][0]
    lines = [line.strip() for line in source.splitlines()]
    return lines.index(text, docstring.lineno - 1) + 1


def literal_blocks(documents: Iterable[nodes.document], files: set[str]) -> dict[Place, str]:
    """Return every block of code that Sphinx shows from some files, with its first line.

    :param documents: what Sphinx made of each page.
    :param files: pages, and modules whose docstrings stand on pages.
    """
    shown: dict[Place, str] = {}
    for document in documents:
        for kind in (nodes.literal_block, nodes.doctest_block, nodes.raw):
            for block in document.findall(kind):
                first_line = block.astext().strip().partition("\n")[0]
                source = block.source or document["source"]
                file, _, name = str(source).partition(":docstring of ")
                on_page = str(document["source"]) in files and not name
                if file in files or on_page:
                    line = docstring_line(Path(file), name, first_line) if name else block.line
                    shown[file, line or 0] = first_line
    return shown


def not_read(documents: Iterable[nodes.document], files: set[str]) -> list[str]:
    """Name what Sphinx could not read on some pages, such as a value that is not recorded.

    :param documents: what Sphinx made of each page.
    :param files: the pages.
    """
    return sorted(
        f"{wrong.source}:{wrong.line}: {wrong.astext()}: {wrong.get('reason', 'wrong markup')}"
        for document in documents
        if str(document["source"]) in files
        for wrong in document.findall(nodes.problematic)
    )


if __name__ == "__main__":
    gc.disable()  # which would take a third of the time
    asked_for = set(sys.argv[1:])
    documents = doctrees(showing(set(map(Path, asked_for))))
    blocks = [[*place, line] for place, line in literal_blocks(documents, asked_for).items()]
    print(json.dumps([blocks, not_read(documents, asked_for)]))
