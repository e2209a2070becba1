"""Read the pages as their readers do: every block of code on them is run, top to bottom."""

from sybil import Sybil
from sybil.sybil import SybilCollection

from docs._blocks.kinds.configuration import save_configuration
from docs._blocks.kinds.console import run_console
from docs._blocks.kinds.http import compare_wire
from docs._blocks.kinds.include import include
from docs._blocks.kinds.javascript import run_javascript
from docs._blocks.kinds.pycon import docstring_prompts, prompts
from docs._blocks.kinds.python import run_python
from docs._blocks.kinds.rst import nested_page
from docs._blocks.kinds.template import save_template
from docs._blocks.page import close_page, open_page
from docs._blocks.parser import FENCES, BlockParser, Runner, Splitter

pytest_plugins = ["docs._blocks.plugin"]

#: Languages of a configuration, which is a file that a command of the page starts a server with.
CONFIGURATIONS = ["apacheconf", "caddyfile", "haproxy", "ini", "nginx", "vcl", "yaml"]

#: Kind of block: what runs it.
KINDS: dict[str, Runner] = {
    "python": run_python,
    "pycon": Splitter(prompts),
    "html+jinja": save_template,
    "console": run_console,
    "http": compare_wire,
    "javascript": run_javascript,
    **dict.fromkeys(CONFIGURATIONS, save_configuration),
    "literalinclude": include,
}
KINDS["rst"] = nested_page(BlockParser(KINDS))

pages = Sybil(
    parsers=[BlockParser(KINDS)],
    path="docs",
    patterns=["*.rst"],
    setup=open_page,
    teardown=close_page,
)
readme = Sybil(
    parsers=[BlockParser(KINDS, lexer=FENCES)],
    filenames=["README.md"],
    setup=open_page,
    teardown=close_page,
)
docstrings = Sybil(
    parsers=[docstring_prompts],
    path="examples",
    patterns=["*.py"],
    setup=open_page,
    teardown=close_page,
)

pytest_collect_file = SybilCollection([pages, readme, docstrings]).pytest()
