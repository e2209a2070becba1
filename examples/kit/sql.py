"""Keep UTC in a column, and read a table in short transactions. Needs ``sqlalchemy``."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import eq, itemgetter
from typing import Any

from sqlalchemy import (
    Alias,
    ColumnElement,
    Dialect,
    Engine,
    Join,
    PrimaryKeyConstraint,
    Row,
    Select,
    Table,
    UniqueConstraint,
    literal,
    or_,
    tuple_,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import DateTime, TypeDecorator

#: A column that orders the rows.
Key = InstrumentedAttribute[Any] | ColumnElement[Any]

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


#: What a query of :func:`keyset_rows` must not have, and what to do instead.
NOT_ITS_OWN = {
    "order_by": "pass its columns as keys",
    "limit": "stop reading after enough rows",
    "offset": "use where",
    "group_by": "select from a subquery",
}


def keyset_rows(
    engine: Engine, query: Select[*tuple[Any, ...]], *keys: Key, size: int = PAGE
) -> Iterator[Row[Any]]:
    """Yield the rows of a query in the order of its keys, a page at a time.

    Each page is read in a transaction of its own, and memory contains one page. While the client
    reads a page, no connection is in use.

    :param engine: the database.
    :param query: the query, without an order and without a limit. It selects the keys.
    :param keys: columns that identify a row together and are never ``NULL``, with an index. The
        last of them is the primary key.
    :param size: the number of rows in a page.
    :raises ValueError: for a size below 1, and for keys or a query with which rows would be lost.
        It is raised before the first row if the query or its tables show it, and otherwise before
        the page that has two rows with the same keys.
    :raises sqlalchemy.exc.SQLAlchemyError: at any row.
    """
    if size < 1:
        raise ValueError("a page has at least one row")
    check_keys(query, keys)
    selected = [*query.selected_columns]  # two of them may have the same name
    places = []
    for key in keys:
        found = [at for at, column in enumerate(selected) if column.compare(key.expression)]
        if not found:
            raise ValueError(f"the query does not select {key}")
        places.append(found[0])
    nulls = [key.is_(None) for key in keys if not is_never_null(query, key)]
    if nulls:
        with engine.connect() as connection:
            if connection.execute(query.where(or_(*nulls)).limit(1)).first():
                raise ValueError(f"a key is NULL in a row: {listed(keys)}")
    page = first = query.order_by(*keys).limit(size + 1)  # and the first row of the next page
    while True:
        with engine.connect() as connection:
            rows = connection.execute(page).all()
        values = [*map(itemgetter(*places), rows)]
        if any(map(eq, values, values[1:])):
            raise ValueError(f"two rows have the same {listed(keys)}: add each table's primary key")
        yield from rows[:size]
        if len(rows) <= size:
            return
        row = rows[size - 1]
        last = [literal(row[place], key.type) for place, key in zip(places, keys, strict=True)]
        page = first.where(tuple_(*keys) > tuple_(*last))


def listed(keys: Sequence[Key]) -> str:
    """Return the names of keys, for a message."""
    return ", ".join(map(str, keys))


def check_keys(query: Select[*tuple[Any, ...]], keys: Sequence[Key]) -> None:
    """Check what a query and its tables show about its keys.

    :raises ValueError: for a query with an order, a limit, an offset or groups, for a key that can
        be ``NULL``, and for keys without a primary key or unique columns.
    """
    for name, instead in NOT_ITS_OWN.items():
        if not getattr(query, name)(None).compare(query):
            raise ValueError(f"the query has {name}: {instead}")
    if not keys:
        raise ValueError("there are no keys: pass the primary key")
    columns: dict[Any, set[str]] = {}
    unique: list[tuple[Any, set[str]]] = []
    for key in keys:
        column: Any = key.expression
        table = table_of(key)
        if table is None:
            return  # the rows show the rest
        if column.nullable:
            raise ValueError(f"{key} can be NULL, and pages lose such rows: use another key")
        columns.setdefault(column.table, set()).add(column.name)
        unique += [(column.table, names) for names in unique_columns(table)]
    identified = any(names <= columns[table] for table, names in unique)
    if not identified and not query.distinct().compare(query):
        raise ValueError(f"{listed(keys)} can be the same in two rows: add the primary key")


def table_of(key: Key) -> Table | None:
    """Return the table of a key, or None for an expression or a column of a subquery."""
    table = getattr(key.expression, "table", None)
    table = table.element if isinstance(table, Alias) else table
    return table if isinstance(table, Table) else None


def unique_columns(table: Table) -> Iterator[set[str]]:
    """Yield the names of columns that are unique together."""
    several: list[Any] = [*table.constraints, *table.indexes]
    for each in several:
        unique = isinstance(each, PrimaryKeyConstraint | UniqueConstraint)
        if (unique or getattr(each, "unique", False)) and each.columns:
            yield {column.name for column in each.columns}


def is_never_null(query: Select[*tuple[Any, ...]], key: Key) -> bool:
    """Return whether a key is a column of a table, and the query has no outer join."""
    joins = (each for source in query.get_final_froms() for each in iterate(source))
    outer = any(isinstance(each, Join) and (each.isouter or each.full) for each in joins)
    return table_of(key) is not None and not outer
