"""Measure what a yield costs and where the time goes, by doing ever more of what a server does."""

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from statistics import median
from types import SimpleNamespace
from typing import Any

from flask import Flask, Response
from gunicorn.config import Config
from gunicorn.http.wsgi import Response as Writer
from werkzeug.test import create_environ, run_wsgi_app

from docs.measurements.lab.databases import FIVE, sqlite_database
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.results import Cells
from docs.measurements.speed.in_turn import RUNS
from examples.kit.chunks import join_chunks
from examples.kit.csv_text import csv_text
from examples.rows import iter_all_rows

LINES = 200_000
STARTING = 20  # seconds that the process which reads may take to start

#: The size of a line, in bytes: that of a flight with all its columns is about as large.
LINE = b"x" * 90 + b"\r\n"


def seconds(work: Callable[[], object]) -> float:
    """Return the median of the seconds that some work takes."""
    found = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return median(found)


class Dropped:
    """A socket that sends nothing and says it did."""

    def sendall(self, data: bytes) -> None:
        """Drop some bytes."""


def take_all(port: int) -> None:
    """Read all that comes over a connection, as a client does."""
    buffer = bytearray(1024 * 1024)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while connection.recv_into(buffer):
            pass


@contextmanager
def connection_to_reader() -> Iterator[socket.socket]:
    """Open a connection to another process that reads all that comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(STARTING)
        port = server.getsockname()[1]
        reader = multiprocessing.get_context("spawn").Process(target=take_all, args=[port])
        reader.start()
        connection, _ = server.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as gunicorn does
        yield connection
    reader.join()


def exhaust(pieces: Iterable[object]) -> None:
    """Ask for every piece."""
    for _ in pieces:
        pass


def through_werkzeug(pieces: Callable[[], Iterable[bytes]]) -> Iterable[bytes]:
    """Return what a WSGI server gets from a view that returns some pieces."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: Response(iter(pieces()), mimetype="text/csv"))
    chunks, _, _ = run_wsgi_app(app, create_environ())
    return chunks


def through_gunicorn(chunks: Iterable[bytes], connection: Any) -> None:
    """Write chunks as gunicorn does for an HTTP/1.1 client."""
    request: Any = SimpleNamespace(
        version=(1, 1), method="GET", headers=[], should_close=lambda: True
    )
    writer = Writer(request, connection, Config())
    writer.start_response("200 OK", [("Content-Type", "text/csv")])
    for chunk in chunks:
        writer.write(chunk)
    if not writer.is_chunked():
        raise RuntimeError("gunicorn did not send chunks")


def layers(lines: Callable[[], Iterable[bytes]]) -> dict[str, float]:
    """Return the seconds that each part of a server's work adds for a stream.

    :param lines: gives what a view would yield.
    """
    steps = {
        "generator": seconds(lambda: exhaust(lines())),
        "Flask and Werkzeug": seconds(lambda: exhaust(through_werkzeug(lines))),
        "gunicorn": seconds(lambda: through_gunicorn(through_werkzeug(lines), Dropped())),
    }
    with connection_to_reader() as connection:
        steps["sending"] = seconds(lambda: through_gunicorn(through_werkzeug(lines), connection))
    before = [0.0, *steps.values()]
    return {name: whole - part for (name, whole), part in zip(steps.items(), before, strict=False)}


def lines_one_by_one() -> Iterator[bytes]:
    """Yield a ready line for each row."""
    yield from repeat(LINE, LINES)


def lines_joined() -> Iterator[bytes]:
    """Yield the same lines in chunks."""
    yield from join_chunks(lines_one_by_one())


def layer_rows() -> Iterator[Cells]:
    """Yield what a row costs in each layer, a line per yield and joined."""
    with sqlite_database(LINES):
        making = seconds(lambda: exhaust(csv_text([row]) for row in iter_all_rows(FIVE)))
    yield cost("the row itself", "cursor and csv", making)
    ways = {"a row per yield": lines_one_by_one, "joined to chunks": lines_joined}
    for way, lines in ways.items():
        for layer, taken in layers(lines).items():
            yield cost(way, layer, taken)


def cost(way: str, layer: str, taken: float) -> Cells:
    """Return the row of a layer that takes so many seconds for all rows."""
    microseconds = round(1e6 * taken / LINES, 3)
    cells: Cells = {"way": way, "layer": layer, "microseconds per row": microseconds, "rows": LINES}
    return cells | measured_on("gunicorn")
