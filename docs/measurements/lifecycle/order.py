"""Record in what order a view, its hooks and its stream run, on several versions of Flask.

It records too which database connections are open while the stream runs, and which after it.

``nox -s measure -- order`` makes a virtual environment for each version, records in it, and writes
``results/recorded/lifecycle.csv`` and ``results/recorded/lifecycle_resources.csv``. It needs the
network.
"""

import json
import platform
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from difflib import SequenceMatcher
from importlib.metadata import version
from io import BytesIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Literal, NamedTuple, get_args

from flask import Flask, Response, g, request, stream_with_context
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler

from docs.measurements.lab.recorder import receive
from docs.measurements.lab.results import RECORDED, recorded, write

ROOT = Path(__file__).parents[3]

#: Two from before the change to ``stream_with_context`` in Flask 3.1.2, and two from after it.
FLASKS = ("3.0.3", "3.1.1", "3.1.2", "3.1.3")

#: The client reads all; the generator raises after its first piece; the client leaves after it;
#: the client asks for the head alone.
Scenario = Literal["complete", "error", "disconnect", "head"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

#: What a stream reads from, by who opens it and who closes it: opened by the view in ``g`` and
#: closed by a teardown function; the same, but asked for again by the generator; opened by the
#: view and closed by the generator's ``finally``; opened by the view and closed by
#: ``call_on_close``; opened and closed by the generator, with ``with``.
Resource = Literal["teardown", "again", "finally", "call_on_close", "with"]
RESOURCES: dict[Resource, str] = {
    "teardown": "the view, teardown",
    "again": "``get_database()``, teardown",
    "finally": "the view, ``finally``",
    "call_on_close": "the view, ``call_on_close``",
    "with": "the generator, ``with``",
}

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


class ResourceRow(NamedTuple):
    """What became of a resource in one request, and what it was recorded on."""

    flask: str
    werkzeug: str
    python: str
    date: str
    wrapped: str
    resource: str
    scenario: str
    at_first: str
    afterwards: str


# Serve one request


class QuietServer(BaseWSGIServer):
    """Werkzeug's development server, which says nothing of the errors that are wanted here."""

    timeout = PATIENCE

    def log(self, *_: object) -> None:
        """Say nothing."""


def serve_one(
    app: Flask,
    path: str,
    scenario: Scenario,
    client_left: Event,
    record: Callable[[str], None] | None = None,
) -> None:
    """Serve an app on a real socket until one request has ended.

    :param app: what Werkzeug's development server serves.
    :param path: what is asked for.
    :param scenario: how the request ends.
    :param client_left: is set when the client has read all that it will.
    :param record: is told when the first byte is sent.
    :raises TimeoutError: when the server has not finished in time.
    """

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def end_headers(self) -> None:
            super().end_headers()
            if record:
                record("first byte sent")

        def log(self, *_: object) -> None:
            pass

    with QuietServer("127.0.0.1", 0, app, Handler) as server:
        # A thread of its own, as on a threaded server, has no context left over from the caller.
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        method = "HEAD" if scenario == "head" else "GET"
        with closing(receive(server.port, path, method, PATIENCE)) as arrivals:
            came = b""
            for arrival in arrivals:
                came += arrival.data
                if scenario == "disconnect" and came.endswith(f"{FIRST_PIECE}\r\n".encode()):
                    break  # not before the server has sent all of the piece
        client_left.set()
        thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError(f"{scenario}: the server has not finished after {PATIENCE} s")


# The order of events


def order_app(
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


def record_order(*, wrapped: bool, scenario: Scenario) -> list[str]:
    """Serve one request on the installed Flask and return what happened, in order.

    The request goes over a real socket to Werkzeug's development server.

    :param wrapped: whether the generator is given to ``stream_with_context``.
    :param scenario: how the request ends.
    :raises TimeoutError: when the server has not finished in time.
    """
    events: list[str] = []
    client_left = Event()
    app = order_app(events.append, wrapped=wrapped, scenario=scenario, client_left=client_left)
    serve_one(app, "/", scenario, client_left, events.append)
    return events


# What is open, and what is closed


def is_open(database: sqlite3.Connection) -> bool:
    """Tell whether a connection can still be used."""
    try:
        database.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


class Connections:
    """The connections that one request opens, and what its stream finds.

    :param scenario: how the request ends.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.client_left = Event()
        self.opened: list[sqlite3.Connection] = []
        self.at_first = ""

    def connect(self) -> sqlite3.Connection:
        """Open a connection that another thread may look at."""
        database = sqlite3.connect(":memory:", check_same_thread=False)
        self.opened.append(database)
        return database

    def read(self, database: sqlite3.Connection) -> Iterator[str]:
        """Stream two pieces, and see whether a connection is open before the first."""
        self.at_first = "open" if is_open(database) else "closed"
        yield FIRST_PIECE
        if self.scenario == "disconnect":
            self.client_left.wait(PATIENCE)
        if self.scenario == "error":
            raise ValueError
        yield "last\n"

    def afterwards(self) -> str:
        """Return what became of the connections."""
        if not self.opened:
            return "never opened"
        return "left open" if any(map(is_open, self.opened)) else "closed"


def resource_app(connections: Connections, *, wrapped: bool) -> Flask:
    """Return an app with a view for each resource, at the path of its name."""
    app = Flask(__name__)

    def get_database() -> sqlite3.Connection:
        if "database" not in g:
            g.database = connections.connect()
        database: sqlite3.Connection = g.database
        return database

    @app.teardown_appcontext
    def close_database(_: BaseException | None) -> None:
        database: sqlite3.Connection | None = g.pop("database", None)
        if database:
            database.close()

    def stream(pieces: Iterator[str]) -> Response:
        return Response(stream_with_context(pieces) if wrapped else pieces)

    @app.get("/teardown")
    def closed_by_teardown() -> Response:
        return stream(connections.read(get_database()))

    @app.get("/again")
    def asked_for_again() -> Response:
        get_database()

        def generate() -> Iterator[str]:
            yield from connections.read(get_database())

        return stream(generate())

    @app.get("/finally")
    def closed_by_finally() -> Response:
        database = connections.connect()

        def generate() -> Iterator[str]:
            try:
                yield from connections.read(database)
            finally:
                database.close()

        return stream(generate())

    @app.get("/call_on_close")
    def closed_by_call_on_close() -> Response:
        database = connections.connect()
        response = stream(connections.read(database))
        response.call_on_close(database.close)
        return response

    @app.get("/with")
    def closed_by_with() -> Response:
        def generate() -> Iterator[str]:
            with closing(connections.connect()) as database:
                yield from connections.read(database)

        return stream(generate())

    return app


def record_resource(
    resource: Resource, *, wrapped: bool, scenario: Scenario = "complete"
) -> tuple[str, str]:
    """Serve one request on the installed Flask and return what became of a resource.

    :param resource: who opens it and who closes it.
    :param wrapped: whether the generator is given to ``stream_with_context``.
    :param scenario: how the request ends.
    :returns: ``open``, ``closed`` or nothing, as the stream found it before its first piece;
        ``closed``, ``left open`` or ``never opened``, as it was after the request.
    :raises TimeoutError: when the server has not finished in time.
    """
    connections = Connections(scenario)
    app = resource_app(connections, wrapped=wrapped)
    serve_one(app, f"/{resource}", scenario, connections.client_left)
    afterwards = connections.afterwards()
    for database in connections.opened:
        database.close()
    return connections.at_first, afterwards


def record_upload(*, wrapped: bool) -> str:
    """Return whether an uploaded file is ``open`` or ``closed`` for a stream."""
    app = Flask(__name__)

    @app.post("/")
    def view() -> Response:
        upload = request.files["list"]

        def generate() -> Iterator[str]:
            yield "closed" if upload.closed else "open"

        return Response(stream_with_context(generate()) if wrapped else generate())

    upload = {"list": (BytesIO(b"Ada\n"), "names.txt")}
    with app.test_client().post("/", data=upload) as response:
        return response.get_data(as_text=True)


# Every version


def record_installed() -> tuple[list[Row], list[ResourceRow]]:
    """Return the rows of the installed Flask: the orders, and the resources."""
    provenance = version("flask"), version("werkzeug"), platform.python_version()
    today = date.today().isoformat()
    orders, resources = [], []
    for wrapped, scenario in product((True, False), SCENARIOS):
        base = (*provenance, today, "yes" if wrapped else "no")
        for step, event in enumerate(record_order(wrapped=wrapped, scenario=scenario), 1):
            orders.append(Row(*base, scenario, step, event))
        for resource in RESOURCES:
            states = record_resource(resource, wrapped=wrapped, scenario=scenario)
            resources.append(ResourceRow(*base, resource, scenario, *states))
        if scenario == "complete":
            found = record_upload(wrapped=wrapped)
            resources.append(ResourceRow(*base, "upload", scenario, found, "closed"))
    return orders, resources


@contextmanager
def environment(flask: str, *packages: str) -> Iterator[Path]:
    """Make a virtual environment with a version of Flask, and return where its programs are.

    :param flask: the version to install.
    :param packages: what else to install.
    :raises subprocess.CalledProcessError: when something cannot be installed.
    """
    with TemporaryDirectory(prefix="flask-") as folder:
        venv.create(folder, with_pip=True)
        programs = Path(folder, "Scripts" if sys.platform == "win32" else "bin")
        install = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
        options = ["--disable-pip-version-check", f"flask=={flask}", *packages]
        subprocess.run([*install, *options], check=True, timeout=INSTALLING)
        yield programs


def record_version(flask: str) -> tuple[list[Row], list[ResourceRow]]:
    """Return the rows of a version of Flask, recorded in an environment of its own.

    :param flask: the version to install.
    :raises subprocess.CalledProcessError: when it cannot be installed.
    :raises RuntimeError: when another version was recorded, as a ``PYTHONPATH`` may cause.
    """
    with environment(flask) as programs:
        found = subprocess.run(
            [str(programs / "python"), "-m", "docs.measurements.lifecycle.order", "--installed"],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=PATIENCE * 2 * len(SCENARIOS) * (1 + len(RESOURCES)),
        )
    orders, resources = json.loads(found.stdout)
    if {row[0] for row in orders} != {flask}:
        raise RuntimeError(f"recorded on Flask {orders[0][0]}, not on {flask}")
    return [Row(*row) for row in orders], [ResourceRow(*row) for row in resources]


# What was recorded


def release(flask: str) -> tuple[int, ...]:
    """Return a version such as ``3.1.3`` as numbers that compare."""
    return tuple(int(number) for number in flask.split(".")[:3])


def recorded_version(flask: str, versions: Iterable[str]) -> str:
    """Return the version that counts for another: itself, or the newest one before it.

    :param flask: the version that is asked for.
    :param versions: those on which something was recorded.
    :raises LookupError: when nothing was recorded on it or before it.
    """
    found = [each for each in versions if release(each) <= release(flask)]
    if not found:
        raise LookupError(f"nothing was recorded on Flask {flask} or before it")
    return max(found, key=release)


def recorded_order(*, flask: str, wrapped: bool, scenario: Scenario) -> list[str]:
    """Return the order of events that was recorded on a version of Flask.

    :param flask: the version; if nothing was recorded on it, the newest one before it counts.
    :param wrapped: whether the generator was given to ``stream_with_context``.
    :param scenario: how the request ended.
    :raises LookupError: when nothing was recorded on it or before it.
    """
    rows = recorded("lifecycle")
    counts = recorded_version(flask, {row["flask"] for row in rows})
    wanted = [counts, "yes" if wrapped else "no", scenario]
    return [
        row["event"] for row in rows if [row["flask"], row["wrapped"], row["scenario"]] == wanted
    ]


def recorded_resource(
    resource: str, *, flask: str, wrapped: bool, scenario: Scenario = "complete"
) -> tuple[str, str]:
    """Return what was recorded of a resource, as :func:`record_resource` does.

    :raises LookupError: when nothing was recorded on the version or before it.
    """
    rows = recorded("lifecycle_resources")
    counts = recorded_version(flask, {row["flask"] for row in rows})
    wanted = [counts, "yes" if wrapped else "no", resource, scenario]
    for row in rows:
        if [row["flask"], row["wrapped"], row["resource"], row["scenario"]] == wanted:
            return row["at_first"], row["afterwards"]
    raise LookupError(f"nothing was recorded of {resource}, {scenario}")


# Tables for the pages


def merge(orders: Iterable[Sequence[str]]) -> list[str]:
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


def steps(order: Sequence[str], events: Iterable[str]) -> list[int | None]:
    """Return for each event the number of the step at which an order has it, if it does."""
    places: list[int | None] = []
    step = 0
    for event in events:
        here = step < len(order) and order[step] == event
        step += here
        places.append(step if here else None)
    return places


class Settings(NamedTuple):
    """Versions of Flask that agree, and whether the generator is wrapped there."""

    wrapped: bool
    flasks: tuple[str, ...]

    def __str__(self) -> str:
        versions = "all versions" if self.flasks == FLASKS else f"Flask {', '.join(self.flasks)}"
        return f"{'Wrapped' if self.wrapped else 'Not wrapped'}, {versions}"


def agreeing() -> list[Settings]:
    """Return the versions of Flask in groups that recorded the same, wrapped ones first."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for wrapped, flask in product((True, False), FLASKS):
        orders = [recorded_order(flask=flask, wrapped=wrapped, scenario=each) for each in SCENARIOS]
        states = [
            recorded_resource(each, flask=flask, wrapped=wrapped) for each in (*RESOURCES, "upload")
        ]
        groups.setdefault((wrapped, str([orders, states])), []).append(flask)
    return [Settings(wrapped, tuple(flasks)) for (wrapped, _), flasks in groups.items()]


def order_table(
    scenario: Scenario, columns: Iterable[tuple[object, Settings]]
) -> Iterator[list[object]]:
    """Yield the steps of a request, a column for each of several settings.

    :param scenario: how the request ended.
    :param columns: their heads and settings.
    """
    heads, orders = [], []
    for head, (wrapped, flasks) in columns:
        heads.append(head)
        orders.append(recorded_order(flask=flasks[0], wrapped=wrapped, scenario=scenario))
    events = merge(orders)
    yield ["Event", *heads]
    places = [steps(order, events) for order in orders]
    for event, *numbers in zip(events, *places, strict=True):
        yield [event, *numbers]


#: What the tables mark as good; all other states are bad.
GOOD_AT_FIRST = {"open"}
GOOD_AFTERWARDS = {"closed", "never opened"}


def marked(state: str, good: Collection[str]) -> str:
    """Return the state of a resource, marked as good or bad."""
    return f":{'good' if state in good else 'bad'}:`{state}`"


def open_table(columns: Sequence[Settings]) -> Iterator[list[object]]:
    """Yield what is open when the stream starts, a column for each of several settings."""
    yield ["Opened by, closed by", *columns]
    for resource, name in [*RESOURCES.items(), ("upload", "an upload, Flask")]:
        states = [
            recorded_resource(resource, flask=flasks[0], wrapped=wrapped)[0]
            for wrapped, flasks in columns
        ]
        yield [name, *(marked(state or "no context", GOOD_AT_FIRST) for state in states)]


def released_table(columns: Iterable[Settings]) -> Iterator[list[object]]:
    """Yield what is closed after each kind of request, on all versions, wrapped or not.

    :raises ValueError: when they differ, for which the table has no place.
    """
    columns = list(columns)
    yield ["Opened by, closed by", *SCENARIOS]
    for resource, name in RESOURCES.items():
        cells: list[str] = []
        for scenario in SCENARIOS:
            found = {
                recorded_resource(resource, flask=flask, wrapped=wrapped, scenario=scenario)[1]
                for wrapped, flasks in columns
                for flask in flasks
            }
            if len(found) > 1:
                raise ValueError(f"{resource}, {scenario}: {sorted(found)}")
            cells += found
        yield [name, *(marked(cell, GOOD_AFTERWARDS) for cell in cells)]


def derived() -> dict[str, Iterable[Iterable[object]]]:
    """Return the tables that the pages show, by name, as the recorded rows give them."""
    columns = agreeing()
    named = [(each, each) for each in columns]
    wrapped = [(f"Flask {', '.join(each.flasks)}", each) for each in columns if each.wrapped]
    return {
        **{f"lifecycle_{scenario}": order_table(scenario, named) for scenario in SCENARIOS},
        "lifecycle_orders": order_table("complete", wrapped),
        "lifecycle_open": open_table(columns),
        "lifecycle_released": released_table(columns),
    }


def main() -> None:
    """Record on every version, and write the rows."""
    rows = [record_version(flask) for flask in FLASKS]
    write(RECORDED / "lifecycle.csv", [Row._fields, *(row for orders, _ in rows for row in orders)])
    resources = [row for _, found in rows for row in found]
    write(RECORDED / "lifecycle_resources.csv", [ResourceRow._fields, *resources])


if __name__ == "__main__":
    if "--installed" in sys.argv:
        json.dump(record_installed(), sys.stdout)
    else:
        main()
