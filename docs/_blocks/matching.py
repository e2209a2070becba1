"""Compare what a page shows with what came, where ``...`` stands for what varies."""

import re
from difflib import ndiff


def pattern(expected: str) -> re.Pattern[str]:
    """Turn text with ``...`` into a regular expression.

    :param expected: the text on the page. Within a line ``...`` stands for any characters of
        that line; alone on a line it stands for any number of lines.
    """
    lines = []
    for line in expected.splitlines(keepends=True):
        if line.strip() == "...":
            lines.append("(?:[^\n]*(?:\n|\\Z))*?")
        else:
            lines.append("[^\n]*?".join(re.escape(part) for part in line.split("...")))
    return re.compile("".join(lines))


def compare(expected: str, got: str) -> str | None:
    """Return the difference between two texts, or nothing where the page is right.

    :param expected: the text on the page, with ``...`` for what varies.
    :param got: the text that came.
    """
    if pattern(expected).fullmatch(got):
        return None
    wanted, came = expected.splitlines(), got.splitlines()
    for place, (want, line) in enumerate(zip(wanted, came, strict=False)):
        if want.strip() != "..." and pattern(want).fullmatch(line):
            wanted[place] = line  # what varies is no difference
    difference = "\n".join(ndiff(wanted, came))
    return f"Expected:\n{expected}\nGot:\n{got}\nDifference:\n{difference}"
