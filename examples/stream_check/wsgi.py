"""Call a WSGI app without a server, and follow its items."""

import ast
import io
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from wsgiref.util import setup_testing_defaults

from .report import Report
from .request import FORM, PLAIN, Options, origin_form
from .watch import LINGER, Watch


def load_app(name: str) -> Callable[..., Iterable[bytes]]:
    """Import an app by a name such as ``module:app`` or ``module:create_app()``.

    The current folder is searched too.

    :raises ValueError: when that is no app.
    """
    module, _, attribute = name.partition(":")
    attribute, called, values = attribute.partition("(")
    sys.path.insert(0, str(Path.cwd()))
    try:
        app: Any = attrgetter(attribute)(import_module(module))
        if called:
            app = app(*ast.literal_eval(f"[{values.rstrip()[:-1]}]"))
    except Exception as error:
        raise ValueError(f"cannot import {name!r}: {type(error).__name__}: {error}") from error
    if not callable(app):
        raise ValueError(f"{name!r} is no app, and cannot be called")
    found: Callable[..., Iterable[bytes]] = app
    return found


def check_app(
    name: str, path: str = "/", options: Options = PLAIN, show: Callable[[str], object] = str
) -> Report:
    """Call a WSGI app (:pep:`3333`) without a server and report how its items come.

    It runs in a thread, so that it cannot hang the caller.

    :param name: such as ``module:app``.
    :param path: what to ask for, with its query.
    :param options: how to ask.
    :param show: called with a line of text for each item, as it comes. What it raises is raised.
    :raises ValueError: when there is no such app.
    """
    app, path = load_app(name), origin_form(path)
    watch = Watch(f"{path} of {name}", options, show)
    watch.report.unit = "item"
    thread = threading.Thread(target=call_app, args=[app, path, watch], daemon=True)
    watch.start()
    try:
        thread.start()
        watch.over.wait(options.timeout)
        watch.end("stopped at the time limit", f"no end within {options.timeout:g} s")
    except KeyboardInterrupt:
        watch.end("left as asked", "by Ctrl-C")
    with suppress(KeyboardInterrupt):  # a second one
        thread.join(LINGER)  # until the app is closed, which may be with its next item
    if watch.broken:
        raise watch.broken
    return watch.finish()


def environ_of(path: str, options: Options) -> dict[str, Any]:
    """Return what a server hands to an app for a request."""
    environ: dict[str, Any] = {"REQUEST_METHOD": options.method}
    environ["SERVER_PROTOCOL"] = f"HTTP/{options.version}"
    environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
    environ["PATH_INFO"] = unquote(environ["PATH_INFO"], "latin-1")
    environ["wsgi.input"] = io.BytesIO(options.data or b"")
    if options.data is not None:
        environ["CONTENT_TYPE"] = FORM
        environ["CONTENT_LENGTH"] = str(len(options.data))
    for name, value in options.headers:
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    setup_testing_defaults(environ)
    return environ


def call_app(app: Callable[..., Iterable[bytes]], path: str, watch: Watch) -> None:
    """Call an app as a server does, and let a watch see what it gives."""
    head: list[Any] = []

    def start_response(status: str, headers: list[Any], exc_info: Any = None) -> Any:
        if exc_info and watch.report.head is not None:
            raise exc_info[1]
        head[:] = status, headers
        return write

    def send_head(at: float) -> None:
        if not head:
            raise RuntimeError("start_response was not called")
        if watch.report.head is None:
            watch.head(at, *head)

    def write(item: bytes) -> None:
        at = watch.seconds()
        if not isinstance(item, bytes):
            raise TypeError(f"an item is {type(item).__name__}, not bytes")
        if watch.report.ending:
            raise KeyboardInterrupt  # which no ``except Exception`` of the app catches
        if item:
            send_head(at)
        if item and watch.options.method != "HEAD":
            watch.data(at, item)

    try:
        items = app(environ_of(path, watch.options), start_response)
        try:
            for item in items:
                write(item)
            send_head(watch.seconds())
        finally:
            if hasattr(items, "close"):
                items.close()
        watch.end("complete", "the app gave its last item")
    except BaseException as error:
        watch.end("the app raised", f"{type(error).__name__}: {error}")
