"""The proof that the pages keep the promise: every block that a reader sees was run."""

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


def literal_blocks(pages: Iterable[Path]) -> Iterator[tuple[Place, str]]:
    """Yield every block of code that Sphinx shows on some pages, with its first line.

    :param pages: source files below ``docs/``.
    :raises RuntimeError: when Sphinx cannot read the pages.
    """
    docs = ROOT / "docs"
    with TemporaryDirectory(prefix="doctrees-") as folder:
        command = ["-m", "sphinx", "-q", "-b", "dummy", "-d", folder, str(docs), folder]
        built = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        if built.returncode:
            raise RuntimeError(f"Sphinx could not read the pages:\n{built.stderr}")
        for page in pages:
            tree = Path(folder, page.relative_to(docs)).with_suffix(".doctree")
            with tree.open("rb") as file:
                document = load(file)
            for kind in (nodes.literal_block, nodes.doctest_block):
                for block in document.findall(kind):
                    first = next(iter(block.astext().splitlines()), "")
                    yield (str(block.source), block.line or 0), first


def unproved(pages: Iterable[Path], ran: set[Place], red: set[Place]) -> list[str]:
    """Name each block that a page shows and that was not run, and each that ran unseen.

    :param pages: the pages that the suite read, below ``docs/``.
    :param ran: where the blocks stand that ran.
    :param red: where those of them stand that failed, and so were named already.
    """
    shown = dict(literal_blocks(pages))
    never = [f"{file}:{line}: never run: {shown[file, line]}" for file, line in shown.keys() - ran]
    unseen = [
        f"{file}:{line}: run, but no reader sees it" for file, line in ran - red - shown.keys()
    ]
    return sorted(never + unseen)
