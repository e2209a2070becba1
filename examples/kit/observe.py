"""Observe each response: its first byte, its size, how long it was open, and how it ended."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Response
from werkzeug.datastructures import Headers

#: The logger of :func:`log_stream`.
LOGGER = logging.getLogger("streams")

#: Characters of a path that are logged.
LONGEST_PATH = 1000


@dataclass(eq=False, slots=True)
class Stream:
    """A response, from the call of the app until the server closes it."""

    #: The method of the request.
    method: str
    #: The path of the request, without the query, which can contain a secret.
    path: str
    #: The route, such as ``/flights/<carrier>``. It is empty where no route matched.
    route: str = ""
    #: The status that the app sent. The client of a cut response received it too.
    status: int | None = None
    #: How it ended: see :func:`observe`.
    outcome: str = "left"
    #: The class of the error. Its message is left out, because it can contain a secret.
    error: str | None = None
    #: Seconds until the first byte of the body was ready.
    first_byte: float | None = None
    #: Seconds until the response was closed.
    seconds: float | None = None
    #: The bytes that the server has written. A file that the server reads itself has none.
    size: int | None = 0
    #: The ``Content-Length`` of the body.
    promised: int | None = None
    began: float = field(default_factory=monotonic)

    def fail(self, error: BaseException) -> None:
        """Note an error of the app."""
        self.outcome, self.error = "failed", type(error).__name__

    def end(self) -> None:
        """Note the end, and compare the body with its ``Content-Length``."""
        self.seconds = round(monotonic() - self.began, 6)
        if self.method == "HEAD" or self.status in (204, 304):  # they have no body
            self.promised = None
        if self.outcome == "complete" and self.promised not in (None, self.size):
            self.outcome = "wrong_length"


class Body:
    """The body of a response, which counts what the server writes.

    :param chunks: the body of the app.
    :param stream: what notes the bytes.
    :param end: called when the body is closed, once.
    """

    def __init__(self, chunks: Iterable[bytes], stream: Stream, end: Callable[[], None]) -> None:
        self.chunks, self.stream, self.end = chunks, stream, end

    def __iter__(self) -> Iterator[bytes]:
        stream = self.stream
        assert stream.size is not None
        try:
            for chunk in self.chunks:
                if stream.first_byte is None and chunk:
                    stream.first_byte = round(monotonic() - stream.began, 6)
                yield chunk
                stream.size += len(chunk)  # the server came back, so it wrote this one
            stream.outcome = "complete"
        except GeneratorExit:
            raise
        except BaseException as error:  # such as SystemExit, when gunicorn ends a worker
            stream.fail(error)
            raise

    def close(self) -> None:
        """Close the body of the app."""
        end, self.end = self.end, lambda: None
        end()


def is_file(environ: WSGIEnvironment, body: object) -> bool:
    """Return whether the server reads a body by itself, as a file of ``send_file``."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(body, wrapper):
        return True
    return bool(wrapper) and hasattr(body, "fileno")  # on uWSGI it is the file


def route_of(environ: WSGIEnvironment) -> str:
    """Return the route of the Flask app that answered a request."""
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return rule.rule if rule else ""


def report(calls: Iterable[Callable[[Stream], object] | None], stream: Stream) -> None:
    """Call each function with a stream. An error is logged, because the response must go on."""
    for call in filter(None, calls):
        try:
            call(stream)
        except Exception:
            LOGGER.exception("a response was not reported")


def observe(
    wsgi_app: WSGIApplication,
    *ended: Callable[[Stream], object],
    opened: Callable[[Stream], object] | None = None,
    route: Callable[[WSGIEnvironment], str] = route_of,
) -> WSGIApplication:
    """Return an app that reports each response when the server closes it.

    The outcome of a response is

    - ``complete`` when the server has written every chunk
    - ``left`` when the server closed it early, because the client disconnected
    - ``failed`` for an error of the app
    - ``wrong_length`` when it was complete, and not as long as its ``Content-Length``
    - ``file`` for a file of ``send_file`` that the server reads itself, without Python.

    The body of the app is closed once, also where the server closes it twice.

    >>> from flask import Flask
    >>> app, streams = Flask(__name__), []
    >>> app.wsgi_app = observe(app.wsgi_app, streams.append)
    >>> @app.get("/flights/<carrier>")
    ... def flights(carrier):
    ...     return iter([f"{carrier} 1545", f"{carrier} 1714"])
    >>> with app.test_client().get("/flights/UA?token=secret") as response:
    ...     response.text, streams
    ('UA 1545UA 1714', [])
    >>> for stream in streams:
    ...     stream.route, stream.path, stream.outcome, stream.size
    ('/flights/<carrier>', '/flights/UA', 'complete', 14)

    :param wsgi_app: the app, such as ``app.wsgi_app``.
    :param ended: each is called when a response is closed.
    :param opened: called before the first chunk, and before ``ended`` with the same route.
    :param route: returns the route of a request, which is one of a small number of names.
    """

    def observed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        stream = Stream(environ["REQUEST_METHOD"], path)
        unopened = [opened]

        def report_opened() -> None:
            while unopened:
                report([unopened.pop()], stream)

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            stream.status, stream.route = int(status[:3]), route(environ)  # Flask forgets it soon
            stream.promised = Headers(headers).get("Content-Length", type=int)
            report_opened()  # an app that is a generator calls this when its body is read
            return start_response(status, headers, *error)

        def finish() -> None:
            try:
                close_body()
            except BaseException as error:
                stream.fail(error)
                raise
            finally:
                report_opened()
                stream.end()
                report(ended, stream)

        try:
            body: Any = wsgi_app(environ, start)
        except BaseException as error:
            report_opened()
            stream.fail(error)
            stream.end()
            report(ended, stream)
            raise
        close_body = getattr(body, "close", lambda: None)
        counted = Body(body, stream, finish)
        if is_file(environ, body):
            with suppress(AttributeError):  # the wrapper of mod_wsgi refuses it
                body.close = counted.close
                stream.outcome, stream.size = "file", None
                return body  # type: ignore[no-any-return]  # the file, as the app returned it
        return counted

    return observed


def log_stream(stream: Stream) -> None:
    r"""Log a response as one line of JSON, with the level WARNING if the app has a fault.

    JSON escapes control characters, so a path cannot forge a second line.

    >>> import sys
    >>> handler = logging.StreamHandler(sys.stdout)
    >>> LOGGER.addHandler(handler)
    >>> log_stream(Stream("GET", "/gate\nGET /forged", outcome="failed", error="KeyError"))
    {"method": "GET", "path": "/gate\nGET /forged", "route": "", "status": null, "outcome": ...
    >>> LOGGER.removeHandler(handler)
    """
    values = {name: getattr(stream, name) for name in Stream.__slots__ if name != "began"}
    values["path"] = stream.path[:LONGEST_PATH]
    fault = stream.outcome in ("failed", "wrong_length")
    LOGGER.log(logging.WARNING if fault else logging.INFO, json.dumps(values))


class StreamMetrics:
    """Count responses for Prometheus, by route and by outcome. It needs ``prometheus-client``.

    Routes are few. Paths are as many as clients invent, and each would be a time series.

    >>> from prometheus_client import CollectorRegistry
    >>> registry = CollectorRegistry()
    >>> metrics = StreamMetrics(registry)
    >>> stream = Stream("GET", "/flights/UA", route="/flights/<carrier>", size=0)
    >>> metrics.opened(stream)
    >>> registry.get_sample_value("streams_open", {"route": "/flights/<carrier>"})
    1.0
    >>> stream.end()
    >>> metrics.ended(stream)
    >>> registry.get_sample_value("streams_open", {"route": "/flights/<carrier>"})
    0.0

    :param registry: a registry of ``prometheus_client``, by default its own.
    """

    def __init__(self, registry: Any = None) -> None:
        from prometheus_client import REGISTRY, Counter, Gauge, Histogram

        if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        into: Any = {"registry": registry or REGISTRY, "labelnames": ["route"]}
        by_outcome = into | {"labelnames": ["route", "outcome"]}
        #: Of all workers that live.
        self.open = Gauge("streams_open", "Open responses", multiprocess_mode="livesum", **into)
        self.ends = Counter("streams_ended", "Closed responses", **by_outcome)
        self.sent = Counter("stream_sent_bytes", "Bytes written", **into)
        self.first_byte = Histogram("stream_first_byte_seconds", "Until the first byte", **into)
        minutes = (0.1, 1, 10, 60, 600, 3600)
        self.seconds = Histogram("stream_seconds", "Until the close", buckets=minutes, **into)

    def opened(self, stream: Stream) -> None:
        """Count a response that opens."""
        self.open.labels(stream.route).inc()

    def ended(self, stream: Stream) -> None:
        """Count a response that is closed."""
        self.open.labels(stream.route).dec()
        self.ends.labels(stream.route, stream.outcome).inc()
        self.sent.labels(stream.route).inc(stream.size or 0)
        self.seconds.labels(stream.route).observe(stream.seconds or 0)
        if stream.first_byte is not None:
            self.first_byte.labels(stream.route).observe(stream.first_byte)

    @staticmethod
    def page() -> Response:
        """Return the page that Prometheus reads, for all workers in multiprocess mode."""
        from prometheus_client import REGISTRY, CollectorRegistry, exposition, multiprocess

        registry = REGISTRY
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        text = exposition.generate_latest(registry)
        return Response(text, content_type=exposition.CONTENT_TYPE_LATEST)
