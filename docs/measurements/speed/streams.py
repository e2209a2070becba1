"""Measure what many streams cost that run at once. It is also the module that is served."""

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from statistics import median, quantiles

from flask import Flask, Response, request

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.results import Cells

#: How many streams run at once.
STREAM_COUNTS = (1, 10, 100, 1000)
BEATS = 10  # pieces that each stream sends, one a second

WORKERS = {
    "gthread": "-k gthread --threads 1100 --worker-connections 2000",
    "gevent": "-k gevent --worker-connections 2000",
}

app = Flask(__name__)


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


def cost_of(number: int, served: Gunicorn) -> Cells:
    """Read so many streams at once, and return what they cost their server and how late they were.

    :raises RuntimeError: when a stream was not whole.
    """
    worker = served.worker
    before = worker.memory_info().rss
    lags: list[float] = []  # milliseconds after which each piece came that was due
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(number):
            stream = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
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
                    lags.append(1000 * (now - float(piece.partition(b">")[0])))
            if not grown and time.monotonic() > began + BEATS / 2:
                grown = worker.memory_info().rss - before
        spent = (sum(worker.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
    if len(lags) != number * BEATS:
        raise RuntimeError(f"{len(lags)} pieces came of {number} streams")
    return {
        "memory grown, KiB per stream": round(grown / 1024 / number, 1),
        "processor, % of a core": round(100 * spent, 1),
        "lag, ms": round(median(lags), 2),
        "lag of the slowest hundredth, ms": round(quantiles(lags, n=100)[-1], 2),
    }


def stream_rows() -> Iterator[Cells]:
    """Measure every worker with every number of streams, and yield the rows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    for (worker, options), number in product(WORKERS.items(), STREAM_COUNTS):
        with gunicorn("docs.measurements.speed.streams:app", options) as served:
            cells: Cells = {"worker": worker, "streams": number, **cost_of(number, served)}
        yield cells | measured_on("gunicorn", "gevent")
