"""Keep UTC in a column, and read a table in short transactions. Needs ``sqlalchemy``."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, Engine, Row, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import DateTime, TypeDecorator

#: Rows in a page.
PAGE = 1000


class UtcDateTime(TypeDecorator[datetime]):
    """A column of aware datetimes, which are in UTC in Python and in the database.

    SQLite and MySQL drop the time zone, and PostgreSQL converts to the zone of the connection.

    >>> from sqlalchemy import create_engine, select
    >>> moment = datetime.fromisoformat("2026-03-29T03:00:00+02:00")
    >>> engine = create_engine("sqlite://")
    >>> with engine.connect() as connection:
    ...     str(connection.scalar(select(literal(moment, UtcDateTime))))
    '2026-03-29 01:00:00+00:00'
    >>> engine.dispose()
    """

    #: What the database stores.
    impl = DateTime(timezone=True)

    #: SQLAlchemy may cache a statement with this type.
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Convert a datetime for the database.

        :raises ValueError: for a naive datetime, because its time zone is a guess.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Convert a datetime of the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def keyset_rows(
    engine: Engine,
    query: Select[*tuple[Any, ...]],
    *keys: InstrumentedAttribute[Any],
    size: int = PAGE,
) -> Iterator[Row[Any]]:
    """Yield the rows of a query in the order of its keys, a page at a time.

    Each page is read in a transaction of its own, and memory contains one page. While the client
    reads a page, no connection is in use.

    :param engine: the database.
    :param query: the query, without an order and without a limit. It selects the keys.
    :param keys: columns that identify a row together and are never ``NULL``, with an index.
    :param size: the number of rows in a page.
    :raises ValueError: before the first row, for a query that does not select a key.
    :raises sqlalchemy.exc.SQLAlchemyError: at any row.
    """
    selected = [*query.selected_columns]  # two of them may have the same name
    places = []
    for key in keys:
        found = [at for at, column in enumerate(selected) if column.compare(key.expression)]
        if not found:
            raise ValueError(f"the query does not select {key}")
        places.append(found[0])
    page = first = query.order_by(*keys).limit(size)
    while True:
        with engine.connect() as connection:
            rows = connection.execute(page).all()
        yield from rows
        if len(rows) < size:
            return
        last = [literal(rows[-1][place], key.type) for place, key in zip(places, keys, strict=True)]
        page = first.where(tuple_(*keys) > tuple_(*last))
