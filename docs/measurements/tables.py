"""Make the tables that pages show from the recorded results, in words that a reader takes in.

``python -m docs.measurements.tables`` makes them all again, without measuring.
A cell that is good, bad or silent has the role of that name, which gives it its colour.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from docs.measurements import arrivals, leak, lifecycle
from docs.measurements.results import RESULTS, recorded, write, written

Row = Mapping[str, str]

GOOD, BAD, SILENT = ":good:`{}`", ":bad:`{}`", ":silent:`{}`"
SECONDS, MEGABYTES, LITERAL = "{}\N{NO-BREAK SPACE}s", "{}\N{NO-BREAK SPACE}MB", "``{}``"


class Column(NamedTuple):
    """A column of a table.

    :param heading: what stands above it.
    :param source: the recorded column that it is made from.
    :param words: for each recorded value, what the page says in its place.
    :param form: how the page writes a value that is left as it is.
    """

    heading: str
    source: str
    words: Mapping[str, str] = {}
    form: str = "{}"

    def cell(self, row: Row) -> str:
        """Return what the page says of a row.

        :raises KeyError: when a value was recorded that has no words here.
        """
        value = row.get(self.source, "")
        if row.get("not measured") and not value:
            return "not measured"
        if self.words:
            return self.words[value]
        return self.form.format(value) if value else ""


ARRIVAL = {
    "as made": GOOD.format("as made"),
    "one late": BAD.format("one piece late"),
    "in bursts": BAD.format("in bursts"),
    "all at the end": BAD.format("all at the end"),
}

#: The end of a stream that raised.
FAILURE = {
    "cut": GOOD.format("visible"),
    "reset": GOOD.format("visible"),
    "silent": SILENT.format("looks complete"),
}

#: The answer to a stream that raised before its first piece.
FIRST = {
    "500": GOOD.format("500"),
    "502": GOOD.format("502"),
    "cut": GOOD.format("visible"),
    "reset": GOOD.format("visible"),
    "no answer": GOOD.format("visible"),
    "silent": SILENT.format("200, empty"),
}

NOTICED = {"yes": GOOD.format("noticed"), "never": BAD.format("never noticed")}

ENDED = {
    "finished": GOOD.format("finished"),
    "cut": BAD.format("cut, visibly"),
    "reset": BAD.format("cut, visibly"),
    "silent": SILENT.format("cut, looks complete"),
    "504": BAD.format("504"),
    "502": BAD.format("502"),
    "503": BAD.format("503"),
    "": "",
}

LIMITED = {
    "busy for longer than the limit": "goes on",
    "silent for longer than the limit": "falls silent",
}

FRAMING = {
    "chunked": GOOD.format("chunked"),
    "close": SILENT.format("none: closes"),
    "length": "length",
}

EMPTY = {"complete": GOOD.format("empty"), "500": BAD.format("500")}

HEAD = {
    "complete": GOOD.format("fine"),
    "complete, and more bytes": BAD.format("sends a body"),
    "500": BAD.format("500"),
}


class Taken(dict[str, str]):
    """Words for what a client took from a body that was cut, however much it had by then."""

    def __missing__(self, value: str) -> str:
        """Return whether the client could tell.

        :raises KeyError: when the client neither took it for complete nor reported an error.
        """
        if value.startswith("complete, "):
            return SILENT.format("looks complete")
        if value.startswith("error no load event, "):  # the page is there, and is not whole
            return SILENT.format("shown, no error")
        if value.startswith("error "):
            return GOOD.format("visible")
        raise KeyError(value)


TAKEN = Taken({"": ""})

LEAVE = {"at once": "at once", "with the first piece": "with a piece"}

#: What became of a header that belongs to the server.
HOP = {
    "dropped": GOOD.format("dropped"),
    "sent": "sent",
    "sent 2 times": BAD.format("sent twice"),
    "500": BAD.format("500"),
    "cut": BAD.format("body lost"),
}

#: What follows the bytes that were promised, when there are more.
EXCESS = {
    "complete, 5 bytes": GOOD.format("dropped"),
    "complete, 5 bytes and more": BAD.format("sent"),
}

PIECES = [
    Column("Small pieces", "small pieces", ARRIVAL),
    Column("Pieces of 16 KiB", "large pieces", ARRIVAL),
]
FAILURES = [
    Column("Error in mid-stream", "error midway HTTP/1.1", FAILURE),
    Column("the same, HTTP/1.0", "error midway HTTP/1.0", FAILURE),
    Column("Error before the first piece", "error first", FIRST),
]
DEPARTURES = [
    Column("Client leaves a busy stream", "client leaves, busy", NOTICED),
    Column("Pieces made for nobody", "busy, pieces"),
    Column("Client leaves a silent one", "client leaves, silent", NOTICED),
    Column("Pieces made after the silence", "silent, pieces"),
    Column("Closed after", "silent, seconds", form=SECONDS),
]
SLOW = [
    Column("Nobody reads", "slow reader"),
    Column("Taken from the app", "taken, MB", form=MEGABYTES),
    Column("Memory grown", "memory grown, MB", form=MEGABYTES),
]

#: Finds the proxies that compress.
COMPRESSES = re.compile("gzip|deflate").search

SERVER = Column("Server", "server")
PROXY = Column("Proxy", "proxy")


class Table(NamedTuple):
    """A table of a page.

    :param source: the recorded results that it is made from.
    :param columns: its columns.
    :param only: which rows it has.
    :param join: makes one row of several.
    """

    source: str
    columns: list[Column]
    only: Callable[[Row], object] = bool
    join: Callable[[list[Row]], list[Row]] = list


def named_in(source: str) -> Callable[[Row], bool]:
    """Return what finds the events of the programs that some results are about.

    :param source: the results, whose first column has the names.
    """
    return lambda row: row["program"] in {next(iter(each.values())) for each in recorded(source)}


def by_program(events: list[Row]) -> list[Row]:
    """Return one row for each program, with what became of the stream at each event."""
    programs: dict[str, dict[str, str]] = {}
    for row in events:
        program = programs.setdefault(row["program"], {"program": row["program"]})
        program |= {row["event"]: row["the stream"], "options": row["options"]}
    return list(programs.values())


#: What a limit of one second does to a stream.
LIMITS = [
    Column("Setting", "options", form=LITERAL),
    Column("The stream", "event", LIMITED),
    Column("Ended", "the stream", ENDED),
    Column("After", "after, seconds", form=SECONDS),
]


TABLES = {
    "servers_table": Table(
        "servers",
        [
            SERVER,
            FAILURES[0],
            FAILURES[2],
            Column("Client leaves", "client leaves, busy", NOTICED),
            Column("HEAD", "HEAD", HEAD),
            Column("Framing", "framing HTTP/1.1", FRAMING),
        ],
    ),
    "servers_rules": Table(
        "servers",
        [
            SERVER,
            Column("Headers leave", "headers", LEAVE),
            Column("Empty stream", "empty stream", EMPTY),
            Column("Bytes past the length", "promises 5 of 10", EXCESS),
            Column("``Connection``", "Connection: keep-alive", HOP),
            Column("``Transfer-Encoding``", "Transfer-Encoding: chunked", HOP),
        ],
    ),
    "servers_failures": Table("servers", [SERVER, *FAILURES]),
    "servers_departures": Table("servers", [SERVER, *DEPARTURES]),
    "servers_slow": Table("servers", [SERVER, *SLOW]),
    "servers_shutdown": Table(
        "timeouts",
        [
            Column("Server", "program"),
            Column("SIGTERM", "SIGTERM", ENDED),
            Column("and time is up", "SIGTERM, short grace", ENDED),
            Column("SIGHUP", "SIGHUP", ENDED),
        ],
        only=named_in("servers"),
        join=by_program,
    ),
    "servers_timeouts": Table(
        "timeouts",
        [
            Column("Server", "program"),
            Column("Setting", "options", form=LITERAL),
            *(Column(f"The stream {words}", event, ENDED) for event, words in LIMITED.items()),
        ],
        only=lambda row: row["event"] in LIMITED and named_in("servers")(row),
        join=by_program,
    ),
    "servers_versions": Table(
        "servers",
        [SERVER, Column("Measured", "versions"), Column("Python", "python"), Column("On", "date")],
    ),
    "proxies_table": Table(
        "proxies",
        [
            PROXY,
            FAILURES[0],
            *PIECES,
            DEPARTURES[0],
            Column("Asks the app with", "asks the app with"),
        ],
    ),
    "proxies_timeouts": Table(
        "timeouts", [Column("Proxy", "program"), *LIMITS], only=named_in("proxies")
    ),
    "proxies_departures": Table("proxies", [PROXY, *DEPARTURES]),
    # What is compressed takes no room, so those rows say nothing here.
    "proxies_slow": Table("proxies", [PROXY, *SLOW], only=lambda row: not COMPRESSES(row["proxy"])),
    "proxies_versions": Table(
        "proxies",
        [
            PROXY,
            Column("Measured", "versions"),
            Column("gunicorn", "gunicorn"),
            Column("On", "date"),
        ],
    ),
    # What compresses is as silent as what does not.
    "proxies_failures": Table(
        "proxies",
        [PROXY, Column("Asks the app with", "asks the app with"), FAILURES[0], FAILURES[2]],
        only=lambda row: not COMPRESSES(row["proxy"]),
    ),
    "middleware_arrivals": Table(
        "middleware",
        [Column("Around the app", "around"), PIECES[0]],
        only=lambda row: row["around"] != "nothing",
    ),
    "proxies_arrivals": Table("proxies", [PROXY, *PIECES]),
    "clients_failures": Table(
        "clients",
        [
            Column("Client", "client"),
            Column("After a chunk", "chunked, cut after a chunk", TAKEN),
            Column("Inside a chunk", "chunked, cut inside a chunk", TAKEN),
            Column("With a Content-Length", "length, cut", TAKEN),
            Column("With neither", "close, cut", TAKEN),
        ],
    ),
}


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


TABLES |= {
    "yields_table": Table(
        "yields",
        [
            Column("Time goes to", "layer"),
            Column("A row per yield", "microseconds per row a row per yield"),
            Column("Joined to chunks", "microseconds per row joined to chunks"),
        ],
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
    "peers_table": Table(
        "peers",
        [
            Column("Framework", "contender"),
            Column("Way", "way"),
            Column("All columns, rows a second", "rows per second 19", GROUPED),
            Column("times the seed", "against the seed's loop 19"),
            Column("Five columns, rows a second", "rows per second 5", GROUPED),
            Column("times the seed", "against the seed's loop 5"),
        ],
        only=lambda row: row["database"] == "SQLite",
        join=beside("columns", *RATES, among=["contender", "way"]),
    ),
    "peers_postgresql": Table(
        "peers",
        [
            Column("From PostgreSQL", "contender"),
            Column("Way", "way"),
            Column("All columns, rows a second", "rows per second 19", GROUPED),
            Column("times psql", "against the database's own program 19"),
            Column("Five columns, rows a second", "rows per second 5", GROUPED),
            Column("times psql", "against the database's own program 5"),
        ],
        only=lambda row: row["database"] == "PostgreSQL",
        join=beside("columns", *RATES, among=["contender", "way"]),
    ),
}


def rows_of(table: Table) -> list[list[str]]:
    """Return the rows of a table, its headings first."""
    rows = table.join([row for row in recorded(table.source) if table.only(row)])
    headings = [column.heading for column in table.columns]
    return [headings, *([column.cell(row) for column in table.columns] for row in rows)]


def derived() -> dict[str, list[list[str]]]:
    """Return every table that a page shows, by name, as the recorded rows give it."""
    own = {name: rows_of(table) for name, table in TABLES.items()}
    tables = own | arrivals.derived() | lifecycle.derived() | leak.derived()
    return {
        name: [["" if cell is None else str(cell) for cell in row] for row in rows]
        for name, rows in tables.items()
    }


def stale() -> list[str]:
    """Return the names of the tables that are not what the recorded results would give today."""
    return [name for name, rows in derived().items() if written(name) != rows]


def main() -> None:
    """Make all tables."""
    for name, rows in derived().items():
        write(RESULTS / f"{name}.csv", rows)


if __name__ == "__main__":
    main()
