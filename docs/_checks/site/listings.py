"""Check the listings of a page that is worked through in an empty folder: they need what it says.

The suite runs every listing, in a folder from which it could also import this project, and with
all packages at hand. A reader has what the page tells to install, and the files above.
"""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires

from turbohtml import Document

from docs._checks.site.built import Finding, Site

PROMISE = "in an empty folder"

#: What comes with Flask, such as Werkzeug, and need not be named.
WITH_FLASK = {re.split(r"[^\w-]", each)[0].lower() for each in requires("flask") or ()}


def files(page: Document) -> dict[str, str]:
    """Return the listings of a page that have the name of a file, by that name."""
    names = [caption.text for caption in page.select(".literal-block-wrapper .caption-text")]
    texts = [listing.text for listing in page.select(".literal-block-wrapper pre")]
    return dict(zip(names, texts, strict=True))


def installed(page: Document) -> set[str]:
    """Return what the page tells to install: in a sentence with "need", or with pip."""
    told = [each.text for each in page.find_all("p") if " need " in each.text]
    told += [each.text for each in page.find_all("pre") if "pip install" in each.text]
    return set(re.findall(r"[\w-]+", " ".join(told)))


def imported(source: str) -> set[str]:
    """Return the packages and modules that a program imports by their first name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return names


def missing_imports(site: Site) -> Iterator[Finding]:
    """Find what a listing imports and a reader of its page does not have."""
    for name, page in site.pages.items():
        if PROMISE not in page.text:
            continue
        listings = files(page)
        known = {*sys.stdlib_module_names, *installed(page), *WITH_FLASK}
        known |= {file.removesuffix(".py") for file in listings}
        if "PYTHONPATH" in page.text:  # which the page sets to a clone
            known |= {"docs", "examples"}
        for file, source in listings.items():
            if file.endswith(".py"):
                for module in sorted(imported(source)):
                    if not {module, module.replace("_", "-")} & known:
                        yield Finding(name, "import", f"{file} imports {module}")
