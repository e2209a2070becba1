"""Let the keyboard scroll what is wider than the page: listings and tables (WCAG 2.1.1)."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

#: What Furo puts around a table, with the id that the table has as well.
TABLE_WRAPPER = re.compile(r'<div class="(table-wrapper[^"]*)"(?: id="[^"]*")?>')


def focusable(
    _app: Sphinx,
    _page: str,
    _template: str,
    context: dict[str, Any],
    _doctree: nodes.document | None,
) -> None:
    """Give each listing and each table of a page its place in the order of the TAB key."""
    body = context.get("body", "").replace("<pre>", '<pre tabindex="0">')
    context["body"] = TABLE_WRAPPER.sub(r'<div class="\1" tabindex="0">', body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Change each page before its template is filled: an extension of Sphinx."""
    app.connect("html-page-context", focusable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
