"""Make the tables that pages show from the recorded results, in words that a reader takes in.

``nox -s measure -- tables`` makes them all again, without measuring.
A cell that is good, bad or silent has the role of that name, which gives it its colour.
"""

import re
from collections.abc import Callable

from docs.measurements.lab.results import SHOWN, recorded, write, written
from docs.measurements.lifecycle import leak, order
from docs.measurements.publish import speed_tables
from docs.measurements.publish.columns import (
    LITERAL,
    MEGABYTES,
    SECONDS,
    Column,
    Row,
    Table,
    rows_of,
)
from docs.measurements.speed import arrivals

GOOD, BAD, SILENT = ":good:`{}`", ":bad:`{}`", ":silent:`{}`"


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
    "500": GOOD.format("500"),
    "silent": SILENT.format("looks complete"),
}

#: The same over HTTP/2.
HTTP2_FAILURE = {
    "RST_STREAM INTERNAL_ERROR": GOOD.format("INTERNAL_ERROR"),
    "RST_STREAM CANCEL": GOOD.format("CANCEL"),
    "silent": SILENT.format("looks complete"),
}

#: The answer to a stream that raised before its first piece.
FIRST = {
    "500": GOOD.format("500"),
    "502": GOOD.format("502"),
    "cut": GOOD.format("visible"),
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

#: What is done to a proxy, as the page writes it.
SIGNALS = {
    "SIGTERM to the proxy": "SIGTERM",
    "SIGQUIT to the proxy": "SIGQUIT",
    "SIGHUP to the proxy": "SIGHUP",
    "SIGQUIT to the proxy, short grace": "SIGQUIT",
    "SIGHUP to the proxy, short grace": "SIGHUP",
}

RESTING = "its reader pauses for longer than the limit"

#: What a reader gets who pauses for 35 s.
RESTED = {
    "every byte": GOOD.format("every byte"),
    "cut": BAD.format("cut, visibly"),
    "reset": BAD.format("cut, visibly"),
    "silent": SILENT.format("cut, looks complete"),
    "no end": BAD.format("no end"),
}

#: What becomes of an upload that the view leaves unread.
UNREAD = {"taken": GOOD.format("taken"), "lost": BAD.format("an error")}

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


#: What an ``EventSource`` does with an answer.
ANSWERED = {
    "asks again": GOOD.format("asks again"),
    "stays open": GOOD.format("follows it"),
    "closed for good": BAD.format("closed for good"),
    "closed by its page": "closed by its page",
}


class Taken(dict[str, str]):
    """Words for what a client took from a body that was cut, however much it had by then."""

    def __missing__(self, value: str) -> str:
        """Return what stands for a body that the client takes for complete.

        :raises KeyError: when a value was recorded that has no words here.
        """
        if value.startswith("complete, "):
            return SILENT.format("looks complete")
        raise KeyError(value)


TAKEN = Taken(
    {
        "": "",
        "error": GOOD.format("visible"),
        "no load event": SILENT.format("shown, no error"),  # a page in a browser
        "no end": BAD.format("never ends"),
    }
)


class Waits(dict[str, str]):
    """How a page writes the seconds that a client waits for others."""

    def __missing__(self, value: str) -> str:
        """Return the seconds, as good where nobody notices them."""
        return (GOOD if float(value) < UNNOTICED else BAD).format(SECONDS.format(value))


#: The seconds that nobody notices.
UNNOTICED = 0.5

WAITS = Waits({"": ""})

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
    "complete, 10 bytes": BAD.format("sent"),
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


def named_in(source: str) -> Callable[[Row], bool]:
    """Return what finds the events of the programs that some results are about.

    :param source: the results, whose first column has the names.
    """
    return lambda row: row["program"] in {next(iter(each.values())) for each in recorded(source)}


def by_program(events: list[Row]) -> list[Row]:
    """Return one row for each program, with what became of the stream at each event."""
    return one_row_for(("program",), events)


def by_setting(events: list[Row]) -> list[Row]:
    """Return one row for each setting of a program, likewise."""
    return one_row_for(("program", "options"), events)


def one_row_for(names: tuple[str, ...], events: list[Row]) -> list[Row]:
    """Return one row for each value of some columns, with what became of the stream."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for event in events:
        key = tuple(event[name] for name in names)
        row = rows.setdefault(key, dict(zip(names, key, strict=True)))
        row[event["event"]] = event["the stream"]
    return list(rows.values())


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
            Column("A reader pauses", "reader that pauses", RESTED),
            Column("The next client waits", "next waits after close, seconds", WAITS),
            Column("HEAD", "HEAD", HEAD),
            Column("Framing", "framing HTTP/1.1", FRAMING),
        ],
    ),
    "waiting_table": Table(
        "waiting",
        [
            Column("Settings", "settings"),
            Column("Ten clients stay connected", "others stay, seconds", WAITS),
            Column("after being told to close", "others stay after close, seconds", WAITS),
            Column("Slow readers", "slow readers, seconds", WAITS),
            Column("and told to close", "slow readers and close, seconds", WAITS),
            Column("No thread is free", "none free, seconds", WAITS),
            Column("One is free", "one place free, seconds", WAITS),
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
            *(Column(f"{size} unread", f"unread, {size}", UNREAD) for size in ("100 KB", "10 MB")),
        ],
    ),
    "servers_failures": Table("servers", [SERVER, *FAILURES]),
    "servers_departures": Table("servers", [SERVER, *DEPARTURES]),
    "servers_slow": Table(
        "servers",
        [SERVER, Column("A reader pauses for 35 s", "reader that pauses", RESTED), *SLOW[1:]],
    ),
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
            Column("Its reader pauses", RESTING, ENDED),
        ],
        only=lambda row: row["event"] in {*LIMITED, RESTING} and named_in("servers")(row),
        join=by_setting,
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
        "timeouts",
        [Column("Proxy", "program"), *LIMITS],
        only=lambda row: row["event"] in LIMITED and named_in("proxies")(row),
    ),
    "proxies_signals": Table(
        "timeouts",
        [
            Column("Signal", "event", SIGNALS),
            Column("Setting", "options", form=LITERAL),
            *LIMITS[2:],
        ],
        only=lambda row: row["event"] in SIGNALS,
    ),
    "http2_table": Table(
        "http2",
        [
            PROXY,
            Column("Error in mid-stream", "error midway", HTTP2_FAILURE),
            Column("curl", "curl, error midway"),
            *PIECES,
            DEPARTURES[0],
            Column("Measured", "versions"),
        ],
    ),
    "proxies_departures": Table("proxies", [PROXY, *DEPARTURES]),
    # What is compressed takes no room, so those rows say nothing here.
    "proxies_slow": Table(
        "proxies",
        [PROXY, *SLOW, Column("A reader pauses for 30 s", "reader that pauses", RESTED)],
        only=lambda row: not COMPRESSES(row["proxy"]),
    ),
    "proxies_versions": Table(
        "proxies",
        [
            PROXY,
            Column("Measured", "versions"),
            Column("In front of", "behind it"),
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
    "spreadsheet_table": Table(
        "spreadsheet",
        [
            Column("Separator", "separator"),
            Column("Cells", "cells"),
            Column("Computed", "formulas"),
            Column("Sign", "signs", form=LITERAL),
            Column("Before it", "before the sign"),
            Column("Computed, neutralised", "formulas, neutralised"),
        ],
    ),
    "clients_failures": Table(
        "clients",
        [
            Column("Client", "client"),
            Column("After a chunk", "chunked, cut after a chunk", TAKEN),
            Column("Inside a chunk", "chunked, cut inside a chunk", TAKEN),
            Column(
                "After a chunk, and ``Connection: close``",
                "Connection: close, chunked, cut after a chunk",
                TAKEN,
            ),
            Column("With a Content-Length", "length, cut", TAKEN),
            Column("With neither", "close, cut", TAKEN),
        ],
    ),
    "eventsource_table": Table(
        "eventsource",
        [
            Column("Answer", "answer"),
            Column("The ``EventSource``", "EventSource", ANSWERED),
            Column("Asks again after", "asks again after, seconds", form=SECONDS),
            Column("Measured", "versions"),
        ],
    ),
    "lost_network_table": Table(
        "lost_network",
        [
            Column("Bounded by", "bounded by"),
            Column("Pieces made for nobody", "pieces made for nobody"),
            Column("Closed after", "closed after, seconds", form=SECONDS),
        ],
    ),
}


def in_lines(code: str) -> str:
    """Return code as the lines of a cell."""
    lines = [(len(line) - len(line.lstrip()), line.lstrip()) for line in code.splitlines()]
    return "\n".join(f"| {' ' * indent}``{line}``" for indent, line in lines)


def notices(row: Row) -> bool:
    """Tell whether a client reported every cut of a body that has chunks or a length."""
    framed = [row[name] for name in row if re.search(r"(chunked|length), cut", name)]
    return set(framed) == {"error"}


def noticing() -> list[list[str]]:
    """Return, for each language, a call that notices every cut that can be noticed."""
    rows = [row for row in recorded("clients") if not row.get("not measured")]
    calls = {row["language"]: ["", SILENT.format("no call here notices every cut")] for row in rows}
    for row in reversed(rows):
        if notices(row):
            calls[row["language"]] = [in_lines(row["call"]), f"``{row['reports']}``"]
    return [["With", "Write", "A cut is"], *([name, *cells] for name, cells in calls.items())]


def derived() -> dict[str, list[list[str]]]:
    """Return every table that a page shows, by name, as the recorded rows give it."""
    own = {name: rows_of(table) for name, table in (TABLES | speed_tables.TABLES).items()}
    own["clients_notice"] = noticing()
    tables = own | arrivals.derived() | order.derived() | leak.derived()
    return {
        name: [["" if cell is None else str(cell) for cell in row] for row in rows]
        for name, rows in tables.items()
    }


def stale() -> list[str]:
    """Return the names of the tables that are not what the recorded results would give today."""
    return [name for name, rows in derived().items() if written(name, SHOWN) != rows]


def main() -> None:
    """Make all tables."""
    for name, rows in derived().items():
        write(SHOWN / f"{name}.csv", rows)


if __name__ == "__main__":
    main()
