"""Measure when each byte of the same page arrives, streamed and buffered.

``nox -s measure -- arrivals`` measures it again and writes ``results/recorded/arrivals.csv``.
"""

import csv
import platform
import time
from collections.abc import Iterable, Iterator
from datetime import date
from importlib.metadata import version
from statistics import median_low
from typing import NamedTuple

from flask import Flask

from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.recorder import body_arrivals, receive
from docs.measurements.lab.results import RECORDED, write

ARRIVALS = RECORDED / "arrivals.csv"

PIECES = 10
PIECE = f"<p>{'.' * 992}</p>\n"  # 1000 bytes
DELAY = 0.1  # seconds that a piece takes to make, as a slow query would

VIEWS = ("streamed", "buffered")
RUNS = 9
PATIENCE = 20  # seconds that an answer may take

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


@app.get("/ping")
def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"


class Row(NamedTuple):
    """What one ``recv`` brought of the body, and what it was measured with."""

    view: str
    run: int
    chunk: int
    seconds: float
    bytes_so_far: int
    worker: str
    gunicorn: str
    flask: str
    werkzeug: str
    python: str
    date: str


def measure() -> Iterator[Row]:
    """Fetch the views in turn, several times, and yield a row for each arrival.

    :raises ValueError: when a view did not send the whole page.
    """
    versions = {name: version(name) for name in ("gunicorn", "flask", "werkzeug")}
    versions |= {"python": platform.python_version(), "date": date.today().isoformat()}
    with gunicorn("docs.measurements.speed.arrivals:app") as served:
        for run in range(1, RUNS + 1):
            for view in VIEWS:
                so_far = 0
                arrivals = body_arrivals(receive(served.port, f"/{view}", timeout=PATIENCE))
                for chunk, (seconds, data) in enumerate(arrivals, 1):
                    so_far += len(data)
                    yield Row(view, run, chunk, round(seconds, 4), so_far, "gthread", **versions)
                if so_far != PIECES * len(PIECE):
                    raise ValueError(f"{view}: {so_far} bytes came")


def recorded_arrivals() -> list[Row]:
    """Return all rows of the recorded measurement."""
    with ARRIVALS.open(encoding="utf-8", newline="") as file:
        cells = csv.reader(file)
        next(cells)
        return [
            Row(view, int(run), int(chunk), float(seconds), int(so_far), *versions)
            for view, run, chunk, seconds, so_far, *versions in cells
        ]


def typical_run(rows: Iterable[Row], view: str) -> list[Row]:
    """Return the rows of one run of a view: the one whose last byte came at the median time."""
    runs: dict[int, list[Row]] = {}
    for row in rows:
        if row.view == view:
            runs.setdefault(row.run, []).append(row)
    middle = median_low(run[-1].seconds for run in runs.values())
    return next(run for run in runs.values() if run[-1].seconds == middle)


def table(rows: Iterable[Row]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the few numbers that a page shows beside the figure, their header first."""
    rows = list(rows)
    yield "Page", "First byte", "Last byte", "Measured on"
    for view in VIEWS:
        run = typical_run(rows, view)
        first, last = run[0], run[-1]
        yield (
            view,
            f"{first.seconds:.2f}\N{NO-BREAK SPACE}s",
            f"{last.seconds:.2f}\N{NO-BREAK SPACE}s",
            f"gunicorn {first.gunicorn} ({first.worker}), Flask {first.flask}, {first.date}",
        )


def derived() -> dict[str, Iterable[Iterable[object]]]:
    """Return the table that a page shows, by name, as the recorded rows give it."""
    return {"arrivals_table": table(recorded_arrivals())}


def main() -> None:
    """Measure, and write the rows."""
    write(ARRIVALS, [Row._fields, *measure()])


if __name__ == "__main__":
    main()
