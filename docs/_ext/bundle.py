"""Keep pages light: one style sheet, one script, and no mark-up of code that has no colour.

The theme and each extension bring files of their own, which are joined here. The style sheet of
Pygments is left out, because the colours of code are in ``guide.css``.
"""

import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from rcssmin import cssmin
from rjsmin import jsmin
from sphinx.application import Sphinx

LEFT_OUT = {"_static/pygments.css"}

#: Names, operators and spaces in code, to which ``guide.css`` gives no colour.
COLOURLESS = re.compile(r'<span class="(?:bp|l|n|nb|ne|nl|nn|no|nv|nx|o|p|py|w|x)">([^<]*)</span>')


@cache
def bundle(folder: Path, names: tuple[str, ...]) -> bytes:
    """Return the style sheets, or the scripts, of a built site as one file without comments."""
    texts = [folder.joinpath(name).read_text("utf-8") for name in names]
    if names[0].endswith(".css"):
        return str(cssmin("\n".join(texts))).encode()
    # A script may end without the semicolon that it needs before the next one.
    return str(jsmin("\n;\n".join(texts))).encode()


def load_one(
    app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Replace the style sheets of a page by one, its scripts by one, and thin out its code."""
    for kind, name in (("css_files", "site.css"), ("script_files", "site.js")):
        files = sorted(context[kind], key=lambda each: each.priority)
        names = [str(each.filename) for each in files]
        whole = bundle(Path(app.outdir), tuple(each for each in names if each not in LEFT_OUT))
        file = Path(app.outdir, "_static", name)
        if not file.is_file() or file.read_bytes() != whole:
            file.write_bytes(whole)
        context[kind] = [f"_static/{name}?v={sha256(whole).hexdigest()[:8]}"]
    context["body"] = COLOURLESS.sub(r"\1", context.get("body", ""))


def setup(app: Sphinx) -> dict[str, bool]:
    """Change each page after every other extension: an extension of Sphinx."""
    app.connect("html-page-context", load_one, priority=900)
    # In a parallel build, pages are written while static files are still copied.
    return {"parallel_read_safe": True, "parallel_write_safe": False}
