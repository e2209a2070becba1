"""Make a table that a page shows from recorded results, in words that a reader takes in."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from docs.measurements.lab.results import recorded

Row = Mapping[str, str]

SECONDS, MEGABYTES, LITERAL = "{}\N{NO-BREAK SPACE}s", "{}\N{NO-BREAK SPACE}MB", "``{}``"


class Column(NamedTuple):
    """A column of a table.

    :param heading: what stands above it.
    :param source: the recorded column that it is made from.
    :param words: for each recorded value, what the page says in its place.
    :param form: how the page writes a value that is left as it is.
    """

    heading: str
    source: str
    words: Mapping[str, str] = {}
    form: str = "{}"

    def cell(self, row: Row) -> str:
        """Return what the page says of a row.

        :raises KeyError: when a value was recorded that has no words here.
        """
        value = row.get(self.source, "")
        if row.get("not measured") and not value:
            return "not measured"
        if self.words:
            return self.words[value]
        return self.form.format(value) if value else ""


class Table(NamedTuple):
    """A table of a page.

    :param source: the recorded results that it is made from.
    :param columns: its columns.
    :param only: which rows it has.
    :param join: makes one row of several.
    """

    source: str
    columns: list[Column]
    only: Callable[[Row], object] = bool
    join: Callable[[list[Row]], list[Row]] = list


def rows_of(table: Table) -> list[list[str]]:
    """Return the rows of a table, its headings first."""
    rows = table.join([row for row in recorded(table.source) if table.only(row)])
    headings = [column.heading for column in table.columns]
    return [headings, *([column.cell(row) for column in table.columns] for row in rows)]
