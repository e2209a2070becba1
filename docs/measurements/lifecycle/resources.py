"""Record which database connections a stream finds open, and which stay open after it.

Who opens a connection and who closes it differs; all is recorded on the installed Flask.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.metadata import version
from io import BytesIO
from itertools import product
from typing import Literal, get_args

from flask import Flask, Response, g, request, stream_with_context

from docs.measurements.lab.results import Cells
from docs.measurements.lifecycle.one_request import SCENARIOS, OneRequest, Scenario

#: A connection, by who opens it and who closes it: opened by the view in ``g`` and closed by a
#: teardown function; the same, but asked for again by the generator; opened by the view and closed
#: by the generator's ``finally``; opened by the view and closed by ``call_on_close``; opened and
#: closed by the generator, with ``with``.
Resource = Literal["teardown", "again", "finally", "call_on_close", "with"]
RESOURCES: tuple[Resource, ...] = get_args(Resource)


def is_open(database: sqlite3.Connection) -> bool:
    """Tell whether a connection can still be used."""
    with suppress(sqlite3.ProgrammingError):
        return bool(database.execute("SELECT 1"))
    return False


class Connections(OneRequest):
    """The connections that a request opens, and what its stream finds."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.opened: list[sqlite3.Connection] = []
        self.at_first = ""

    def connect(self) -> sqlite3.Connection:
        """Open a connection that another thread may look at."""
        database = sqlite3.connect(":memory:", check_same_thread=False)
        self.opened.append(database)
        return database

    def stream_from(self, database: sqlite3.Connection) -> Iterator[str]:
        """Stream two pieces, and see whether a connection is open before the first."""
        self.at_first = "open" if is_open(database) else "closed"
        yield from self.pieces()

    def afterwards(self) -> str:
        """Return what became of the connections."""
        if not self.opened:
            return "never opened"
        return "left open" if any(map(is_open, self.opened)) else "closed"


def connecting_app(connections: Connections, *, wrapped: bool) -> Flask:
    """Return an app with a view for each of :data:`RESOURCES`, at the path of its name."""
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
        return stream(connections.stream_from(get_database()))

    @app.get("/again")
    def asked_for_again() -> Response:
        get_database()

        def generate() -> Iterator[str]:
            yield from connections.stream_from(get_database())

        return stream(generate())

    @app.get("/finally")
    def closed_by_finally() -> Response:
        database = connections.connect()

        def generate() -> Iterator[str]:
            try:
                yield from connections.stream_from(database)
            finally:
                database.close()

        return stream(generate())

    @app.get("/call_on_close")
    def closed_by_call_on_close() -> Response:
        database = connections.connect()
        response = stream(connections.stream_from(database))
        response.call_on_close(database.close)
        return response

    @app.get("/with")
    def closed_by_with() -> Response:
        def generate() -> Iterator[str]:
            with closing(connections.connect()) as database:
                yield from connections.stream_from(database)

        return stream(generate())

    return app


def record_resource(
    resource: Resource, *, wrapped: bool, scenario: Scenario = "complete"
) -> tuple[str, str]:
    """Serve one request on the installed Flask and return what became of a connection.

    :param resource: who opens it and who closes it.
    :param wrapped: whether the generator is given to ``stream_with_context``.
    :param scenario: how the request ends.
    :returns: ``open``, ``closed`` or nothing, as the stream found it before its first piece;
        ``closed``, ``left open`` or ``never opened``, as it was after the request.
    :raises TimeoutError: when the server has not finished in time.
    """
    connections = Connections(scenario)
    connections.send(connecting_app(connections, wrapped=wrapped), f"/{resource}")
    afterwards = connections.afterwards()
    for database in connections.opened:
        database.close()
    return connections.at_first, afterwards


def record_upload(*, wrapped: bool) -> tuple[str, str]:
    """Return whether an uploaded file is ``open`` or ``closed`` for a stream, and after it."""
    app = Flask(__name__)
    states: list[str] = []

    @app.post("/")
    def view() -> Response:
        upload = request.files["list"]

        def state() -> str:
            states.append("closed" if upload.closed else "open")
            return states[-1]

        def generate() -> Iterator[str]:
            yield state()

        response = Response(stream_with_context(generate()) if wrapped else generate())
        response.call_on_close(state)
        return response

    upload = {"list": (BytesIO(b"Ada\n"), "names.txt")}
    with app.test_client().post("/", data=upload) as response:
        response.get_data()
    return states[0], states[1]


def resource_rows() -> Iterator[Cells]:
    """Yield a row for each connection and each way in which a request ends, and for an upload."""
    for wrapped, scenario in product((True, False), SCENARIOS):
        found: dict[str, tuple[str, str]] = {
            resource: record_resource(resource, wrapped=wrapped, scenario=scenario)
            for resource in RESOURCES
        }
        if scenario == "complete":
            found["upload"] = record_upload(wrapped=wrapped)
        for resource, (at_first, afterwards) in found.items():
            yield {
                "flask": version("flask"),
                "wrapped": "yes" if wrapped else "no",
                "resource": resource,
                "scenario": scenario,
                "at_first": at_first,
                "afterwards": afterwards,
            }


if __name__ == "__main__":
    json.dump(list(resource_rows()), sys.stdout)
