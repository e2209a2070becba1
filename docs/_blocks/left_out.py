"""Leave a block out by name where this machine lacks a program, and all that builds on it."""

import re
from dataclasses import dataclass, field

from sybil import Example
from sybil.typing import Evaluator

from docs._blocks.names import Effects, effects, names
from docs._blocks.page import ADDRESS, PRINTED_PORT, LeftOut, Page, page_of

#: A string that names a file in the page's folder.
FILE = re.compile(r"\w[\w./-]*\.[a-z]\w{0,7}")


@dataclass
class Trace:
    """What a block, or a prompt, needs of the page and leaves on it."""

    text: str
    language: str
    needs: set[str] = field(default_factory=set)
    makes: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    effects: Effects = field(default_factory=Effects)

    def missing(self, page: Page) -> str | None:
        """Return why something that the block needs was left out, if it was."""
        files = (self.effects.strings | self.effects.modules) - self.files
        for lost, needed in ((page.lost, self.needs), (page.lost_files, files)):
            for name in sorted(needed & lost.keys()):
                return lost[name]
        return None

    def requests(self, page: Page) -> bool:
        """Tell whether the block sends requests to the app in the page's own process."""
        if self.language == "rst":  # the page inside has an app of its own
            return False
        ports = {int(port) for port in ADDRESS.findall(self.text)}
        return self.language == "http" or bool(ports - page.servers.processes.keys())

    def lose(self, page: Page, reason: str) -> None:
        """Let the page miss what the block would have left on it."""
        changed = self.effects.changed
        if self.requests(page):
            changed = changed | page.changed_by_requests
        page.lose(names=self.makes, changed=changed, reason=reason)
        unmade = {
            file
            for file in self.effects.strings
            if FILE.fullmatch(file) and not (page.folder / file).exists()
        }
        page.lost_files |= dict.fromkeys(self.files | unmade, reason)
        if "app" in self.makes:
            page.servers.left_out[PRINTED_PORT] = reason

    def keep(self, page: Page) -> None:
        """Remember what the block left on the page."""
        for name in self.makes:
            page.lost.pop(name, None)
        for file in self.files:
            page.lost_files.pop(file, None)
        page.changed_by_requests |= self.effects.changed_when_called


def trace(example: Example) -> Trace:
    """Return what a block or a prompt needs and leaves."""
    caption = (example.region.lexemes.get("options") or {}).get("caption")
    found = Trace(
        text=str(getattr(example.parsed, "source", example.parsed)),
        language=example.region.lexemes["language"],
        files={caption} if caption else set(),
    )
    if found.language in ("python", "pycon"):
        try:
            found.needs, found.makes = names(found.text)
            found.effects = effects(found.text)
        except SyntaxError:  # running it shows what is wrong
            pass
    return found


def left_out_by_name(evaluator: Evaluator) -> Evaluator:
    """Make an evaluator that also leaves out what needs something of a block that was left out.

    :param evaluator: what runs the block.
    """

    def evaluate(example: Example) -> str | None:
        page, block = page_of(example.namespace), trace(example)
        try:
            missing = block.missing(page)
            if missing:
                raise LeftOut(missing)
            result: str | None = evaluator(example)
        except LeftOut as reason:
            if "place" not in vars(reason):  # else it has that of a block on a page inside this one
                reason.place = f"{example.path}:{example.line}"
            block.lose(page, reason.args[0])
            page.left_out.append(str(reason))
            raise
        block.keep(page)
        return result

    return evaluate
