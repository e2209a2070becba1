"""Leave a block out by name where this machine lacks a program, and all that builds on it."""

from sybil import Example
from sybil.typing import Evaluator

from docs._blocks.names import names
from docs._blocks.page import page_of
from docs._blocks.servers import PRINTED_PORT, LeftOut


def needs_and_makes(example: Example) -> tuple[set[str], set[str]]:
    """Return the names that a block or a prompt needs, and the names and file that it makes."""
    file = (example.region.lexemes.get("options") or {}).get("caption")
    files = {file} if file else set()
    if example.region.lexemes["language"] not in ("python", "pycon"):
        return set(), files
    try:
        needed, made = names(getattr(example.parsed, "source", example.parsed))
    except SyntaxError:  # running it shows what is wrong
        return set(), files
    return needed, made | files


def left_out_by_name(evaluator: Evaluator) -> Evaluator:
    """Make an evaluator that also leaves out what needs the names of a block that was left out.

    :param evaluator: what runs the block.
    """

    def evaluate(example: Example) -> str | None:
        needed, made = needs_and_makes(example)
        lost = page_of(example.namespace).lost if needed | made else {}
        try:
            for name in sorted(needed & lost.keys()):
                raise LeftOut(lost[name])
            result: str | None = evaluator(example)
        except LeftOut as reason:
            if "place" not in vars(reason):  # else it has that of a block on a page inside this one
                reason.place = f"{example.path}:{example.line}"
            lost |= dict.fromkeys(made, reason.args[0])
            if "app" in made:
                page_of(example.namespace).servers.left_out[PRINTED_PORT] = reason.args[0]
            raise
        for name in made:
            lost.pop(name, None)
        return result

    return evaluate
