"""Measure what thousands of listeners of one process cost, with events from another process."""

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Thread

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import first_byte
from docs.measurements.lab.results import Cells
from examples.kit.event_log import EventLog, open_log

EVENTS = 20  # that each listener receives
PAUSE = 2.0  # seconds between two events

#: The worker, its options, and its numbers of listeners.
LISTENERS = (
    ("gthread", "-k gthread --threads 1010 --worker-connections 1100", (1000,)),
    ("gevent", "-k gevent --worker-connections 10100", (1000, 10_000)),
)


def connected(port: int, number: int, stack: ExitStack) -> selectors.BaseSelector:
    """Return listeners that have the headers of their stream and its first bytes."""
    selector = stack.enter_context(selectors.DefaultSelector())
    for _ in range(number):
        listener = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        listener.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = b""
        while b"id: " not in head:
            head += listener.recv(4096)
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
    return selector


def publish(log: EventLog) -> None:
    """Append the events, each with its time on the clock that all processes share."""
    for _ in range(EVENTS):
        time.sleep(PAUSE)
        log.append(f"<{time.monotonic():.6f}>".ljust(100, "."))


def delays(selector: selectors.BaseSelector, expected: int) -> list[float]:
    """Read events until all have arrived, and return their delays in milliseconds.

    :raises TimeoutError: when one is lost.
    """
    found: list[float] = []
    end = time.monotonic() + EVENTS * PAUSE + 60
    while len(found) < expected:
        if time.monotonic() > end:
            raise TimeoutError(f"{len(found)} of {expected} events arrived")
        for key, _ in selector.select(1):
            data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # it is a socket
            now = time.monotonic()
            for piece in data.split(b"<")[1:]:
                found.append(1000 * (now - float(piece.partition(b">")[0])))
    return found


def cost_of(served: Gunicorn, log: EventLog, number: int) -> Cells:
    """Return what so many listeners cost their process, and the delay of their events."""
    first_byte(served.port, "/events")
    time.sleep(1)
    worker = served.worker
    before = worker.memory_info().rss
    with ExitStack() as stack:
        selector = connected(served.port, number, stack)
        grown = worker.memory_info().rss - before
        cpu = sum(worker.cpu_times()[:2])
        publisher = Thread(target=publish, args=[log])
        publisher.start()
        late = delays(selector, number * EVENTS)
        publisher.join()
        spent = sum(worker.cpu_times()[:2]) - cpu
    return {
        "events received": len(late),
        "memory grown, KiB per listener": round(grown / 1024 / number, 1),
        "delay, ms": round(median(late)),
        "delay of the slowest hundredth, ms": round(quantiles(late, n=100)[-1]),
        "CPU, µs per event": round(1e6 * spent / len(late)),
    }


def listener_rows() -> Iterator[Cells]:
    """Yield a row for each worker and number of listeners."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20_000)), hard))
    for worker, options, numbers in LISTENERS:
        for number in numbers:
            with TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'events.sqlite'}"
                log = open_log(url)
                settings = {"FLASK_EVENTS_URL": url}
                with gunicorn("examples.events:app", options, settings=settings) as served:
                    cells = {"worker": worker, "listeners": number, **cost_of(served, log, number)}
                log.close()
            yield cells | measured_on("gunicorn", "gevent")
