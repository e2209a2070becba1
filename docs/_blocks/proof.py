"""The proof that the pages keep the promise: every block that a reader sees was run."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from pickle import loads
from tempfile import mkdtemp

from docutils import nodes

from docs._system import ROOT

DOCS = ROOT / "docs"

#: The directive with which a page shows blocks of another file: of the README, of a module.
SHOWS = {".md": ".. include::", ".py": ".. auto"}

#: The extensions that show blocks, or that may find a page wrong. The others take half of the time.
EXTENSIONS = [
    "sphinx.ext.autodoc",
    *(f"docs._ext.{each}" for each in ("examples_zip", "form", "pictures", "values")),
]

#: A place in the project: a file, and a line counted from 1.
Place = tuple[str, int]


def showing(files: set[Path]) -> list[str]:
    """Return the pages that show blocks of some files, by their names below ``docs/``."""
    directives = [SHOWS[suffix] for suffix in {file.suffix for file in files} - {".rst"}]
    return [
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.rst")
        if "_build" not in page.parts
        if page in files or any(each in page.read_text("utf-8") for each in directives)
    ]


class Reading:
    """Sphinx reading pages, in a process that goes on beside the tests.

    :param files: the pages and modules whose blocks it must find.
    """

    def __init__(self, files: set[Path]) -> None:
        self.folder = Path(mkdtemp(prefix="doctrees-"))
        pages = showing(files)
        only = [
            *("-D", f"include_patterns={','.join(pages)}", "-D", f"root_doc={pages[0][:-4]}"),
            *("-D", f"extensions={','.join(EXTENSIONS)}"),
            *("-D", "draw_figures=0", "-D", "smartquotes=0"),
        ]
        places = ["-d", f"{self.folder}/doctrees", str(DOCS), f"{self.folder}/out"]
        with (self.folder / "errors").open("w") as errors:
            command = [sys.executable, "-m", "sphinx", "-q", "-b", "dummy", *only, *places]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)

    def doctrees(self) -> Iterator[nodes.document]:
        """Wait until all is read, and yield what Sphinx made of each page.

        :raises RuntimeError: when Sphinx cannot read the pages.
        """
        if self.process.wait():
            errors = (self.folder / "errors").read_text()
            raise RuntimeError(f"Sphinx could not read the pages:\n{errors}")
        for tree in (self.folder / "doctrees").rglob("*.doctree"):
            yield loads(tree.read_bytes())


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
                file, _, name = str(block.source).partition(":docstring of ")
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


def unproved(shown: dict[Place, str], ran: set[Place], red: set[Place]) -> list[str]:
    """Name each block that readers see and that was not run, and each that ran unseen.

    :param shown: where the blocks stand that readers see, and the first line of each.
    :param ran: where the blocks stand that ran.
    :param red: where those of them stand that failed, and so were named already.
    """
    never = [f"{file}:{line}: never run: {shown[file, line]}" for file, line in shown.keys() - ran]
    unseen = [
        f"{file}:{line}: run, but no reader sees it"
        for file, line in ran - red - shown.keys()
        if file.endswith(".rst")
    ]
    return sorted(never + unseen)
