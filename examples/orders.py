"""Export the orders of a table, of any size, with SQLAlchemy.

Rows are read in pages, so a slow client keeps no connection and no transaction open.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from flask import Flask, Response
from sqlalchemy import (
    Engine,
    Index,
    Numeric,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from examples.kit.chunks import join_chunks, prime
from examples.kit.csv_text import csv_blocks, csv_file
from examples.kit.event_log.sqlite_log import use_wal
from examples.kit.query import flag, moment
from examples.kit.sql import PAGE, UtcDateTime, keyset_rows

app = Flask(__name__)

#: The database: ``sqlite:///PATH`` or ``postgresql+psycopg://…``. The environment variable
#: ``FLASK_ORDERS_URL`` sets it, and ``FLASK_ORDERS_ROWS`` how many orders a new table gets.
app.config.from_mapping(
    ORDERS_URL=f"sqlite:///{Path(__file__).parent.parent / '.orders' / 'orders.sqlite'}",
    ORDERS_ROWS=10_000,
)
app.config.from_prefixed_env()

#: What lets one process at a time create the table.
LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(20261128)"}

CUSTOMERS = "Ada", "Müller, Söhne & Co.", 'Zoë "Zo" O\'Neill', "=Smith", "王小明"
NOTES = "", "gate 7, please", 'says "urgent"', "two\nlines", '=HYPERLINK("//evil.example")'


class Base(DeclarativeBase):
    """The tables of this app."""


class Order(Base):
    """An order. Replace it by a table of yours."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    note: Mapped[str]
    amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    #: The keys of the pages, in their order.
    __table_args__ = (Index("orders_by_time", "created_at", "id"),)


#: The columns of the export.
COLUMNS = Order.id, Order.customer, Order.note, Order.amount, Order.created_at


@cache
def open_engine(url: str) -> Engine:
    """Return the engine of a database, the same one for all requests.

    :raises ValueError: for the address of something else.
    """
    database = make_url(url)
    kind, path = database.get_backend_name(), database.database
    if kind not in LOCKS or (kind == "sqlite" and path in (None, "", ":memory:")):
        raise ValueError("ORDERS_URL must be sqlite:///PATH or postgresql+psycopg://…")
    engine = create_engine(database)
    if kind == "sqlite":
        Path(str(path)).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", lambda connection, _: use_wal(connection))
    return engine


def sample_orders(rows: int) -> Iterator[dict[str, Any]]:
    """Yield orders: one each minute of 2026."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(rows):
        yield {
            "customer": CUSTOMERS[number % len(CUSTOMERS)],
            "note": NOTES[number // len(CUSTOMERS) % len(NOTES)],
            "amount": Decimal(1999 + number) / 100,
            "created_at": start + timedelta(minutes=number),
        }


def fill(engine: Engine) -> None:
    """Create the table with its orders, unless another process did so meanwhile."""
    with engine.begin() as connection:
        connection.exec_driver_sql(LOCKS[engine.dialect.name])
        if not inspect(connection).has_table(Order.__tablename__):
            Base.metadata.create_all(connection)
            orders = sample_orders(app.config["ORDERS_ROWS"])
            while batch := list(islice(orders, PAGE)):
                connection.execute(insert(Order), batch)


def filled_engine() -> Engine:
    """Return the engine of the configured database, which has the table."""
    engine = open_engine(app.config["ORDERS_URL"])
    if not inspect(engine).has_table(Order.__tablename__):
        fill(engine)
    return engine


@app.get("/orders.csv")
def orders() -> Response:
    """Send the orders as ``orders.csv``, or those since a moment.

    ``?since=2026-01-02T00:00Z`` sends the orders from then on,
    ``?for=spreadsheet`` makes the file safe to open in a spreadsheet,
    ``?end=marker`` lets a program tell a whole file from a part of it.
    """
    since = moment("since")
    spreadsheet, end_marker = flag("for", "spreadsheet"), flag("end", "marker")
    query = select(*COLUMNS)
    if since is not None:
        query = query.where(Order.created_at >= since)
    rows = keyset_rows(filled_engine(), query, Order.created_at, Order.id)
    header = [column.key for column in COLUMNS]
    blocks = csv_blocks(rows, spreadsheet=spreadsheet)
    file = csv_file(header, blocks, spreadsheet=spreadsheet, end_marker=end_marker)
    response = Response(prime(join_chunks(file)), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="orders.csv")
    return response


open_engine(app.config["ORDERS_URL"])  # what is wrong with the address is an error now
