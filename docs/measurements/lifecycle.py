"""Record in what order a view, its hooks and its stream run, on several versions of Flask.

``python -m docs.measurements.lifecycle`` makes a virtual environment for each version,
records in it, and writes ``results/lifecycle*.csv``. It needs the network.
"""

import csv
import json
import platform
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import date
from difflib import SequenceMatcher
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Literal, NamedTuple, get_args

from flask import Flask, Response, stream_with_context
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler

from docs.measurements.recorder import receive
from docs.measurements.results import RESULTS, write

ROOT = Path(__file__).parents[2]
LIFECYCLE = RESULTS / "lifecycle.csv"
ORDERS = RESULTS / "lifecycle_orders.csv"

#: Two from before the change to ``stream_with_context`` in Flask 3.1.2, and one from after it.
FLASKS = ("3.0.3", "3.1.1", "3.1.3")

#: The client reads all; the generator raises after its first piece; the client leaves after it;
#: the client asks for the head alone.
Scenario = Literal["complete", "error", "disconnect", "head"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

FIRST_PIECE = "first\n"
PATIENCE = 10  # seconds that a request may take
INSTALLING = 300  # seconds that making an environment may take


class Row(NamedTuple):
    """One event of one request, and what it was recorded on."""

    flask: str
    werkzeug: str
    python: str
    date: str
    wrapped: str
    scenario: str
    step: int
    event: str


def make_app(
    record: Callable[[str], None], *, wrapped: bool, scenario: Scenario, client_left: Event
) -> Flask:
    """Return an app with one view that streams two pieces and reports all that happens."""
    app = Flask(__name__)

    def generate() -> Iterator[str]:
        record("generator starts")
        try:
            yield FIRST_PIECE
            if scenario == "disconnect":
                client_left.wait(PATIENCE)
            record("generator goes on")
            if scenario == "error":
                record("generator raises ValueError")
                raise ValueError
            yield "last\n"
            record("generator ends")
        except GeneratorExit:
            record("generator gets GeneratorExit")
            raise

    @app.get("/")
    def view() -> Response:
        record("view")
        pieces = stream_with_context(generate()) if wrapped else generate()
        response = Response(pieces)
        response.call_on_close(lambda: record("call_on_close"))
        return response

    @app.after_request
    def after_request(response: Response) -> Response:
        record("after_request")
        return response

    @app.teardown_request
    def teardown_request(error: BaseException | None) -> None:
        record(f"teardown_request({type(error).__name__ if error else None})")

    @app.teardown_appcontext
    def teardown_appcontext(error: BaseException | None) -> None:
        record(f"teardown_appcontext({type(error).__name__ if error else None})")

    return app


class QuietServer(BaseWSGIServer):
    """Werkzeug's development server, which says nothing of the errors that are wanted here."""

    timeout = PATIENCE

    def log(self, *_: object) -> None:
        """Say nothing."""


def record_order(*, wrapped: bool, scenario: Scenario) -> list[str]:
    """Serve one request on the installed Flask and return what happened, in order.

    The request goes over a real socket to Werkzeug's development server.

    :param wrapped: whether the generator is given to ``stream_with_context``.
    :param scenario: how the request ends.
    :raises TimeoutError: when the server has not finished in time.
    """
    events: list[str] = []
    client_left = Event()

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def end_headers(self) -> None:
            super().end_headers()
            events.append("first byte sent")

        def log(self, *_: object) -> None:
            pass

    app = make_app(events.append, wrapped=wrapped, scenario=scenario, client_left=client_left)
    with QuietServer("127.0.0.1", 0, app, Handler) as server:
        # A thread of its own, as on a threaded server, has no context left over from the caller.
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        method = "HEAD" if scenario == "head" else "GET"
        with closing(receive(server.port, method=method, timeout=PATIENCE)) as arrivals:
            came = b""
            for arrival in arrivals:
                came += arrival.data
                if scenario == "disconnect" and came.endswith(f"{FIRST_PIECE}\r\n".encode()):
                    break  # not before the server has sent all of the piece
        client_left.set()
        thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError(f"{scenario}: the server has not finished after {PATIENCE} s")
    return events


def record_installed() -> Iterator[Row]:
    """Yield the rows of every scenario on the installed Flask."""
    provenance = version("flask"), version("werkzeug"), platform.python_version()
    today = date.today().isoformat()
    for wrapped, scenario in product((True, False), SCENARIOS):
        for step, event in enumerate(record_order(wrapped=wrapped, scenario=scenario), 1):
            yield Row(*provenance, today, "yes" if wrapped else "no", scenario, step, event)


def record_version(flask: str) -> list[Row]:
    """Return the rows of every scenario on a version of Flask, in an environment of its own.

    :param flask: the version to install.
    :raises subprocess.CalledProcessError: when it cannot be installed.
    :raises RuntimeError: when another version was recorded, as a ``PYTHONPATH`` may cause.
    """
    with TemporaryDirectory(prefix="flask-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python"))
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, f"flask=={flask}"], check=True, timeout=INSTALLING)
        recorded = subprocess.run(
            [python, "-m", "docs.measurements.lifecycle", "--installed"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=PATIENCE * 2 * len(SCENARIOS),
        )
    rows = [Row(*cells) for cells in json.loads(recorded.stdout)]
    if {row.flask for row in rows} != {flask}:
        raise RuntimeError(f"recorded on Flask {rows[0].flask}, not on {flask}")
    return rows


def release(flask: str) -> tuple[int, ...]:
    """Return a version such as ``3.1.3`` as numbers that compare."""
    return tuple(int(number) for number in flask.split(".")[:3])


def recorded_order(*, flask: str, wrapped: bool, scenario: Scenario) -> list[str]:
    """Return the order of events that was recorded on a version of Flask.

    :param flask: the version; if nothing was recorded on it, the newest one before it counts.
    :param wrapped: whether the generator was given to ``stream_with_context``.
    :param scenario: how the request ended.
    :raises LookupError: when nothing was recorded on it or before it.
    """
    with LIFECYCLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [row["flask"] for row in rows if release(row["flask"]) <= release(flask)]
    if not found:
        raise LookupError(f"nothing was recorded on Flask {flask} or before it")
    wanted = [max(found, key=release), "yes" if wrapped else "no", scenario]
    return [
        row["event"] for row in rows if [row["flask"], row["wrapped"], row["scenario"]] == wanted
    ]


def merge(orders: Iterable[list[str]]) -> list[str]:
    """Return the shortest order we find that has each of several orders in it."""
    merged: list[str] = []
    for order in orders:
        matcher = SequenceMatcher(None, merged, order, autojunk=False)
        longer: list[str] = []
        for tag, start, end, order_start, order_end in matcher.get_opcodes():
            longer += merged[start:end]
            longer += [] if tag == "equal" else order[order_start:order_end]
        merged = longer
    return merged


def steps(order: list[str], events: list[str]) -> list[int | None]:
    """Return for each event the number of the step at which an order has it, if it does."""
    places: list[int | None] = []
    step = 0
    for event in events:
        here = step < len(order) and order[step] == event
        step += here
        places.append(step if here else None)
    return places


def table(rows: Iterable[Row]) -> Iterator[list[object]]:
    """Yield the steps of a wrapped stream that is read to its end, a column for each version."""
    orders: dict[str, list[str]] = {}
    for row in rows:
        if row.wrapped == "yes" and row.scenario == "complete":
            orders.setdefault(row.flask, []).append(row.event)
    events = merge(orders.values())
    yield ["Event", *(f"Flask {flask}" for flask in orders)]
    columns = [steps(order, events) for order in orders.values()]
    for event, *places in zip(events, *columns, strict=True):
        yield [event, *places]


def main() -> None:
    """Record on every version, and write the rows and the table."""
    rows = [row for flask in FLASKS for row in record_version(flask)]
    write(LIFECYCLE, [Row._fields, *rows])
    write(ORDERS, table(rows))


if __name__ == "__main__":
    if "--installed" in sys.argv:
        json.dump(list(record_installed()), sys.stdout)
    else:
        main()
