"""How Sphinx builds the guide."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

# Project

project = "Streaming from Flask"
author = "the authors of Streaming from Flask"
copyright = f"2026, {author}"  # noqa: A001 -- Sphinx reads this name
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")

# Pages

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinxext.opengraph",
]
exclude_patterns = ["_build"]
nitpicky = True
highlight_language = "none"

# References: an inventory holds the names we link to, so that no build needs the network

intersphinx_mapping = {
    name: (address, f"_inventories/{name}.inv")
    for name, address in {
        "flask": "https://flask.palletsprojects.com/en/stable/",
        "jinja": "https://jinja.palletsprojects.com/en/stable/",
        "markupsafe": "https://markupsafe.palletsprojects.com/en/stable/",
        "python": "https://docs.python.org/3/",
        "werkzeug": "https://werkzeug.palletsprojects.com/en/stable/",
    }.items()
}

# Examples: types come from the annotations, once

autodoc_member_order = "bysource"
autodoc_typehints = "none"

# Figures: drawn from recorded results, for light and for dark

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"svg.fonttype": "none", "font.family": "sans-serif"}
plot_apply_rcparams = True

# Look

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["guide.css"]
html_favicon = "_static/favicon.svg"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_selector = "div:not(.highlight-http) > div.highlight > pre"

# Cards for links shared elsewhere

ogp_site_url = html_baseurl
ogp_site_name = project
ogp_image = "_static/card.png"
ogp_enable_meta_description = True
