"""Write what lists all pages: ``404.html``, ``llms.txt`` and a sitemap."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from docutils import nodes
from sphinx.application import Sphinx


class Page(NamedTuple):
    """A page of the guide.

    :param name: without the end of its file.
    :param title: as text.
    :param sentence: its first one.
    :param pages: those of its toctree.
    """

    name: str
    title: str
    sentence: str
    pages: list["Page"]


def page_tree(app: Sphinx, name: str) -> Page:
    """Return a page, with all below it."""
    paragraph = next(iter(app.env.get_doctree(name).findall(nodes.paragraph)))
    return Page(
        name,
        app.env.titles[name].astext(),
        paragraph.astext().splitlines()[0],  # a line of the source is a sentence
        [page_tree(app, below) for below in app.env.toctree_includes.get(name, ())],
    )


def every(page: Page) -> Iterator[Page]:
    """Yield a page and all below it."""
    yield page
    for below in page.pages:
        yield from every(below)


def lost(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the page that a host sends for an address without a page."""
    # A host sends it at any depth, so that its links start at the root of the site.
    root = urlsplit(app.config.html_baseurl).path or "/"
    yield "404", {"root": root, "tree": page_tree(app, app.config.root_doc)}, "404.html"


def write(app: Sphinx, problem: Exception | None) -> None:
    """Write the two lists that programs read."""
    if problem or app.builder.name != "html":
        return
    base = app.config.html_baseurl
    root = page_tree(app, app.config.root_doc)
    lines = [f"# {root.title}", "", f"> {root.sentence}"]
    for part in root.pages:
        lines += ["", f"## {part.title}", ""]
        for page in every(part):
            lines.append(f"- [{page.title}]({base}{page.name}.html): {page.sentence}")
    Path(app.outdir, "llms.txt").write_text("\n".join([*lines, ""]), "utf-8")
    if base:  # a sitemap has whole addresses
        urls = [f"{base}{page.name}.html" for page in every(root)]
        sitemap = [
            '<?xml version="1.0" encoding="utf-8"?>',
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
            *(f"<url><loc>{escape(url)}</loc></url>" for url in urls),
            "</urlset>",
            "",
        ]
        Path(app.outdir, "sitemap.xml").write_text("\n".join(sitemap), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the lists with the pages: an extension of Sphinx."""
    app.connect("html-collect-pages", lost)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
