"""Measure when each byte of the same page arrives, streamed and buffered."""

import time
from collections.abc import Iterator
from itertools import product

from flask import Flask

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.recorder import fetch
from docs.measurements.lab.results import Cells

PIECES = 10
PIECE = f"<p>{'.' * 992}</p>\n"  # 1000 bytes
DELAY = 0.1  # seconds that a piece takes to make, as a slow query would

VIEWS = ("streamed", "buffered")
VIEW_RUNS = 9

app = Flask(__name__)


def make_pieces() -> Iterator[str]:
    """Yield the page, each piece after the time that it takes to make."""
    for _ in range(PIECES):
        time.sleep(DELAY)
        yield PIECE


@app.get("/streamed")
def streamed() -> Iterator[str]:
    """Send each piece when it is made."""
    return make_pieces()


@app.get("/buffered")
def buffered() -> str:
    """Send the page when all of it is made."""
    return "".join(make_pieces())


def arrival_rows() -> Iterator[Cells]:
    """Fetch the views in turn, several times, and yield a row for what each ``recv`` brought.

    :raises ValueError: when a view did not send the whole page.
    """
    with gunicorn("docs.measurements.speed.arrivals:app") as served:
        for run, view in product(range(1, VIEW_RUNS + 1), VIEWS):
            answer = fetch(served.port, f"/{view}")
            if answer.ending != "complete" or len(answer.body) != PIECES * len(PIECE):
                raise ValueError(f"{view}: {len(answer.body)} bytes came, {answer.ending}")
            so_far = 0
            for chunk, (seconds, data) in enumerate(answer.parts, 1):
                so_far += len(data)
                yield {
                    "view": view,
                    "run": run,
                    "chunk": chunk,
                    "seconds": round(seconds, 4),
                    "bytes_so_far": so_far,
                    "worker": "gthread",
                    **measured_on("gunicorn"),
                }
