"""Find the sentences of a page and of the docstrings of a module."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from docs._system.declared import declared

PROSE = set(declared(Path(__file__).with_name("habits.toml"))["prose"])


class Sentence(NamedTuple):
    """A sentence.

    :param line: where it begins, counted from 1.
    :param text: its words, without their markup.
    """

    line: int
    text: str

    @property
    def words(self) -> int:
        """Return how many words it has."""
        return len(re.findall(r"\w[\w'-]*", self.text))


def without_markup(text: str) -> str:
    """Return a line of reStructuredText as it is read; code is one word."""
    text = re.sub(r"``[^`]*``", "X", text)
    text = re.sub(r":[\w:-]+:`!?~?([^`<]*?)\s*(?:<[^`]*>)?`", lambda role: role[1] or "X", text)
    text = re.sub(r"`([^`<]*?)\s*<[^`]*>`_+", r"\1", text)
    return re.sub(r"^(?:[*\-#]|\d+\.|#\.)\s+", "", text)


def prose(lines: Iterable[str]) -> Iterator[Sentence]:
    """Yield the lines of a page that are prose; a line is a sentence.

    Code, comments, options, the lines under headings and the content of most directives are none.
    """
    skipped: int | None = None  # the indentation of what has content that is skipped
    for number, line in enumerate(lines, 1):
        text = line.strip()
        indentation = len(line) - len(line.lstrip())
        if not text or (skipped is not None and indentation > skipped):
            continue
        skipped = None
        directive = re.match(r"\s*\.\. ([\w:-]+)::", line)
        begins_with_role = re.match(r":\w[\w:-]*:`", text)
        if directive:
            skipped = None if directive[1] in PROSE else indentation
        elif text.startswith((".. ", "..|", ":", ">>>", "|")) and not begins_with_role:
            skipped = indentation if text.startswith(".. ") else None
        elif not re.fullmatch(r"([=\-~^\"'*+#])\1{2,}", text):
            skipped = indentation if text.endswith("::") else None
            yield Sentence(number, without_markup(text))


def docstrings(source: str) -> Iterator[Sentence]:
    """Yield the sentences of all docstrings of a module, which go over several lines.

    A session of the interpreter is no prose; it ends at an empty line.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        docstring = ast.get_docstring(node)
        if docstring:
            text = re.sub(r"^>>>.*\n(?:.+\n)*", empty, f"{docstring}\n", flags=re.MULTILINE)
            yield from whole_sentences(text.split("\n"), node.body[0].lineno)


def empty(found: re.Match[str]) -> str:
    """Return as many empty lines as a match has."""
    return "\n" * found[0].count("\n")


def whole_sentences(lines: list[str], first: int) -> Iterator[Sentence]:
    """Join the lines of each paragraph and of each ``:param:``, and yield their sentences.

    :param first: the line of the module on which they begin.
    """
    texts = [re.sub(r"^:[\w ]+: ", "", line) for line in lines]
    together = ""
    begin = end = 0
    for line in [*prose(texts), Sentence(len(lines) + 2, "")]:
        new = line.line > end + 1 or lines[line.line - 1].startswith(":")
        if together and new:
            for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", together):
                yield Sentence(begin + first - 1, sentence)
            together = ""
        begin = begin if together else line.line
        together, end = f"{together} {line.text}".strip(), line.line


def sentences(file: Path) -> list[Sentence]:
    """Return the sentences of a page, or of the docstrings of a module."""
    text = file.read_text("utf-8")
    return list(docstrings(text) if file.suffix == ".py" else prose(text.split("\n")))
