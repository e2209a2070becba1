"""An app whose stream is abandoned in one of several ways, and which tells what came of it.

``leak.py`` has real servers serve it. It needs Flask alone.
"""

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any, NamedTuple

from flask import Flask, Response, g, request, stream_with_context
from werkzeug.wsgi import ClosingIterator

ABANDONED_PIECES = 40  # after which an abandoned stream ends all the same
INTERVAL = 0.02  # seconds between two of them

#: The environment variable that says which of :data:`VARIANTS` this is.
ABANDONED = "ABANDONED"

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def in_another_thread(work: Callable[[], object]) -> None:
    """Do some work in a thread of its own, and wait for it."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def forgets_close(app: WSGI) -> WSGI:
    """Pass on each chunk of an app, and forget to close what it returned."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        for chunk in app(environ, start_response):  # noqa: UP028 -- "yield from" would close it
            yield chunk

    return middleware


def closes_elsewhere(app: WSGI) -> WSGI:
    """Pass on what an app returns, and close it in another thread."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        chunks: Any = app(environ, start_response)

        def close() -> None:
            with suppress(LookupError, ValueError):
                chunks.close()

        return ClosingIterator(chain(chunks), [partial(in_another_thread, close)])

    return middleware


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
    Variant("the app alone", lambda app: app),
    Variant("close() forgotten, no cycle", forgets_close, cycle=False),
    Variant("close() forgotten, cycle", forgets_close),
    Variant("close() forgotten, cycle, HEAD", forgets_close, method="HEAD"),
    Variant("close() forgotten, cycle, collected in a request", forgets_close, collect="request"),
    Variant("close() in another thread", closes_elsewhere),
    Variant("close() forgotten, cycle, not wrapped", forgets_close, wrapped=False),
]


app = Flask(__name__)
variant = VARIANTS[int(os.environ.get(ABANDONED, "0"))]

#: What came of the stream, as cells of a row.
came_of_it = {
    "closed": "never",  # where the server called close()
    "generator": "never closed",  # how it ended
    "call_on_close": "no",  # whether that ran
    "error": "",  # what was raised, and ignored, where the stream was collected
}

#: The thread of the stream, what each later request found in ``g``, and which were torn down.
served_on: set[threading.Thread] = set()
found: list[str | None] = []
torn_down: set[str] = set()


def where() -> str:
    """Tell whether this is the thread that served the stream."""
    same = threading.current_thread() in served_on
    return "on the same thread" if same else "on another thread"


def generate() -> Iterator[str]:
    """Send pieces for about a second, and note how that ends."""
    try:
        for number in range(ABANDONED_PIECES):
            yield f"piece {number}\n"
            time.sleep(INTERVAL)
        came_of_it["generator"] = "read to its end"
    except GeneratorExit:
        came_of_it["generator"] = f"closed {where()}"
        raise


@app.get("/stream")
def stream() -> Response:
    """Send the stream that is abandoned."""
    gc.disable()  # the stream is collected where the variant says, and nowhere else
    g.owner = "the stream"
    response = Response(stream_with_context(generate()) if variant.wrapped else generate())
    response.call_on_close(partial(came_of_it.update, call_on_close="yes"))
    if variant.cycle:
        vars(response)["itself"] = response
    return response


@app.get("/later")
def later() -> str:
    """Answer a request after the stream, and collect the garbage in it with ``?collect=``."""
    found.append(g.get("owner"))
    g.owner = f"request {len(found)}"
    if "collect" in request.args:
        gc.collect()
    return "200"


@app.teardown_appcontext
def note_teardown(_: BaseException | None) -> None:
    """Note which later request is torn down."""
    if str(g.get("owner")).startswith("request"):
        torn_down.add(g.owner)


@app.get("/collect")
def collect() -> str:
    """Collect the garbage in another thread."""
    in_another_thread(gc.collect)
    return "collected"


@app.get("/aftermath")
def aftermath() -> str:
    """Return what came of the stream, and of how many later requests, in the order of a row.

    They are those that were sent, those after which ``teardown_appcontext`` did not run, and those
    that found in ``g`` what another request had left.
    """
    later = {
        "later": len(found),
        "not_torn_down": len(found) - len(torn_down),
        "found_g": sum(owner is not None for owner in found),
    }
    return json.dumps(came_of_it | later)


def noted(app: WSGI) -> WSGI:
    """Note which thread serves the stream, and where the server closes it."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        chunks = app(environ, start_response)
        if environ["PATH_INFO"] != "/stream":
            return chunks
        served_on.add(threading.current_thread())
        return ClosingIterator(chunks, [lambda: came_of_it.update(closed=where())])

    return middleware


def note_unraisable(unraisable: Any) -> None:
    """Note what is raised, and ignored, where the stream is collected."""
    came_of_it["error"] = type(unraisable.exc_value).__name__


if ABANDONED in os.environ:  # only in a server's process
    sys.unraisablehook = note_unraisable
# As Flask's documentation has it, and so not known to mypy.
vars(app)["wsgi_app"] = noted(variant.middleware(app.wsgi_app))


def asgiref_app() -> Any:
    """Return the app for a server that speaks ASGI, by asgiref, which is not always installed."""
    return import_module("asgiref.wsgi").WsgiToAsgi(app)
