"""Read the built pages, and check their links, their downloads and their HTML."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

import turbohtml
from turbohtml.conformance import check

#: The attributes that name another page or file, and where they are.
LINKS = {"a[href]": "href", "link[href]": "href", "script[src]": "src", "img[src]": "src"}

#: What reads the record of this guide, which a reader meets only in a fold.
RECORD = ("recorded(", "stale(", "docs.measurements")

#: Where the site has the files that its pages offer.
FILES = "files"


class Finding(NamedTuple):
    """What is wrong with a page.

    :param page: its file, relative to the site.
    :param rule: what does not hold.
    :param text: where it does not, or how.
    """

    page: str
    rule: str
    text: str


class Site:
    """A built site.

    :param folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = {
            file.relative_to(folder).as_posix(): turbohtml.parse(file.read_text("utf-8"))
            for file in sorted(folder.rglob("*.html"))
            if folder / FILES not in file.parents  # templates to download
        }
        self.ids = {
            name: {str(element.attrs["id"]) for element in page.select("[id]")}
            for name, page in self.pages.items()
        }

    def links(self) -> Iterator[tuple[str, str]]:
        """Yield each link of each page to the site itself, with the page, as a URL without host."""
        for name, page in self.pages.items():
            for selector, attribute in LINKS.items():
                for element in page.select(selector):
                    url = urljoin(f"//site/{name}", str(element.attrs[attribute]))
                    if urlsplit(url)[:2] == ("", "site"):
                        yield name, url.removeprefix("//site/")

    def broken_links(self) -> Iterator[Finding]:
        """Find links to a page, a file or an anchor that is not there, or to an empty file."""
        for name, url in sorted(set(self.links())):
            target = unquote(urlsplit(url).path)
            anchor = unquote(urlsplit(url).fragment)
            file = self.folder / target
            if not (file.is_file() and file.stat().st_size):
                yield Finding(name, "link", f"{target}: no such file, or an empty one")
            elif anchor and anchor not in self.ids.get(target, {anchor}):
                yield Finding(name, "link", f"{url}: no such anchor")

    def records_in_sight(self) -> Iterator[Finding]:
        """Find what reads the record of the guide outside a fold for checks."""
        for name, page in self.pages.items():
            folds = page.select("details.check")
            for word in RECORD:
                if page.text.count(word) > sum(fold.text.count(word) for fold in folds):
                    yield Finding(name, "record", f"{word} outside a fold")

    def invalid_html(self) -> Iterator[Finding]:
        """Find what the standard does not let a parser read, or an author write."""
        for name, page in self.pages.items():
            for error in page.errors:
                yield Finding(name, error.code, f"line {error.line}")
            for message in check(page).errors:
                yield Finding(name, message.code, f"line {message.line}: {message.message}")
