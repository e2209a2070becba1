"""What a page shows of a recorded value, in words or with a unit, by ``words.toml``."""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple


class Wording(NamedTuple):
    """How the values of some columns are shown. The file explains each name."""

    columns: list[str]
    words: Mapping[str, str] = {}
    form: str = "{}"
    number: str = ""
    factor: float = 1
    good_below: float | None = None

    def shown(self, value: str) -> str:
        """Return what a page shows of a value.

        :raises KeyError: when it has no words.
        """
        for pattern, words in self.words.items():
            if fnmatchcase(value, pattern):
                return words
        if self.words:
            raise KeyError(value)
        if not value:
            return ""
        text = self.form.format(value)
        if self.number:
            text = self.number.format(float(value) * self.factor)
        if self.good_below is not None:
            text = f":{'good' if float(value) < self.good_below else 'bad'}:`{text}`"
        return text


WORDINGS = [
    Wording(**table)
    for table in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).values()
]


def shown(column: str, value: str) -> str:
    """Return what a page shows of a value that was recorded in a column.

    :raises KeyError: when the column has words, and the value has none.
    """
    for wording in WORDINGS:
        if any(fnmatchcase(column, pattern) for pattern in wording.columns):
            return wording.shown(value)
    return value
