"""Write ``examples.zip`` into the root of the built site: all of ``examples/``, ready to run.

``.. git-clone::`` shows the command that clones the guide, where the build knows its address.
"""

import os
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
NAME = "examples.zip"

README = """\
Streaming from Flask: the examples

    python -m venv .venv
    . .venv/bin/activate
    python -m pip install -r requirements.txt
    flask --app examples.demo run

On Windows the second line is .venv\\Scripts\\activate

Copy the folder examples/kit into an app of your own. Its files import each other relatively, so
it may have any name there. It needs Flask. kit/relay.py needs httpx2.

requirements-arrow.txt and requirements-cluster.txt are for the sources of examples/large_csv.py
that have these names.
"""

#: The files of requirements, and the dependency group of pyproject.toml that is in each.
REQUIREMENTS = {
    "requirements.txt": "demo",
    "requirements-arrow.txt": "arrow",
    "requirements-cluster.txt": "cluster",
}


def requirements(groups: dict[str, list[Any]], group: str) -> list[str]:
    """Return the requirements of a dependency group and of the groups that it includes, once."""
    found: dict[str, None] = {}
    for each in groups[group]:
        included = requirements(groups, each["include-group"]) if isinstance(each, dict) else [each]
        found |= dict.fromkeys(included)
    return list(found)


def files() -> dict[str, bytes]:
    """Return what is in the archive: the name of each file, and its bytes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    found = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "examples").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for name, group in REQUIREMENTS.items():
        found[name] = "\n".join([*requirements(groups, group), ""]).encode()
    found |= {
        "README.txt": README.encode(),
        "LICENSE.txt": (ROOT / "docs/LICENSE.txt").read_bytes(),
    }
    return found


def build(file: Path) -> None:
    """Write the archive, with the same bytes for the same files.

    :param file: where to write it. What is there is replaced.
    """
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, content in sorted(files().items()):
            entry = ZipInfo(name)  # with the date at which the time of ZIP begins
            entry.external_attr = 0o644 << 16
            entry.compress_type = ZIP_DEFLATED
            archive.writestr(entry, content)


def repository() -> str | None:
    """Return the address to clone the guide from, if this build knows it.

    Read the Docs names it. Anywhere else it is in ``project.urls`` of pyproject.toml.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    urls: dict[str, str] = project.get("urls", {})
    return os.environ.get("READTHEDOCS_GIT_CLONE_URL") or urls.get("Repository")


class GitClone(SphinxDirective):
    """Show how to clone the guide, or nothing where the build does not know from where."""

    def run(self) -> list[nodes.Node]:
        """Return one paragraph, or none."""
        address = repository()
        if not address:
            return []
        command = f"git clone {address}"
        return [
            nodes.paragraph(
                "",
                "",
                nodes.Text("To have the tests and the measurements as well, clone the guide: "),
                nodes.literal(command, command),
            )
        ]


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the archive where a build as HTML has succeeded."""
    if error is None and app.builder.format == "html":
        build(Path(app.outdir, NAME))


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the archive at the end of the build: an extension of Sphinx."""
    app.add_directive("git-clone", GitClone)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
