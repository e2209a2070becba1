"""Let a reader download each listing from its caption, and give one file name one content.

A caption without a space is the name of a file, and the listing is the whole file. A part of a
file has the caption ``from examples/x.py``. The site has each file under ``files/``.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

ROOT = Path(__file__).parents[2]
FOLDER = "files"

#: The caption of a whole file, or of a part of one.
CAPTION = re.compile(r"(?P<part>from )?(?P<name>[\w./-]+)")

logger = logging.getLogger(__name__)


class Listing(NamedTuple):
    """A listing with the name of a file.

    :param page: the name of its page.
    :param line: where it is on the page.
    :param name: the name of the file.
    :param whole: whether it shows the file and not a part of it.
    :param text: what it shows.
    """

    page: str
    line: int
    name: str
    whole: bool
    text: str


def captioned(doctree: nodes.document) -> Iterator[tuple[nodes.caption, re.Match[str], nodes.Node]]:
    """Yield each caption of a listing that names a file, its parts, and the listing."""
    for block in doctree.findall(nodes.literal_block):
        caption = block.parent[0]
        if isinstance(caption, nodes.caption):
            found = CAPTION.fullmatch(caption.astext())
            if found:
                yield caption, found, block


def listings(env: BuildEnvironment) -> dict[str, list[Listing]]:
    """Return the listings of each page that was read."""
    found: dict[str, list[Listing]] = vars(env).setdefault("guide_listings", {})
    return found


def read(app: Sphinx, doctree: nodes.document) -> None:
    """Remember the listings of a page."""
    page = app.env.current_document.docname
    listings(app.env)[page] = [
        Listing(page, block.line or 0, found["name"], not found["part"], block.astext().rstrip())
        for _, found, block in captioned(doctree)
    ]


def forget(_app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """Forget the listings of a page that is read again, or gone."""
    listings(env).pop(page, None)


def merge(_app: Sphinx, env: BuildEnvironment, pages: set[str], other: BuildEnvironment) -> None:
    """Take over what another process has read."""
    listings(env).update({page: listings(other)[page] for page in pages})


def contents(env: BuildEnvironment) -> dict[str, str]:
    """Return the content of each file: that in the project, or what the first listing shows."""
    found: dict[str, str] = {}
    for page in sorted(listings(env)):
        for listing in listings(env)[page]:
            file = ROOT / listing.name
            if listing.name.startswith("examples/") and file.is_file():
                found[listing.name] = file.read_text("utf-8").rstrip()
            elif listing.whole:
                found.setdefault(listing.name, listing.text)
    return found


def wrong(env: BuildEnvironment) -> Iterator[tuple[Listing, str]]:
    """Yield each listing that is not what its caption promises, and why."""
    files = contents(env)
    first: dict[str, Listing] = {}
    for page in sorted(listings(env)):
        for listing in listings(env)[page]:
            if listing.name not in files:
                yield listing, f"no listing and no file of the project is {listing.name}"
            elif listing.whole and listing.text != files[listing.name]:
                other = first.get(listing.name)
                if other:
                    yield listing, f"{other.page}.rst:{other.line} shows another {listing.name}"
                else:
                    yield listing, f"this is a part: write :caption: from {listing.name}"
            elif listing.whole:
                first.setdefault(listing.name, listing)


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each listing that is not what its caption promises."""
    if app.config.include_patterns != ["**"]:
        return  # a part of the guide is read, which cannot show that a listing is right
    for listing, reason in wrong(env):
        logger.warning(reason, location=(listing.page, listing.line))


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write each file that a page shows into the site, and make its name in the caption a link."""
    if app.builder.format != "html":
        return
    files = contents(app.env)
    for caption, found, _ in captioned(doctree):
        name = found["name"]
        if name in files:
            file = Path(app.outdir, FOLDER, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{files[name]}\n", "utf-8")
            here = posixpath.dirname(app.builder.get_target_uri(page))
            url = posixpath.relpath(f"{FOLDER}/{name}", here or ".")
            reference = download_reference("", name, refuri=url, reftarget=url)
            caption[:] = [nodes.Text(found["part"] or ""), reference]


def setup(app: Sphinx) -> dict[str, bool | int]:
    """Read, check and link the listings: an extension of Sphinx."""
    app.connect("doctree-read", read)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("env-check-consistency", check)
    app.connect("doctree-resolved", link)
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
