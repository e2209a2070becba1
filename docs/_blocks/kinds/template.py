"""Save an ``html+jinja`` block as a template of the page."""

import re

from jinja2 import Environment, TemplateSyntaxError
from sybil import Example

from docs._blocks.page import page_of


def save_template(example: Example) -> str | None:
    """Save a template in the page's folder, under the name in its caption."""
    caption = example.region.lexemes["options"].get("caption", "")
    if not re.fullmatch(r"templates/[\w/.-]*\w", caption):
        return "a template needs a caption such as ':caption: templates/page.html'"
    try:
        Environment().parse(example.parsed)
    except TemplateSyntaxError as error:
        return f"line {error.lineno} of the template: {error.message}"
    page_of(example.namespace).save(caption, example.parsed)
    return None
