"""Rows as Arrow record batches, as lines by Arrow's CSV writer: needs the group ``arrow``."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql
import adbc_driver_sqlite.dbapi as sqlite
import pyarrow as pa
from pyarrow import compute, csv

from examples.kit.csv_text import DROPPED, RISKY, Block, csv_text
from examples.rows import TEXT_COLUMNS, filled_database, select_flights

#: How much each driver puts into a record batch: rows of SQLite, bytes of PostgreSQL.
BATCH = {
    "sqlite": {"adbc.sqlite.query.batch_rows": "1024"},
    "postgresql": {"adbc.postgresql.batch_size_hint_bytes": "131072"},
}

#: Lines that end as those of the csv module do. A cell that needs quotes is an error.
UNQUOTED = csv.WriteOptions(include_header=False, quoting_style="none", eol="\r\n")

#: The types of columns that Arrow writes as numbers and points in time, or as gaps alone.
NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_duration,
    pa.types.is_null,
)

#: The types of columns that it writes as the text they hold.
TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight, from SQLite or PostgreSQL.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    """
    scheme, location = filled_database()
    with connect(scheme, location) as connection:
        yield from read_blocks(connection, scheme, columns, spreadsheet=spreadsheet)


@contextmanager
def connect(scheme: str, location: str) -> Iterator[Any]:
    """Open a connection that is closed when its ``with`` ends.

    :param scheme: ``sqlite`` or ``postgresql``.
    :param location: the path of the SQLite file, or the address of PostgreSQL.
    """
    if scheme == "sqlite":
        opened = sqlite.connect(f"{Path(location).resolve().as_uri()}?mode=ro")
    else:
        opened = postgresql.connect(location)
    with closing(opened) as connection:
        yield connection


@contextmanager
def record_batches(connection: Any, scheme: str, query: str) -> Iterator[pa.RecordBatchReader]:
    """Run a query whose rows come in record batches, a small one at a time.

    :param connection: from :func:`connect`.
    :param scheme: ``sqlite`` or ``postgresql``.
    :param query: in SQL.
    """
    with closing(connection.cursor()) as cursor:
        cursor.adbc_statement.set_options(**BATCH[scheme])
        cursor.execute(query)
        with cursor.fetch_record_batch() as batches:
            yield batches


def read_blocks(
    connection: Any,
    scheme: str,
    columns: Sequence[str],
    *,
    spreadsheet: bool = False,
    after: int = 0,
) -> Iterator[Block]:
    """Yield the lines of flights.

    :param connection: from :func:`connect`.
    :param scheme: ``sqlite`` or ``postgresql``.
    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    :param after: how many flights to leave out first.
    """
    query = select_flights(columns)
    if scheme == "sqlite":
        # An SQLite column may hold anything; the driver takes the types of the first rows. So
        # the first row is one of the right types, and is left out below.
        types = ", ".join("''" if name in TEXT_COLUMNS else "0" for name in columns)
        query = f"SELECT {types} UNION ALL SELECT * FROM ({query} LIMIT -1 OFFSET {after})"
    skip = 1 if scheme == "sqlite" else 0
    yield from query_blocks(connection, scheme, query, spreadsheet=spreadsheet, skip=skip)


def query_blocks(
    connection: Any, scheme: str, query: str, *, spreadsheet: bool = False, skip: int = 0
) -> Iterator[Block]:
    """Yield the lines of a query of your own.

    :param connection: from :func:`connect`.
    :param scheme: ``sqlite`` or ``postgresql``.
    :param query: in SQL. SQLite's driver takes the type of a column from the first rows.
    :param spreadsheet: neutralise formulas.
    :param skip: how many rows of the first record batch to leave out.
    """
    with record_batches(connection, scheme, query) as batches:
        for batch in batches:
            rows = batch.slice(skip)
            yield Block(batch_text(rows, spreadsheet=spreadsheet), rows.num_rows)
            skip = 0


def batch_text(batch: pa.RecordBatch, *, spreadsheet: bool = False) -> bytes:
    r"""Return a record batch as lines of a CSV file.

    >>> batch_text(pa.record_batch({"flight": [1545, None], "dest": ["IAH", "a,b"]}))
    b'1545,IAH\r\n,"a,b"\r\n'

    :param batch: the rows.
    :param spreadsheet: neutralise formulas.
    """
    columns = [printable(column, spreadsheet) for column in batch.columns]
    if len(columns) > 1:  # else a gap would be an empty line, which readers skip
        text = BytesIO()
        with suppress(pa.ArrowInvalid):  # a cell needs quotes; Arrow would put them round all
            csv.write_csv(pa.record_batch(columns, batch.schema.names), text, UNQUOTED)
            return text.getvalue()
    return csv_text(zip(*(each.cast(pa.string()).to_pylist() for each in columns), strict=True))


def printable(column: pa.Array, spreadsheet: bool) -> pa.Array:
    """Return a column of a type that Arrow's CSV writer knows, as it or the csv module prints it.

    >>> printable(pa.array([["a"], None]), spreadsheet=False).to_pylist()
    ["['a']", None]

    :param column: of any type.
    :param spreadsheet: neutralise formulas.
    """
    if pa.types.is_dictionary(column.type):
        return printable(column.dictionary_decode(), spreadsheet)
    if any(is_number(column.type) for is_number in NUMBERS):
        return column
    if not any(is_text(column.type) for is_text in TEXTS):
        cells = (None if cell is None else str(cell) for cell in column.to_pylist())
        column = pa.array(cells, pa.string())
    return neutralise(column) if spreadsheet else column.cast(pa.string())


def neutralise(column: pa.Array) -> pa.Array:
    r"""Put an apostrophe before text that a spreadsheet would take for a formula.

    It does to a column what :func:`examples.kit.csv_text.neutralise` does to a cell, for Arrow's
    regular expressions cannot look around.

    >>> neutralise(pa.array(["=1+1", "gate;=1+1", "\0=1+1", None])).to_pylist()
    ["'=1+1", "gate;'=1+1", "'=1+1", None]

    :param column: text of any type.
    """
    column = column.cast(pa.string())
    if not compute.any(compute.match_substring_regex(column, RISKY)).as_py():
        return column
    replace = compute.replace_substring_regex
    column = replace(column, DROPPED.pattern, "")
    column = replace(column, r'([;,"\t\r\n])([=+\-@])', r"\1'\2")
    return replace(column, r"\A([=+\-@\t\r\n])", r"'\1")
