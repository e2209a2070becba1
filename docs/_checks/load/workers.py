"""Measure what a worker does under load, as ``nox -s load`` does."""

import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psutil

from docs.measurements.lab.databases import sqlite_database
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import Arrival, drain, first_byte, receive
from docs.measurements.lab.results import Cells

FLIGHTS = 12_000_000  # a little more than a gigabyte of CSV
AT_ONCE = 50  # clients that disconnect in mid-stream at the same time
MOST = 5100  # streams that a worker has room for
PATIENCE = 120  # seconds until what should happen has not

WORKERS = {
    "gthread": f"-k gthread --threads {MOST} --worker-connections {MOST}",
    "gevent": f"-k gevent --worker-connections {MOST}",
}
EXPORT = "examples.large_csv:app", "/large.csv"
BEATS = "docs.measurements.speed.streams:app", "/beats?count=600"


def wait_until(holds: Callable[[], bool]) -> float:
    """Wait for something and return the seconds.

    :raises TimeoutError: when it does not happen.
    """
    began = time.monotonic()
    while not holds():
        if time.monotonic() > began + PATIENCE:
            raise TimeoutError
        time.sleep(0.02)
    return time.monotonic() - began


def read_until(client: socket.socket, there: Callable[[bytes], object], size: int = 65536) -> None:
    """Read a response in pieces of a size at most, until something is there.

    :raises ConnectionError: when the response ends before, or is no 200.
    """
    seen = b""
    while not there(seen):
        piece = client.recv(size)
        if not piece:
            raise ConnectionError(seen[:200])
        seen += piece
    if not seen.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(seen[:200])


def megabytes(size: int) -> float:
    """Return a number of bytes in MB."""
    return round(size / 1e6, 1)


def disconnect(served: Gunicorn, path: str, clients: int) -> Cells:
    """Let clients disconnect in mid-stream, by the thousand, and count what stays open."""

    def leave(_: int) -> None:
        with closing(receive(served.port, path)) as arrivals:
            next(arrivals)

    def leave_by(number: int) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(leave, range(number)))
        wait_until(lambda: served.worker.num_fds() <= before)

    before = served.worker.num_fds()
    began = time.monotonic()
    leave_by(clients // 5)  # until all is loaded that is loaded once
    memory = served.worker.memory_info().rss
    leave_by(clients - clients // 5)
    return {
        "result": f"{served.worker.num_fds() - before} files and sockets left open",
        "after, seconds": round(time.monotonic() - began, 1),
        "memory grown, MB": megabytes(served.worker.memory_info().rss - memory),
    }


def read_on(arrivals: Iterable[Arrival]) -> str:
    """Read the rest of a response in chunks and return how it ends."""
    data = b""
    try:
        for arrival in arrivals:
            data = arrival.data
    except ConnectionError:
        return "reset"
    return "complete" if data.endswith(b"0\r\n\r\n") else "cut"


def kill(served: Gunicorn, path: str, clients: int) -> Cells:
    """Kill a worker in mid-stream, and see what its clients see and when the next one answers."""
    with ExitStack() as leaving:
        streams = [
            leaving.enter_context(closing(receive(served.port, path, timeout=600)))
            for _ in range(clients)
        ]
        for stream in streams:
            next(stream)  # and nothing more is read, so the stream waits, far from its end
        os.kill(served.worker.pid, signal.SIGKILL)
        seconds = first_byte(served.port, path)
        endings = Counter(map(read_on, streams))
    return {
        "result": ", ".join(f"{number} {ending}" for ending, number in endings.items()),
        "after, seconds": round(seconds, 2),
    }


def export(served: Gunicorn, path: str, clients: int) -> Cells:
    """Export more than a gigabyte, and see how much memory it takes at most."""
    first_byte(served.port, path)
    before = memory = served.worker.memory_info().rss
    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        exported = pool.submit(drain, served.port, path)
        while not exported.done() and served.worker.is_running():
            memory = max(memory, served.worker.memory_info().rss)
            time.sleep(0.1)
    try:
        result = f"{exported.result().size / 1e9:.2f} GB, complete"
    except (OSError, ValueError):
        result = "cut"
    return {
        "result": result,
        "after, seconds": round(time.monotonic() - began, 1),
        "memory grown, MB": megabytes(memory - before),
    }


def listen(served: Gunicorn, path: str, clients: int) -> Cells:
    """Let thousands listen at the same time and then disconnect, all at once."""
    first_byte(served.port, path)
    wait_until(lambda: len(served.worker.net_connections()) == 1)
    before, memory = served.worker.num_fds(), served.worker.memory_info().rss
    with ExitStack() as leaving:
        listeners = []
        for _ in range(clients):
            listener = socket.create_connection(("127.0.0.1", served.port), PATIENCE)
            listeners.append(leaving.enter_context(listener))
            listener.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        heads = sum(b" 200 OK\r\n" in listener.recv(65536) for listener in listeners)
        memory = served.worker.memory_info().rss - memory
    seconds = wait_until(lambda: served.worker.num_fds() <= before)
    return {
        "result": f"{heads} served at the same time, all closed",
        "after, seconds": round(seconds, 1),
        "memory grown, MB": megabytes(memory),
    }


#: What is measured: the app, its path, what measures it, and the number of clients.
LOADS = (
    ("clients disconnect in mid-stream", *EXPORT, disconnect, 5000),
    ("kill -9 in mid-stream", *EXPORT, kill, 100),
    ("a gigabyte", *EXPORT, export, 1),
    ("listeners at the same time", *BEATS, listen, 2000),
    ("listeners at the same time", *BEATS, listen, 5000),
)


def measured(
    load: Callable[[Gunicorn, str, int], Cells], served: Gunicorn, path: str, clients: int
) -> Cells:
    """Put a load on a worker and return what became of it; gunicorn may end the worker."""
    try:
        return load(served, path, clients)
    except (ConnectionError, psutil.NoSuchProcess):
        if served.worker.is_running():
            raise
        return {"result": "gunicorn ended the worker"}


def load_rows() -> Iterator[Cells]:
    """Put each load on each worker, and yield the rows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * MOST), hard))
    on = measured_on("gunicorn", "gevent")
    with sqlite_database(FLIGHTS):
        for name, app, path, load, clients in LOADS:
            for worker, options in WORKERS.items():
                with gunicorn(app, options) as served:
                    cells = measured(load, served, path, clients)
                cells = {"load": name, "worker": worker, "clients": clients, **cells}
                print(cells, flush=True)
                yield cells | on
