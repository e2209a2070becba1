"""Let the search find a page by the words in which readers describe its problem.

``search_words.toml`` lists them by page. For the search they are main entries of an index, which
come before all else. ``scorer.js`` orders the rest.
"""

import tomllib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

WORDS: dict[str, list[str]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text("utf-8"),
)
LOGGER = logging.getLogger(__name__)


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of words for a page that does not exist."""
    for page in sorted(WORDS.keys() - env.found_docs):
        LOGGER.warning("search_words.toml: there is no page %s", page)


def add_words(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Add the words of a page to what the search indexes of it."""
    entries = [("single", words, "", "main", None) for words in WORDS.get(page, ())]
    if entries and app.builder.format == "html":
        doctree.insert(0, addnodes.index(entries=entries))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the words before a page is written: an extension of Sphinx."""
    app.connect("env-check-consistency", check)
    app.connect("doctree-resolved", add_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
