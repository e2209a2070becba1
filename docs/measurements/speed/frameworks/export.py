"""What every framework exports: the same rows of the same SQLite file, by the same queries."""

import csv
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from docs.measurements.lab.databases import FIVE
from examples.kit.batches import fetch_batches
from examples.kit.chunks import join_chunks
from examples.kit.csv_text import csv_text
from examples.rows import Flight, read_sqlite, select_flights

#: The columns of an export, by the ``?columns=`` that asks for it.
WIDTHS = {"19": Flight._fields, "5": FIVE}

#: The queries of the exports, likewise. Any other ``?columns=`` is an error.
QUERIES = {width: select_flights(columns) for width, columns in WIDTHS.items()}

#: What makes an export of a query.
Content = Callable[[str], Iterable[str] | Iterable[bytes]]


class Line:
    """A file for ``csv.writer`` that keeps nothing: ``writerow`` returns its line."""

    def write(self, line: str) -> str:
        """Return the line that the writer made."""
        return line


def connect() -> sqlite3.Connection:
    """Open the file that the environment variable ``STREAM_DATABASE`` names, to read it."""
    return read_sqlite(Path(os.environ["STREAM_DATABASE"]))


def lines(query: str) -> Iterator[str]:
    """Yield each row by itself, as the csv module writes it."""
    to_line = csv.writer(Line()).writerow
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield to_line(row)


def encoded_lines(query: str) -> Iterator[bytes]:
    """Return the same lines for a framework that sends bytes alone."""
    return map(str.encode, lines(query))


def batches(query: str) -> Iterator[bytes]:
    """Yield as many rows at a time as the shipped example reads."""
    with closing(connect()) as connection:
        for rows in fetch_batches(connection.execute(query)):
            yield csv_text(rows)


def chunks(query: str) -> Iterator[bytes]:
    """Yield the same lines in chunks of 64 KiB."""
    return join_chunks(batches(query))
