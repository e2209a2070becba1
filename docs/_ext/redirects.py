"""Lead each address that the guide ever had to where its text is now.

``_redirects/published.toml`` lists those addresses, and ``_redirects/moved.toml`` what became of
some of them. A label or heading with the same anchor on its new page needs no line there.
"""

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

FOLDER = Path(__file__).parents[1] / "_redirects"
LOGGER = logging.getLogger(__name__)


def anchors(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return the headings, labels and documented names of each page."""
    found = {page: {nodes.make_id(title.astext())} for page, title in env.titles.items()}
    for page, contents in env.tocs.items():
        found[page] |= {link["anchorname"][1:] for link in contents.findall(nodes.reference)}
    for page, anchor, *_ in env.domains.standard_domain.anonlabels.values():
        found.setdefault(page, set()).add(anchor)
    for domain in env.domains.sorted():
        for _, _, _, page, anchor, _ in domain.get_objects():
            found.setdefault(page, set()).add(anchor)
    return found


class Redirects:
    """The new address of each old one.

    :param app: Sphinx.
    """

    def __init__(self, app: Sphinx) -> None:
        self.app = app
        self.published = tomllib.loads((FOLDER / "published.toml").read_text("utf-8"))
        self.moved: dict[str, str] = tomllib.loads((FOLDER / "moved.toml").read_text("utf-8"))

    @cached_property
    def found(self) -> dict[str, set[str]]:
        """The anchors of each page, as they are now."""
        return anchors(self.app.env)

    @cached_property
    def new(self) -> dict[str, str]:
        """PAGE or PAGE#ANCHOR for each old one, from moved.toml or from an anchor that moved."""
        places: dict[str, list[str]] = defaultdict(list)
        for page, names in self.found.items():
            for name in names:
                places[name].append(f"{page}#{name}")
        new = dict(self.moved)
        for page, old in self.published.items():
            for anchor in {*old["labels"], *old["headings"]} - self.found.get(page, set()):
                if len(places[anchor]) == 1:
                    new.setdefault(f"{page}#{anchor}", places[anchor][0])
        return new

    def mistakes(self) -> Iterator[str]:
        """Yield a line for each old address that leads nowhere, and for each wrong redirect."""
        for page, old in self.published.items():
            if page not in self.found and page not in self.new:
                yield f"the page {page} is gone: where to?"
            for label in old["labels"]:
                address = f"{page}#{label}"
                if label not in self.found.get(page, ()) and address not in self.new:
                    yield f"the label {address} is gone: where to?"
        for address, target in self.new.items():
            page, _, anchor = address.partition("#")
            if page in self.found and (not anchor or anchor in self.found[page]):
                yield f"{address} has a redirect, and is still there"
            page, _, anchor = target.partition("#")
            if page not in self.found or (anchor and anchor not in self.found[page]):
                yield f"{address} is redirected to {target}, which is not there"

    def link(self, page: str, target: str) -> str:
        """Return a target as a page links to it."""
        name, separator, anchor = target.partition("#")
        return self.app.builder.get_relative_uri(page, name) + separator + anchor

    def script(self, page: str) -> str:
        """Return the script that follows the anchors which a page had, or "" if none moved."""
        links = {
            f"#{anchor}": self.link(page, target)
            for old, target in self.new.items()
            for name, _, anchor in [old.partition("#")]
            if anchor and name == page
        }
        if not links:
            return ""
        moved = json.dumps(links, sort_keys=True).replace("<", r"\u003c")
        follow = f"const to = {moved}[location.hash]; if (to) location.replace(to)"
        return f"<script>{{ {follow} }}</script>"

    def pages(self, app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Yield a page in place of each that is gone: it links to the new one, and goes there."""
        for mistake in self.mistakes():
            LOGGER.warning("_redirects/moved.toml: %s", mistake)
        for old, target in self.moved.items():
            if "#" not in old:
                page, separator, anchor = target.partition("#")
                context = {
                    "title": app.env.titles[page].astext(),
                    "target": app.builder.get_relative_uri(old, page),
                    "anchor": separator + anchor,
                }
                yield old, context, "moved.html"

    def follow(
        self, _app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object
    ) -> None:
        """Put the script that follows moved anchors into a page."""
        context["metatags"] = context.get("metatags", "") + self.script(page)


def start(app: Sphinx) -> None:
    """Redirect in a build of HTML pages."""
    redirects = Redirects(app)
    app.connect("html-collect-pages", redirects.pages)
    app.connect("html-page-context", redirects.follow)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the pages and the scripts: an extension of Sphinx."""
    app.connect("builder-inited", start)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
