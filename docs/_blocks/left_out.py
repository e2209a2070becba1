"""Leave a block out by name, where it builds on one that this machine lacks a program for."""

import re
from contextlib import suppress
from types import ModuleType

from sybil import Example

from docs._blocks.dependencies import Dependencies, dependencies
from docs._blocks.page import ADDRESS, PRINTED_PORT, LeftOut, Page, page_of

#: A string that names a file in the page's folder.
FILE_NAME = re.compile(r"\w[\w./-]*\.[a-z]\w{0,7}")


def source_of(example: Example) -> str:
    """Return the text of a block, or of a prompt."""
    return str(getattr(example.parsed, "source", example.parsed))


def python_of(example: Example) -> Dependencies:
    """Return what the Python of a block needs and leaves."""
    if example.region.lexemes["kind"] in ("python", "pycon"):
        with suppress(SyntaxError):  # running it shows what is wrong
            return dependencies(source_of(example))
    return Dependencies()


def caption_of(example: Example) -> set[str]:
    """Return the file that a block becomes, if it does."""
    caption = (example.region.lexemes.get("options") or {}).get("caption")
    return {caption} if caption else set()


def requests(example: Example, page: Page) -> bool:
    """Tell whether a block sends requests to the app in the page's own process."""
    kind = example.region.lexemes["kind"]
    ports = {int(port) for port in ADDRESS.findall(source_of(example))}
    if kind == "rst":  # the page inside has an app of its own
        return False
    return kind in ("http", "javascript") or bool(ports - page.servers.processes.keys())


def check_needs(example: Example) -> None:
    """Leave a block out that needs something of a block that was left out.

    :raises LeftOut: with the reason why the other was.
    """
    page, python = page_of(example.namespace), python_of(example)
    files = (python.strings | python.modules) - caption_of(example)
    for lost, needed in ((page.lost, python.needs), (page.lost_files, files)):
        for name in sorted(needed & lost.keys()):
            raise LeftOut(lost[name])


def unmade(words: set[str], page: Page) -> set[str]:
    """Return the words that name a file which the page has not made so far."""
    named = {word for word in words if FILE_NAME.fullmatch(word)}
    return {file for file in named if not (page.folder / file).exists()}


def lose(example: Example, reason: LeftOut) -> None:
    """Let a page miss what a block that is left out would have left on it."""
    page, python = page_of(example.namespace), python_of(example)
    if "place" not in vars(reason):  # else it has that of a block on a page inside this one
        reason.place = f"{example.path}:{example.line}"
    page.left_out.append(str(reason))
    why = reason.args[0]
    changed = python.changes
    if requests(example, page):
        above = [block for block in example.document.examples() if block.start < example.start]
        changed = changed.union(*(python_of(block).changes_when_called for block in above))
    values = {name for name in changed if not isinstance(page.namespace.get(name), ModuleType)}
    page.lost |= dict.fromkeys(values | python.makes, why)
    page.lost_files |= dict.fromkeys(caption_of(example) | unmade(python.strings, page), why)
    if "app" in python.makes:
        page.servers.left_out[PRINTED_PORT] = why


def keep(example: Example) -> None:
    """Let a page have again what a block that ran left on it."""
    page = page_of(example.namespace)
    for name in python_of(example).makes:
        page.lost.pop(name, None)
    for file in caption_of(example):
        page.lost_files.pop(file, None)
