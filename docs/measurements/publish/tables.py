"""Make the tables that pages show: ``tables.toml`` has their columns, ``words.toml`` their words.

``nox -s measure -- tables`` makes them all again, without measuring.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from docs._system.declared import declared
from docs.measurements.lab.results import SHOWN, recorded, write, written
from docs.measurements.publish import flask_versions, noticing, typical_run

Row = Mapping[str, str]


def is_one_of(text: str, patterns: list[str]) -> bool:
    """Tell whether a text matches one of some patterns."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


class Wording(NamedTuple):
    """How the values of some columns are shown. ``words.toml`` explains each name."""

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


WORDINGS = [Wording(**table) for table in declared(Path(__file__).with_name("words.toml")).values()]


def shown(column: str, value: str) -> str:
    """Return what a page shows of a value that was recorded in a column.

    :raises KeyError: when the column has words, and the value has none.
    """
    for wording in WORDINGS:
        if is_one_of(column, wording.columns):
            return wording.shown(value)
    return value.replace("::", "\\::")  # HTTP::Tiny is no address


def shown_of(row: Row, column: str) -> str:
    """Return what a page shows of a column of a row, which may not have been measured."""
    if row.get("not measured") and not row[column]:
        return "not measured"
    return shown(column, row[column])


class PageTable(NamedTuple):
    """A table of a page. ``tables.toml`` explains each name."""

    record: str
    columns: list[list[str]]
    only: Mapping[str, list[str]] = {}
    without: Mapping[str, list[str]] = {}
    about: str = ""
    beside: str = ""

    def rows(self) -> Iterator[Row]:
        """Yield the recorded rows that the table is made from."""
        names = {next(iter(row.values())) for row in recorded(self.about)} if self.about else ()
        for row in recorded(self.record):
            if self.about and next(iter(row.values())) not in names:
                continue
            if any(is_one_of(row[name], values) for name, values in self.without.items()):
                continue
            if all(is_one_of(row[name], values) for name, values in self.only.items()):
                yield row

    def lines(self) -> list[list[Row]]:
        """Return for each line of the table the recorded rows that share it."""
        own = [column for _, column, *value in self.columns if not value]
        lines: dict[object, list[Row]] = {}
        for number, row in enumerate(self.rows()):
            key = tuple(row[name] for name in own) if self.beside else number
            lines.setdefault(key, []).append(row)
        return list(lines.values())

    def cells(self) -> Iterator[list[str]]:
        """Yield the headings, and then the cells of each line.

        :raises ValueError: when one cell would show two values.
        """
        yield [heading for heading, *_ in self.columns]
        for line in self.lines():
            yield [self.cell(line, *source) for _, *source in self.columns]

    def cell(self, line: list[Row], column: str, *value: str) -> str:
        """Return what a column shows of the rows of a line, or of those with a value beside.

        :raises ValueError: when these rows do not show the same.
        """
        cells = {shown_of(row, column) for row in line if not value or row[self.beside] in value}
        if len(cells) > 1:
            raise ValueError(f"{self.record}, {column}: one cell for {sorted(cells)}")
        return cells.pop() if cells else ""


PAGE_TABLES = {name: PageTable(**table) for name, table in declared(__file__).items()}


def open_table() -> Iterator[list[str]]:
    """Yield what is open when a stream starts, a column for each settings that agree."""
    columns = flask_versions.agreeing()
    yield ["Opened by, closed by", *map(str, columns)]
    for name in flask_versions.different("resource", "lifecycle_resources"):
        states = [
            flask_versions.recorded_resource(name, flask=flasks[0], wrapped=wrapped)[0]
            for wrapped, flasks in columns
        ]
        yield [shown("resource", name), *(shown("at_first", state) for state in states)]


def derived() -> dict[str, list[list[str]]]:
    """Return every table that a page shows, by name, as the recorded rows give it."""
    return {
        **{name: list(table.cells()) for name, table in PAGE_TABLES.items()},
        **flask_versions.tables(),
        "lifecycle_open": list(open_table()),
        "arrivals_table": typical_run.typical_runs(),
        "clients_notice": noticing.noticing_calls(),
    }


def stale() -> list[str]:
    """Return the names of the tables that are not what the recorded results would give today."""
    return [name for name, rows in derived().items() if written(name, SHOWN) != rows]


def main() -> None:
    """Make all tables."""
    for name, rows in derived().items():
        write(SHOWN / f"{name}.csv", rows)


if __name__ == "__main__":
    main()
