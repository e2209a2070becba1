"""Measure what middleware, extensions and hooks around the app do with its streams.

Each of ``middleware.toml`` is put around the measured app, which gunicorn's threads serve from this
module: the environment variable ``STREAM_MIDDLEWARE`` names what its ``app`` has around it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from wsgiref.types import WSGIApplication

import brotli  # type: ignore[import-untyped]  # it comes without types
import sentry_sdk
from flask import Flask, Response, request
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

from docs._system.declared import declared
from docs.measurements.behaviour.app import TICKS
from docs.measurements.behaviour.app import app as measured_app
from docs.measurements.behaviour.questions import Question
from docs.measurements.behaviour.readers import departures
from docs.measurements.behaviour.responses import errors, framings, heads, timings
from docs.measurements.behaviour.servers import SERVERS, answers, running_server
from docs.measurements.behaviour.target import Target
from docs.measurements.behaviour.verdicts import verdicts
from docs.measurements.lab.environments import made_of
from docs.measurements.lab.measurement import Measurement, cases_of, measured_on
from docs.measurements.lab.recorder import DECODERS
from docs.measurements.lab.results import Cells

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor
else:
    from backports.zstd import ZstdDecompressor

SERVER = SERVERS["gunicorn gthread"]

DECODERS["br"] = lambda: brotli.Decompressor().process
DECODERS["zstd"] = lambda: ZstdDecompressor().decompress


@dataclass(frozen=True)
class Around:
    """Something around the app, or in it; ``middleware.toml`` says what each of these is."""

    name: str
    middleware: str = ""
    extension: str = ""
    config: Mapping[str, object] = field(default_factory=dict)
    call: str = ""
    unless_streamed: bool = False
    packages: Sequence[str] = ()
    accept: str = ""
    mimetype: str = "text/plain"

    def wrap(self, app: Flask) -> WSGIApplication:
        """Put it around an app, or into it, and return what the server calls."""
        app.config.update(self.config)
        if self.extension:
            resolve_name(self.extension)(app)
        if self.call:
            app.after_request(self.hook)
        wrapped: WSGIApplication = resolve_name(self.middleware)(app) if self.middleware else app
        return wrapped

    def hook(self, response: Response) -> Response:
        """Call a method of a response."""
        if not (self.unless_streamed and response.is_streamed):
            arguments = [request] if self.call == "make_conditional" else []
            getattr(response, self.call)(*arguments)
        return response


class Unsent(Transport):
    """What takes reports for Sentry and sends them nowhere."""

    def capture_envelope(self, envelope: Envelope) -> None:
        """Drop a report."""


def add_sentry(_: Flask) -> None:
    """Set up Sentry, which traces every request and reports to nobody."""
    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1",
        transport=Unsent,
        integrations=[FlaskIntegration()],
        traces_sample_rate=1.0,
    )


AROUND = cases_of(declared(__file__), Around)

app = AROUND[os.environ.get("STREAM_MIDDLEWARE", "nothing")].wrap(measured_app)


def bodies(target: Target) -> Cells:
    """Ask what becomes of the five pieces of a stream."""
    response = target.fetch("/ticks").response
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
    answer = target.fetch("/error?after=3")
    closed = target.events.wait(answer.request, "call_on_close", 1)
    return {"call_on_close after an error": "yes" if closed else "no"}


ASKED: list[Question] = [timings, framings, bodies, errors, closings, departures, heads, verdicts]


def ask(around: Around) -> Cells:
    """Ask everything of the app with something around it."""
    accept = f"Accept-Encoding: {around.accept}\r\n" if around.accept else ""
    own = {"STREAM_MIDDLEWARE": around.name, "STREAM_MIMETYPE": around.mimetype}
    with running_server(SERVER, app=f"{__spec__.name}:app", settings=own, headers=accept) as target:
        return answers(target, ASKED)


def names(around: Around) -> Cells:
    """Return what sets something around the app apart."""
    return {"around": around.name, "accepts": around.accept, "type": around.mimetype}


def on(around: Around) -> Cells:
    """Return what something around the app comes with, and what serves both."""
    own = {"versions": made_of(*around.packages), "behind": SERVER.name}
    return own | measured_on(*SERVER.packages)


MEASUREMENT = Measurement(
    "middleware", list(AROUND.values()), names=names, ask=ask, on=on, at_once=6
)
