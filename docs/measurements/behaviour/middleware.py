"""Measure what middleware, extensions and hooks around the app do with its streams.

``nox -s measure -- middleware`` puts each around the measured app, serves it with
gunicorn's threads, and writes ``results/recorded/middleware.csv``;
with names it measures only those, and keeps the other rows. It is also the module that is
served: the environment variable ``STREAM_MIDDLEWARE`` names what its ``app`` has around it.
"""

import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import NamedTuple
from wsgiref.types import WSGIApplication
from wsgiref.validate import validator

import brotli  # type: ignore[import-untyped]  # it comes without types
import sentry_sdk
from flask import Flask, Response, request
from flask_compress import Compress
from flask_debugtoolbar import DebugToolbarExtension
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from docs._system.ports import free_port
from docs.measurements.behaviour.app import TICKS
from docs.measurements.behaviour.app import app as measured_app
from docs.measurements.behaviour.questions import Question, answers
from docs.measurements.behaviour.readers import departures
from docs.measurements.behaviour.responses import arrivals, errors, framings, heads
from docs.measurements.behaviour.servers import SERVERS, command
from docs.measurements.behaviour.target import Answer, Target
from docs.measurements.behaviour.verdicts import verdicts
from docs.measurements.lab.measurement import Measurement, measured_on
from docs.measurements.lab.processes import event_log, running
from docs.measurements.lab.results import Cells

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor
else:
    from backports.zstd import ZstdDecompressor

SERVER = SERVERS["gunicorn gthread"]

#: What Chromium sends.
BROWSER = "gzip, deflate, br, zstd"


class Around(NamedTuple):
    """Something to put around the app, or into it.

    :param name: what the guide calls it.
    :param wrap: puts it there, and returns what the server calls.
    :param packages: what it comes with, on the Python registry.
    :param accept: the ``Accept-Encoding`` that the client sends.
    :param mimetype: of the streams.
    """

    name: str
    wrap: Callable[[Flask], WSGIApplication]
    packages: tuple[str, ...] = ()
    accept: str = ""
    mimetype: str = "text/plain"


def hook(change: Callable[[Response], object]) -> Callable[[Flask], WSGIApplication]:
    """Return what gives an app an ``after_request`` function that does this to each response."""

    def wrap(app: Flask) -> WSGIApplication:
        @app.after_request
        def after(response: Response) -> Response:
            change(response)
            return response

        return app

    return wrap


def add_etag_unless_streamed(response: Response) -> None:
    """Let a stream alone, and give any other response an ETag."""
    if not response.is_streamed:
        response.add_etag()


def compress(**settings: object) -> Callable[[Flask], WSGIApplication]:
    """Return what gives an app Flask-Compress with these settings."""

    def wrap(app: Flask) -> WSGIApplication:
        app.config.update(settings)
        Compress(app)
        return app

    return wrap


def add_toolbar(app: Flask) -> WSGIApplication:
    """Give an app the debug toolbar."""
    app.config.update(SECRET_KEY="for the toolbar", DEBUG_TB_ENABLED=True)
    DebugToolbarExtension(app)
    return app


class Unsent(Transport):
    """What takes reports for Sentry and sends them nowhere."""

    def capture_envelope(self, envelope: Envelope) -> None:
        """Drop a report."""


def add_sentry(app: Flask) -> WSGIApplication:
    """Give an app Sentry, which traces every request and reports to nobody."""
    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1",
        transport=Unsent,
        integrations=[FlaskIntegration()],
        traces_sample_rate=1.0,
    )
    return app


COMPRESS = ("flask-compress", "brotli", "backports.zstd")

AROUND = [
    Around("nothing", lambda app: app),
    Around("ProfilerMiddleware", ProfilerMiddleware, ("werkzeug",)),
    Around("LintMiddleware", LintMiddleware, ("werkzeug",)),
    Around("DebuggedApplication", DebuggedApplication, ("werkzeug",)),
    Around("ProxyFix", ProxyFix, ("werkzeug",)),
    Around("wsgiref.validate.validator", validator),
    Around("Flask-Compress for gzip", compress(), COMPRESS, "gzip"),
    Around("Flask-Compress for gzip, deflate", compress(), COMPRESS, "gzip, deflate"),
    Around("Flask-Compress for gzip, deflate, br", compress(), COMPRESS, "gzip, deflate, br"),
    Around("Flask-Compress for a browser", compress(), COMPRESS, BROWSER),
    Around("Flask-Compress for a browser, text/csv", compress(), COMPRESS, BROWSER, "text/csv"),
    Around(
        "Flask-Compress for a browser, COMPRESS_ALGORITHM_STREAMING = gzip",
        compress(COMPRESS_ALGORITHM_STREAMING=["gzip"]),
        COMPRESS,
        BROWSER,
    ),
    Around(
        "Flask-Compress for a browser, COMPRESS_STREAMS = False",
        compress(COMPRESS_STREAMS=False),
        COMPRESS,
        BROWSER,
    ),
    Around("Flask-DebugToolbar", add_toolbar, ("flask-debugtoolbar",), mimetype="text/html"),
    Around("sentry-sdk", add_sentry, ("sentry-sdk",)),
    Around("after_request: get_data()", hook(lambda response: response.get_data())),
    Around("after_request: add_etag()", hook(lambda response: response.add_etag())),
    Around(
        "after_request: make_conditional(request)",
        hook(lambda response: response.make_conditional(request)),
    ),
    Around(
        "after_request: calculate_content_length()",
        hook(lambda response: response.calculate_content_length()),
    ),
    Around("after_request: add_etag() unless is_streamed", hook(add_etag_unless_streamed)),
]


AROUND_APP = os.environ.get("STREAM_MIDDLEWARE", "nothing")
app = next(around for around in AROUND if around.name == AROUND_APP).wrap(measured_app)

#: What undoes a compression as its bytes arrive; gzip is undone by :class:`Answer`.
DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "deflate": lambda: zlib.decompressobj().decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: ZstdDecompressor().decompress,
}


class DecodedTarget(Target):
    """A target whose answers are decompressed, each part when it arrived."""

    def ask(self, path: str, method: str = "GET", *, version: str = "1.1") -> Answer:
        """Send a request whose events can be found, and return what came of it."""
        answer = super().ask(path, method, version=version)
        make = DECODERS.get(answer.response.header("content-encoding"))
        if make:
            decode, exchange = make(), answer.exchange
            exchange.parts = [part._replace(data=decode(part.data)) for part in exchange.parts]
        return answer


def bodies(target: Target) -> Cells:
    """Ask what becomes of the five pieces of a stream."""
    response = target.ask("/ticks").response
    coding = response.header("content-encoding")
    if coding:
        body = f"compressed: {coding}"
    elif response.header("content-length"):
        body = "read first, Content-Length added"
    elif response.whole == TICKS:
        body = "untouched"
    else:
        body = f"{TICKS} pieces joined to {response.whole}"
    return {"body": body}


def closings(target: Target) -> Cells:
    """Ask whether a stream whose generator has raised is closed."""
    answer = target.ask("/error?after=3")
    closed = target.events.wait(answer.request, "call_on_close", 1)
    return {"call_on_close after an error": "yes" if closed else "no"}


QUESTIONS: list[Question] = [
    *(arrivals, framings, bodies, errors, closings, departures, heads, verdicts),
]


@contextmanager
def serve(around: Around) -> Iterator[Target]:
    """Serve the measured app with something around it until the block ends.

    :raises NotStartedError: when the server does not answer.
    """
    port = free_port()
    with event_log() as events:
        start = command(SERVER, port, events.folder, app=f"{__spec__.name}:app")
        settings = {"STREAM_MIDDLEWARE": around.name, "STREAM_MIMETYPE": around.mimetype}
        with running(start, port, events, settings=settings) as process:
            accept = f"Accept-Encoding: {around.accept}\r\n" if around.accept else ""
            yield DecodedTarget(port, events, [process], headers=accept)


def ask(around: Around) -> Cells:
    """Ask everything of the app with something around it."""
    with serve(around) as target:
        return answers(target, QUESTIONS)


def made_of(around: Around) -> Cells:
    """Return what something around the app comes with, and what serves both."""
    versions = ", ".join(f"{package} {version(package)}" for package in around.packages)
    return {"versions": versions, "behind": SERVER.name, **measured_on(*SERVER.packages)}


MEASUREMENT = Measurement(
    "middleware",
    AROUND,
    names=lambda each: {"around": each.name, "accepts": each.accept, "type": each.mimetype},
    ask=ask,
    on=made_of,
    at_once=6,
)


if __name__ == "__main__":
    MEASUREMENT.run(sys.argv[1:])
