"""Run each request in a context of its own, apart from the next request on the same thread."""

from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any
from weakref import finalize
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class OwnContext:
    """Run each request of an app in a :class:`contextvars.Context` of its own.

    Use it where middleware does not close what it wraps and you cannot change the middleware. Put
    it around the app, inside that middleware.

    >>> from contextvars import ContextVar
    >>> from werkzeug.test import Client
    >>> user = ContextVar("user", default="nobody")
    >>> def app(environ, start_response):
    ...     start_response("200 OK", [])
    ...     before = user.get()
    ...     user.set("Ada")  # and nobody resets it
    ...     return [before.encode()]
    >>> client = Client(OwnContext(app))
    >>> client.get("/").text, client.get("/").text
    ('nobody', 'nobody')

    :param wsgi_app: the app, such as ``app.wsgi_app``.
    """

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self.wsgi_app = wsgi_app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        """Answer a request, as :pep:`3333` requires."""
        run = copy_context().run
        return Chunks(run, run(self.wsgi_app, environ, start_response))


class Chunks:
    """The chunks of a response, each produced in the context of its request.

    The context also runs ``close``, which the server calls, or Python when it discards the chunks.

    :param run: what calls a function in the context.
    :param chunks: the response.
    """

    def __init__(self, run: Callable[..., Any], chunks: Iterable[bytes]) -> None:
        self.run = run
        self.chunks = iter(chunks)  # for gunicorn 25, whose files are no iterators
        close = getattr(chunks, "close", lambda: None)  # a list has none
        self.finish = finalize(self, run, close)  # once, and not later than self ends

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = self.run(next, self.chunks)
        return chunk

    def close(self) -> None:
        """Close the response in its context, once."""
        self.finish()
