"""The tables of the page on performance."""

from collections.abc import Callable, Sequence

from docs.measurements.publish.columns import MEGABYTES, Column, Row, Table

#: What the files of throughput say, in a reader's words.
SIZE_WORDS = {
    str(2**power): f"{2 ** (power % 10)}\N{NO-BREAK SPACE}{['bytes', 'KiB', 'MiB'][power // 10]}"
    for power in range(7, 21)
}
MILLISECONDS = "{}\N{NO-BREAK SPACE}ms"


class Grouped(dict[str, str]):
    """Words for a whole number, with a comma before every three digits."""

    def __missing__(self, value: str) -> str:
        """Return the number as a page writes it."""
        return f"{int(value):,}"


class Megabytes(dict[str, str]):
    """Words for a number of KiB."""

    def __missing__(self, value: str) -> str:
        """Return as many megabytes."""
        return MEGABYTES.format(round(int(value) * 1024 / 1e6, 1))


GROUPED = Grouped({"": ""})
IN_MEGABYTES = Megabytes({"": ""})

#: The numbers of rows of ``memory.csv``.
NUMBERS = {
    "1000": "1,000 rows",
    "10000": "10,000",
    "100000": "100,000",
    "1000000": "1 million",
    "10000000": "10 million",
}

#: The columns of ``peers.csv`` that stand beside each other, for all columns and for five.
RATES = ["rows per second", "against the seed's loop", "against the database's own program"]


def beside(name: str, *cells: str, among: Sequence[str]) -> Callable[[list[Row]], list[Row]]:
    """Return what makes one row of several that differ in one column.

    :param name: the column that tells them apart, as the columns of results in words or numbers.
    :param cells: the columns that go beside each other; ``"rows 1000"`` is what ``rows`` has there.
    :param among: the columns that these rows have in common.
    """

    def join(rows: list[Row]) -> list[Row]:
        joined: dict[tuple[str, ...], dict[str, str]] = {}
        for row in rows:
            found = joined.setdefault(tuple(row[column] for column in among), dict(row))
            found |= {f"{column} {row[name]}": row[column] for column in cells}
        return list(joined.values())

    return join


def peers(database: str, name: str, times: str, against: str) -> Table:
    """Return the table of those who read a database, with all columns and with five.

    :param database: which one.
    :param name: what the page calls them.
    :param times: what it says above the ratio.
    :param against: the column of results that has the ratio.
    """
    columns = [Column(name, "contender"), Column("Way", "way")]
    for words, width in (("All columns", "19"), ("Five columns", "5")):
        columns.append(Column(f"{words}, rows a second", f"rows per second {width}", GROUPED))
        columns.append(Column(times, f"{against} {width}"))
    return Table(
        "peers",
        columns,
        only=lambda row: row["database"] == database,
        join=beside("columns", *RATES, among=["contender", "way"]),
    )


TABLES = {
    "yields_table": Table(
        "yields",
        [
            Column("Time goes to", "layer"),
            Column("A row per yield", "microseconds per row a row per yield"),
            Column("Joined to chunks", "microseconds per row joined to chunks"),
        ],
        only=lambda row: row["way"] != "the row itself",
        join=beside("way", "microseconds per row", among=["layer"]),
    ),
    "chunk_sizes_table": Table(
        "chunk_sizes",
        [
            Column("Chunk", "chunk, bytes", SIZE_WORDS),
            Column("Throughput", "MB per second", form="{}\N{NO-BREAK SPACE}MB/s"),
            Column("Where 64\N{NO-BREAK SPACE}KiB is 1", "against 64 KiB"),
        ],
    ),
    "pages_table": Table(
        "pages",
        [
            Column("Way", "way"),
            Column("First byte", "first byte, ms", form=MILLISECONDS),
            Column("All of it", "milliseconds", form=MILLISECONDS),
            Column("Sent", "MB", form=MEGABYTES),
        ],
    ),
    "streams_table": Table(
        "streams",
        [
            Column("Worker", "worker"),
            Column("Streams", "streams"),
            Column("Memory, each", "memory grown, KiB per stream", form="{}\N{NO-BREAK SPACE}KiB"),
            Column("Of a core, all", "processor, % of a core", form="{}\N{NO-BREAK SPACE}%"),
            Column("Late by", "lag, ms", form=MILLISECONDS),
            Column("The slowest hundredth", "lag of the slowest hundredth, ms", form=MILLISECONDS),
        ],
    ),
    "sources_table": Table(
        "sources",
        [
            Column("Source", "source"),
            Column("Database", "database"),
            Column("All columns", "rows per second all", GROUPED),
            Column("and neutralised", "neutralised, rows per second all", GROUPED),
            Column("Five columns", "rows per second 5", GROUPED),
            Column("and neutralised", "neutralised, rows per second 5", GROUPED),
        ],
        join=beside(
            "columns",
            "rows per second",
            "neutralised, rows per second",
            among=["source", "database"],
        ),
    ),
    "memory_table": Table(
        "memory",
        [
            Column("Source", "source"),
            Column("Database", "database"),
            *(Column(words, f"peak, KiB {rows}", IN_MEGABYTES) for rows, words in NUMBERS.items()),
        ],
        join=beside("rows", "peak, KiB", among=["source", "database"]),
    ),
    "first_bytes_table": Table(
        "memory",
        [
            Column("Source", "source"),
            Column("Database", "database"),
            *(
                Column(words, f"first byte, ms {rows}", form=MILLISECONDS)
                for rows, words in NUMBERS.items()
            ),
        ],
        join=beside("rows", "first byte, ms", among=["source", "database"]),
    ),
    "peers_table": peers("SQLite", "Framework", "times the seed", "against the seed's loop"),
    "peers_postgresql": peers(
        "PostgreSQL", "From PostgreSQL", "times psql", "against the database's own program"
    ),
}
