"""Test a view that streams: rows that a test can count, delay and break, and real servers."""

import socket
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Generic, TypeVar
from wsgiref.types import WSGIApplication

from werkzeug.serving import make_server

Row = TypeVar("Row")


class Source(Generic[Row]):
    """Rows that replace your own rows, such as the rows of a database cursor.

    >>> flights = Source(lambda number: f"UA {number}", total=1000)
    >>> rows = flights.open()
    >>> next(rows), flights.made, flights.closed.is_set()
    ('UA 1', 1, False)
    >>> rows.close()
    >>> flights.closed.is_set()
    True

    :param row: returns the row of a number, from 1.
    :param total: how many rows there are. ``math.inf`` never ends.
    """

    def __init__(self, row: Callable[[int], Row], total: float = 1000) -> None:
        self.row, self.total = row, total
        #: How many rows were made.
        self.made = 0
        #: The number of a row, and what to call before it is made. It may wait, or raise an error.
        self.before: dict[int, Callable[[], object]] = {}
        #: Set while the rows are not open.
        self.closed = Event()
        self.closed.set()

    def open(self, *_: Any, **__: Any) -> "Source[Row]":
        """Open the rows, whatever arguments your own function has."""
        self.closed.clear()
        return self

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        if self.made >= self.total:
            raise StopIteration
        if call := self.before.get(self.made + 1):
            call()
        self.made += 1
        return self.row(self.made)

    def close(self) -> None:
        """Close the rows."""
        self.closed.set()


def peak_memory(read: Callable[[], object]) -> int:
    """Return the peak memory of Python objects while a function ran, in bytes.

    >>> 1_000_000 < peak_memory(lambda: bytes(1_000_000)) < 1_100_000
    True

    :param read: reads a stream, and keeps no part of it.
    """
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@contextmanager
def serve(app: WSGIApplication) -> Generator[str, None, None]:
    """Serve an app in this process, on a free port, and yield its URL.

    It is Werkzeug's server, with a thread for each request. The test and the view share the
    process, so the test can use a :class:`Source`.

    >>> from urllib.request import urlopen
    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> @app.get("/flights")
    ... def flights():
    ...     return iter(["UA 1545"])
    >>> with serve(app) as url, urlopen(f"{url}/flights") as response:
    ...     response.read()
    b'UA 1545'

    :param app: a Flask app, or another WSGI app.
    """
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serve_with(
    command: Sequence[str], *, env: dict[str, str] | None = None, seconds: float = 20
) -> Generator[str, None, None]:
    """Start a server of its own process, and yield its URL when it listens.

    >>> import sys
    >>> from urllib.request import urlopen
    >>> command = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"]
    >>> with serve_with(command) as url, urlopen(url) as response:
    ...     response.status
    200
    >>> with serve_with([sys.executable, "-c", ""]) as url:
    ...     pass
    Traceback (most recent call last):
    RuntimeError: the server does not listen

    :param command: its program and options, where ``{port}`` is a free port.
    :param env: its environment, by default the environment of the test.
    :param seconds: the time in which it must start, and end after SIGTERM.
    :raises RuntimeError: when it does not listen.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([part.replace("{port}", str(port)) for part in command], env=env)
    try:
        wait_until_it_listens(process, port, seconds)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=seconds)


def wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, seconds: float) -> None:
    """Return when a process listens on a port.

    :raises RuntimeError: when it has ended, or its time is up.
    """
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("the server does not listen")
