"""Record what an abandoned stream leaves on the thread that served it (pallets/flask#6123).

``nox -s measure -- leak`` makes a virtual environment for each version of Flask, asks
each server in it, and writes ``results/recorded/lifecycle_leak.csv``. It needs the network.
The servers that it starts import this module too, for its app.
"""

import gc
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from datetime import date
from http.client import IncompleteRead, RemoteDisconnected
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from flask import Flask, Response, g, request, stream_with_context

from docs._system.ports import free_port
from docs.measurements.lab.processes import Events, event_log, running
from docs.measurements.lab.recorder import receive
from docs.measurements.lab.results import RECORDED, recorded, write
from docs.measurements.lifecycle.order import FLASKS, environment, recorded_version

PIECES = 40  # after which an abandoned stream ends all the same
PAUSE = 0.02  # seconds between two of them
LATER = 3  # requests before the abandoned stream is collected, and again after it
PATIENCE = 5  # seconds that a server may take to be done with a stream, and to answer

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


# What stands between the app and the server


def forgets_close(app: WSGI) -> WSGI:
    """Pass on each chunk of an app, and forget to close what it returned."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        for chunk in app(environ, start_response):  # noqa: UP028 -- "yield from" would close it
            yield chunk

    return middleware


class ClosedElsewhere:
    """What an app returned, closed by another thread than the one that iterates."""

    def __init__(self, chunks: Any) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = next(self.chunks)
        return chunk

    def close(self) -> None:
        """Close it, and forget what that raises."""

        def close() -> None:
            with suppress(LookupError, ValueError):
                self.chunks.close()

        thread = threading.Thread(target=close)
        thread.start()
        thread.join()


def closes_elsewhere(app: WSGI) -> WSGI:
    """Pass on what an app returns, and close it in another thread."""
    return lambda environ, start_response: ClosedElsewhere(app(environ, start_response))


def passes_on(app: WSGI) -> WSGI:
    """Leave an app as it is."""
    return app


class Variant(NamedTuple):
    """A way in which a stream comes to be abandoned.

    :param name: what the tables call it.
    :param middleware: what stands around the app.
    :param cycle: whether the stream is in a reference cycle, as when its generator refers to the
        response; else nothing but the server refers to it.
    :param wrapped: whether it has ``stream_with_context``.
    :param method: ``GET`` or ``HEAD``.
    :param collect: where the garbage is collected: in another ``thread``, or in a later
        ``request``.
    """

    name: str
    middleware: Callable[[WSGI], WSGI]
    cycle: bool = True
    wrapped: bool = True
    method: str = "GET"
    collect: str = "thread"


VARIANTS = [
    Variant("the app alone", passes_on),
    Variant("close() forgotten, no cycle", forgets_close, cycle=False),
    Variant("close() forgotten, cycle", forgets_close),
    Variant("close() forgotten, cycle, HEAD", forgets_close, method="HEAD"),
    Variant("close() forgotten, cycle, collected in a request", forgets_close, collect="request"),
    Variant("close() in another thread", closes_elsewhere),
    Variant("close() forgotten, cycle, not wrapped", forgets_close, wrapped=False),
]


class Server(NamedTuple):
    """A server, what starts it with one thread where it has a setting, and its packages."""

    name: str
    command: str
    packages: tuple[str, ...]


APP = "docs.measurements.lifecycle.leak:app"
GUNICORN = f"gunicorn {APP} -b 127.0.0.1:{{port}} --no-control-socket -w 1"
SERVERS = [
    Server("flask run", f"flask --app {APP} run -p {{port}}", ()),
    Server("gunicorn sync", GUNICORN, ("gunicorn",)),
    Server("gunicorn gthread", f"{GUNICORN} -k gthread --threads 1", ("gunicorn",)),
    Server("gunicorn gevent", f"{GUNICORN} -k gevent", ("gunicorn", "gevent", "packaging")),
    Server(
        "waitress", f"waitress-serve --listen=127.0.0.1:{{port}} --threads=1 {APP}", ("waitress",)
    ),
    Server(
        "Granian",
        "granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 "
        f"--blocking-threads 1 {APP}",
        ("granian",),
    ),
    Server(
        "uvicorn with a2wsgi",
        f"uvicorn --interface wsgi --port {{port}} {APP}",
        ("uvicorn", "a2wsgi"),
    ),
    Server(
        "uvicorn with asgiref",
        "uvicorn --factory --port {port} docs.measurements.lifecycle.leak:asgiref_app",
        ("uvicorn", "asgiref"),
    ),
]


# The app


class Seen:
    """What happened in the process of the server."""

    def __init__(self) -> None:
        self.served_on: threading.Thread | None = None
        self.server_closed = "never"
        self.generator = "never closed"
        self.call_on_close = False
        self.collecting = ""
        self.found: list[str | None] = []
        self.torn_down: list[str] = []

    def where(self) -> str:
        """Tell whether this is the thread that served the stream."""
        same = threading.current_thread() is self.served_on
        return "on the same thread" if same else "on another thread"


class Watched:
    """The body of the stream, as the server sees it."""

    def __init__(self, chunks: Any, seen: Seen) -> None:
        self.chunks = chunks
        self.iterator = iter(chunks)
        self.seen = seen

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = next(self.iterator)
        return chunk

    def close(self) -> None:
        """Close it, and note that the server did."""
        self.chunks.close()
        self.seen.server_closed = self.seen.where()


def watched(app: WSGI, seen: Seen) -> WSGI:
    """Note what the server does with the body of the stream."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/stream":
            return app(environ, start_response)
        seen.served_on = threading.current_thread()
        return Watched(app(environ, start_response), seen)

    return middleware


def make_app(variant: Variant) -> Flask:
    """Return an app whose stream is abandoned in one way, and that tells what came of it."""
    app = Flask(__name__)
    seen = Seen()

    def generate() -> Iterator[str]:
        try:
            for number in range(PIECES):
                yield f"piece {number}\n"
                time.sleep(PAUSE)
            seen.generator = "read to its end"
        except GeneratorExit:
            seen.generator = f"closed {seen.where()}"
            raise

    def note_call_on_close() -> None:
        seen.call_on_close = True

    @app.get("/stream")
    def stream() -> Response:
        gc.disable()  # the stream is collected where the variant says, and nowhere else
        g.owner = "the stream"
        response = Response(stream_with_context(generate()) if variant.wrapped else generate())
        response.call_on_close(note_call_on_close)
        if variant.cycle:
            vars(response)["itself"] = response
        return response

    @app.get("/later")
    def later() -> str:
        seen.found.append(g.get("owner"))
        g.owner = f"request {len(seen.found)}"
        if "collect" in request.args:
            gc.collect()
        return request.path

    @app.get("/collect")
    def collect() -> str:
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
        return "collected"

    @app.get("/seen")
    def tell() -> dict[str, object]:
        return {name: value for name, value in vars(seen).items() if name != "served_on"}

    @app.get("/ping")
    def ping() -> str:
        return "pong"

    @app.teardown_appcontext
    def teardown(_: BaseException | None) -> None:
        if str(g.get("owner")).startswith("request"):
            seen.torn_down.append(g.owner)

    def note_unraisable(unraisable: Any) -> None:
        seen.collecting = type(unraisable.exc_value).__name__

    if "ABANDONED" in os.environ:  # only in a server's process
        sys.unraisablehook = note_unraisable
    # As Flask's documentation has it, and so not known to mypy.
    vars(app)["wsgi_app"] = watched(variant.middleware(app.wsgi_app), seen)
    return app


app = make_app(VARIANTS[int(os.environ.get("ABANDONED", "0"))])


def asgiref_app() -> Any:
    """Return the app for a server that speaks ASGI, by asgiref, which is not always installed."""
    return import_module("asgiref.wsgi").WsgiToAsgi(app)


# The measurement


class Outcome(NamedTuple):
    """What came of one abandoned stream.

    :param closed: where the server called ``close()``.
    :param generator: how the generator of the stream ended.
    :param call_on_close: whether that ran.
    :param error: what was raised, and ignored, where the stream was collected.
    :param later: the number of requests after the stream.
    :param not_torn_down: those of them after which ``teardown_appcontext`` did not run.
    :param found_g: those of them that found in ``g`` what another request had left.
    :param answer: to the request during which the stream was collected, if it was in one.
    """

    closed: str
    generator: str
    call_on_close: str
    error: str
    later: int
    not_torn_down: int
    found_g: int
    answer: str


#: The columns of the recorded rows.
COLUMNS = (
    *("flask", "werkzeug", "server", "versions", "python", "date", "variant"),
    *Outcome._fields,
)


def get(port: int, path: str) -> str:
    """Return what a server answers: the body, the status of an error, or that it was cut."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            body: str = response.read().decode()
            return body
    except HTTPError as error:
        error.close()
        return str(error.code)
    except (IncompleteRead, RemoteDisconnected):
        return "cut"


def abandon(port: int, variant: Variant) -> None:
    """Ask for the stream, leave after its first piece, and wait until the server is done with it.

    A server that never calls ``close()`` is done when the generator is.
    """
    with closing(receive(port, "/stream", variant.method, PATIENCE)) as arrivals:
        came = b""
        for arrival in arrivals:
            came += arrival.data
            if b"piece 0\n" in came:
                break
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        seen = json.loads(get(port, "/seen"))
        if seen["server_closed"] != "never" or seen["generator"] != "never closed":
            return
        time.sleep(PAUSE)


def measure(port: int, variant: Variant) -> Outcome:
    """Abandon a stream, send later requests, and return what came of it."""
    abandon(port, variant)
    for _ in range(LATER):
        get(port, "/later")
    if variant.collect == "request":
        answer = get(port, "/later?collect=") or "200, and nothing in it"
    else:
        get(port, "/collect")
        answer = ""
    for _ in range(LATER):
        get(port, "/later")
    seen = json.loads(get(port, "/seen"))
    later = len(seen["found"])
    return Outcome(
        closed=seen["server_closed"],
        generator=seen["generator"],
        call_on_close="yes" if seen["call_on_close"] else "no",
        error=seen["collecting"],
        later=later,
        not_torn_down=later - len(set(seen["torn_down"])),
        found_g=sum(owner is not None for owner in seen["found"]),
        answer=answer.replace("/later", "200"),
    )


def measure_version(flask: str, events: Events) -> Iterator[tuple[object, ...]]:
    """Yield a row for each server and variant on a version of Flask."""
    wanted = {name: version(name) for server in SERVERS for name in server.packages}
    pinned = [f"{name}=={number}" for name, number in wanted.items()]
    own = version("werkzeug")
    ours = f"psutil=={version('psutil')}"  # what this module imports, with the app in it
    with environment(flask, f"werkzeug=={own}", ours, *pinned) as programs:
        for server in SERVERS:
            versions = ", ".join(f"{name} {wanted[name]}" for name in server.packages)
            for number, variant in enumerate(VARIANTS):
                outcome = measure_server(server, number, programs, events)
                base = flask, own, server.name, versions, platform.python_version()
                yield *base, date.today().isoformat(), variant.name, *outcome


def measure_server(server: Server, number: int, programs: Path, events: Events) -> Outcome:
    """Start a server with one variant of the app and measure it."""
    port = free_port()
    program, *arguments = server.command.format(port=port).split()
    command = [str(programs / program), *arguments]
    with running(command, port, events, settings={"ABANDONED": str(number)}):
        return measure(port, VARIANTS[number])


# What was recorded


def recorded_leaks(*, flask: str) -> list[dict[str, str]]:
    """Return the rows of a version of Flask, or of the newest one before it."""
    rows = recorded("lifecycle_leak")
    counts = recorded_version(flask, {row["flask"] for row in rows})
    return [row for row in rows if row["flask"] == counts]


def leak_cell(row: dict[str, str]) -> str:
    """Return how many later requests were not torn down, marked as good or bad.

    A stream that was read to its end was not abandoned, and shows nothing.
    """
    if row["generator"] == "read to its end":
        return row["generator"]
    mark = "good" if row["not_torn_down"] == "0" else "bad"
    return f":{mark}:`{row['not_torn_down']} of {row['later']}`"


def leak_table() -> Iterator[list[str]]:
    """Yield for each variant how many later requests skipped teardown.

    Servers that agree in all share a column; versions of Flask that differ have a row each.
    """
    cells = {
        (row["server"], row["variant"], row["flask"]): leak_cell(row)
        for row in recorded("lifecycle_leak")
    }
    columns: dict[str, list[str]] = {}
    for server in SERVERS:
        own = str([cell for (name, *_), cell in cells.items() if name == server.name])
        columns.setdefault(own, []).append(server.name)
    servers = list(columns.values())
    yield ["What happens to the stream", *(", ".join(names) for names in servers)]
    for variant in VARIANTS:
        lines: dict[tuple[str, ...], list[str]] = {}
        for flask in FLASKS:
            line = tuple(cells[names[0], variant.name, flask] for names in servers)
            lines.setdefault(line, []).append(flask)
        for line, flasks in lines.items():
            which = f" (Flask {', '.join(flasks)})" if len(lines) > 1 else ""
            yield [f"{variant.name}{which}".replace("close()", "``close()``"), *line]


def derived() -> dict[str, Iterable[Iterable[object]]]:
    """Return the table that a page shows, by name, as the recorded rows give it."""
    return {"lifecycle_leak_table": leak_table()}


def main() -> None:
    """Measure every server on every version, and write the rows."""
    with event_log() as events:
        rows = [row for flask in FLASKS for row in measure_version(flask, events)]
    write(RECORDED / "lifecycle_leak.csv", [COLUMNS, *rows])


if __name__ == "__main__":
    main()
