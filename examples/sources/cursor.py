"""Rows from a database cursor, as lines by the csv module: nothing to install."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from examples.kit.csv_text import Block, csv_text
from examples.rows import iter_batches


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight, from SQLite or PostgreSQL.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    """
    with closing(iter_batches(columns)) as batches:
        for rows in batches:
            yield Block(csv_text(rows, spreadsheet=spreadsheet), len(rows))
