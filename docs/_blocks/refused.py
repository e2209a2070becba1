"""Refuse what a page may not contain, because nothing would run it or no reader would see it."""

from sybil.typing import Evaluator

from docs._system.declared import declared

RULES = declared(__file__)


def refuse(reason: str) -> Evaluator:
    """Make an evaluator that fails with a reason.

    :param reason: what is wrong with the block, and what to write instead.
    :returns: an evaluator whose failure carries the page and the line.
    """
    return lambda example: f"{example.path}:{example.line}: {reason}"
