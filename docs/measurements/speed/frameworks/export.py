"""What every peer exports: the same rows of the same SQLite file, by the same queries."""

import os
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from examples.chunks import join_chunks
from examples.csv_text import csv_text
from examples.rows import Flight, fetch_batches, read_sqlite, select_flights

#: The columns of an export, by the ``?columns=`` that asks for it.
COLUMNS = {"19": Flight._fields, "5": ("carrier", "flight", "tailnum", "origin", "dest")}

#: The queries of the exports, likewise. Any other ``?columns=`` is a 400 response.
QUERIES = {width: select_flights(columns) for width, columns in COLUMNS.items()}


class Line:
    """A file for ``csv.writer`` that keeps nothing: ``writerow`` returns its line."""

    def write(self, line: str) -> str:
        """Return the line that the writer made."""
        return line


def connect() -> sqlite3.Connection:
    """Open the file that the environment variable ``STREAM_DATABASE`` names, to read it."""
    return read_sqlite(Path(os.environ["STREAM_DATABASE"]))


def batches(query: str) -> Iterator[bytes]:
    """Yield the lines of an export, as many rows at a time as the shipped example reads.

    :param query: one of :data:`QUERIES`.
    """
    with closing(connect()) as connection:
        for rows in fetch_batches(connection.execute(query)):
            yield csv_text(rows)


def chunks(query: str) -> Generator[bytes, None, None]:
    """Yield the lines of an export in chunks of 64 KiB.

    :param query: one of :data:`QUERIES`.
    """
    return join_chunks(batches(query))
