"""Measure what many streams cost that run at once.

``nox -s measure -- throughput`` runs this with the rest. It is also the module that is
served.
"""

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median, quantiles
from typing import NamedTuple

import psutil
from flask import Flask, Response, request

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.results import RECORDED, write

STREAMS = RECORDED / "streams.csv"

#: How many streams run at once.
NUMBERS = (1, 10, 100, 1000)
BEATS = 10  # pieces that each stream sends, one a second

WORKERS = {
    "gthread": "-k gthread --threads 1100 --worker-connections 2000",
    "gevent": "-k gevent --worker-connections 2000",
}

app = Flask(__name__)


@app.get("/ping")
def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"


@app.get("/beats")
def beats() -> Response:
    """Send a piece a second, which says when it was due on the monotonic clock."""
    count = request.args.get("count", 1, int)

    def generate() -> Iterator[str]:
        due = time.monotonic()
        for _ in range(count):
            yield f"<{due:.6f}>".ljust(100, ".")
            due += 1
            time.sleep(max(0, due - time.monotonic()))

    return Response(generate(), mimetype="text/plain")


class Cost(NamedTuple):
    """What some streams cost their server.

    :param memory: by how many bytes the process grew for them.
    :param cpu: the seconds of processor time that it took in a second.
    :param lags: the seconds after which each piece came that was due.
    """

    memory: int
    cpu: float
    lags: list[float]


def measure(port: int, worker: psutil.Process, number: int) -> Cost:
    """Read so many streams at once and return what they cost.

    :raises RuntimeError: when a stream was not whole.
    """
    before = worker.memory_info().rss
    pieces = 0
    lags: list[float] = []
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(number):
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            stream.sendall(f"GET /beats?count={BEATS} HTTP/1.0\r\n\r\n".encode())
            stream.setblocking(False)
            selector.register(stream, selectors.EVENT_READ)
        began, cpu = time.monotonic(), sum(worker.cpu_times()[:2])
        grown = 0
        while selector.get_map() and time.monotonic() < began + 3 * BEATS:
            for key, _ in selector.select(1):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # it is a socket
                if not data:
                    selector.unregister(key.fileobj)
                now = time.monotonic()
                for piece in data.split(b"<")[1:]:
                    pieces += 1
                    lags.append(now - float(piece.partition(b">")[0]))
            if not grown and time.monotonic() > began + BEATS / 2:
                grown = worker.memory_info().rss - before
        spent = (sum(worker.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
    if pieces != number * BEATS:
        raise RuntimeError(f"{pieces} pieces came of {number} streams")
    return Cost(grown, spent, lags)


def main() -> None:
    """Measure, and write the rows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    own = measured_on("gunicorn", "gevent")
    columns = ["memory grown, KiB per stream", "processor, % of a core"]
    columns += ["lag, ms", "lag of the slowest hundredth, ms"]
    rows: list[list[object]] = [["worker", "streams", *columns, *own]]
    for worker, options in WORKERS.items():
        for number in NUMBERS:
            with gunicorn("docs.measurements.speed.streams:app", options) as served:
                cost = measure(served.port, served.worker, number)
            memory = round(cost.memory / 1024 / number, 1)
            lags = sorted(1000 * lag for lag in cost.lags)
            slowest = quantiles(lags, n=100)[-1] if len(lags) > 1 else lags[0]
            cells = [memory, round(100 * cost.cpu, 1), round(median(lags), 2), round(slowest, 2)]
            rows.append([worker, number, *cells, *own.values()])
            print(worker, number, *cells, flush=True)
    write(STREAMS, rows)
