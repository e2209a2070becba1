"""Rows from a database cursor, as lines by the csv module: nothing to install."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice

from examples.csv_text import Block, csv_text
from examples.rows import iter_all_rows

#: Rows in a block: a few kilobytes of a narrow table, tens of them of a wide one.
ROWS = 300


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight, from SQLite or PostgreSQL.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    """
    with closing(iter_all_rows(columns)) as rows:
        while batch := list(islice(rows, ROWS)):
            yield Block(csv_text(batch, spreadsheet=spreadsheet), len(batch))
