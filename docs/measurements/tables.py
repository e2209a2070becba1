"""Make the tables that pages show from the recorded results, in words that a reader takes in.

``python -m docs.measurements.tables`` makes them all again, without measuring.
A cell that is good, bad or silent has the role of that name, which gives it its colour.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from docs.measurements.results import RESULTS, recorded, write

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

HEAD = {"complete": GOOD.format("fine"), "500": BAD.format("500")}

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
    Column("pieces made for nobody", "busy, pieces"),
    Column("Client leaves a silent one", "client leaves, silent", NOTICED),
    Column("pieces made for nobody", "silent, pieces"),
    Column("after", "silent, seconds", form=SECONDS),
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
    """

    source: str
    columns: list[Column]
    only: Callable[[Row], object] = bool


TABLES = {
    "servers_table": Table(
        "servers",
        [
            SERVER,
            PIECES[0],
            Column("Framing", "framing HTTP/1.1", FRAMING),
            FAILURES[0],
            FAILURES[2],
            DEPARTURES[0],
        ],
    ),
    "servers_failures": Table("servers", [SERVER, *FAILURES]),
    "servers_departures": Table("servers", [SERVER, *DEPARTURES]),
    "servers_slow": Table("servers", [SERVER, *SLOW]),
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
        "timeouts",
        [
            Column("Proxy", "program"),
            Column("Setting", "options", form=LITERAL),
            Column("The stream", "event", LIMITED),
            Column("ended", "the stream", ENDED),
            Column("after", "after, seconds", form=SECONDS),
        ],
        only=lambda row: row["program"] in {each["proxy"] for each in recorded("proxies")},
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
}


def rows_of(table: Table) -> list[list[str]]:
    """Return the rows of a table, its headings first."""
    rows = [row for row in recorded(table.source) if table.only(row)]
    headings = [column.heading for column in table.columns]
    return [headings, *([column.cell(row) for column in table.columns] for row in rows)]


def main() -> None:
    """Make all tables."""
    for name, table in TABLES.items():
        write(RESULTS / f"{name}.csv", rows_of(table))


if __name__ == "__main__":
    main()
