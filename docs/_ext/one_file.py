"""Build ``stream_check.pyz``: the package as one file, which a page offers to download."""

from pathlib import Path
from zipapp import create_archive

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]

#: Where the pages have it from.
DOWNLOAD = DOCS / "_build/stream_check.pyz"


def build(file: Path = DOWNLOAD) -> None:
    """Write all of ``examples/stream_check`` into one file, which Python runs.

    :param file: where to write it. What is there is replaced.
    """
    file.parent.mkdir(exist_ok=True)
    create_archive(
        DOCS.parent / "examples",
        file,
        main="stream_check.__main__:run",
        filter=lambda path: path.match("stream_check/*.py"),
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Build the file before Sphinx reads a page that links to it: an extension of Sphinx."""
    app.connect("builder-inited", lambda _: build())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
