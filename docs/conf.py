"""How Sphinx builds the guide."""

import os
import sys
from pathlib import Path
from warnings import filterwarnings

from sphinx.deprecation import RemovedInSphinx10Warning
from sphinx.highlighting import lexer_classes

sys.path.insert(0, str(Path(__file__).parents[1]))

# Project

project = "Streaming from Flask"
author = "the authors of Streaming from Flask"
copyright = f"2026, {author}"  # noqa: A001 -- Sphinx reads this name
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")

# Pages

extensions = [
    "docs._ext.bundle",
    "docs._ext.examples_zip",
    "docs._ext.form",
    "docs._ext.keyboard",
    "docs._ext.listings",
    "docs._ext.one_file",
    "docs._ext.page_lists",
    "docs._ext.pictures",
    "docs._ext.redirects",
    "docs._ext.search_words",
    "docs._ext.values",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinxext.opengraph",
]
exclude_patterns = ["_build"]
nitpicky = True
# Annotations name a class by the module that defines it, and these are documented under others.
nitpick_ignore_regex = [
    (
        "py:class",
        r"(pyarrow\.lib|psycopg\.(_enums|pq\.abc)|sqlalchemy|werkzeug\.datastructures\.accept)\..*",
    )
]
# How the tables of recorded results mark a cell; guide.css gives each its colour.
rst_prolog = "\n".join(f".. role:: {mark}" for mark in ("good", "bad", "silent"))
highlight_language = "python"
smartquotes_action = "qe"  # quotes and dots; the dashes of --debug stay two
lexer_classes["haproxy"] = lexer_classes["none"]  # which Pygments does not know

# References: an inventory holds the names we link to, so that no build needs the network

intersphinx_mapping = {
    name: (address, f"_inventories/{name}.inv")
    for name, address in {
        "flask": "https://flask.palletsprojects.com/en/stable/",
        "jinja": "https://jinja.palletsprojects.com/en/stable/",
        "markupsafe": "https://markupsafe.palletsprojects.com/en/stable/",
        "psycopg": "https://www.psycopg.org/psycopg3/docs/",
        "python": "https://docs.python.org/3/",
        "sqlalchemy": "https://docs.sqlalchemy.org/en/21/",
        "werkzeug": "https://werkzeug.palletsprojects.com/en/stable/",
    }.items()
}

linkcheck_ignore = [r"http://127\.0\.0\.1"]

# Examples: types come from the annotations, once

autodoc_member_order = "bysource"
autodoc_typehints = "none"
always_use_bars_union = True
# The last release for Python 3.11 calls what Sphinx 10, which has no 3.11, will take away.
filterwarnings("ignore", category=RemovedInSphinx10Warning, module="sphinx_autodoc_typehints")

# Look: colours are in guide.css, those of code included

html_theme = "furo"
html_title = project
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["guide.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "light_logo": "wordmark-light.svg",
    "dark_logo": "wordmark-dark.svg",
}
html_search_scorer = str(Path(__file__).with_name("_ext") / "scorer.js")
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "none"
pygments_dark_style = "none"

# A copied session is what was typed: the prompts go, and after a first prompt the output too.
copybutton_prompt_text = r"\$ |>>> |\.\.\. |\.\.\.$|> "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_copy_empty_lines = False
copybutton_exclude = ".linenos, .gt + .c, .gp:nth-child(2) ~ .go"
copybutton_selector = "div:not(.highlight-http) > div.highlight > pre"

# Cards for links shared elsewhere, which must find the picture at the guide's own address

ogp_site_url = html_baseurl
ogp_image = "_static/card.png" if html_baseurl else ""
ogp_image_alt = "Streaming from Flask: the guide in which every block of code was run"
ogp_social_cards = {"enable": False}
ogp_custom_meta_tags = ['<meta name="twitter:card" content="summary_large_image" />']
