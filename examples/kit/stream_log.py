"""Log how each response ended and how many bytes of it were sent, without reading it first."""

from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.wsgi import ClosingIterator

from .closing import close


def log_streams(wsgi_app: WSGIApplication, write: Callable[[str], object]) -> WSGIApplication:
    """Return an app that writes a line when a response is closed.

    The line has the method, the path, the outcome and the bytes that the server wrote. The outcome
    is ``complete``, ``failed`` for an error, or ``left`` when the client disconnected. The line
    does not have the query, because a token in a query is a secret.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> lines = []
    >>> app.wsgi_app = log_streams(app.wsgi_app, lines.append)
    >>> @app.get("/flights")
    ... def flights():
    ...     return iter(["UA 1545", "B6 725"])
    >>> with app.test_client().get("/flights?token=secret") as response:
    ...     response.text, lines
    ('UA 1545B6 725', [])
    >>> print(*lines)
    'GET' '/flights' complete 13

    :param wsgi_app: the app, such as ``app.wsgi_app``.
    :param write: what gets each line, such as ``app.logger.info``.
    """

    def logged(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = wsgi_app(environ, start_response)
        size, outcome = 0, "left"

        def counted() -> Iterator[bytes]:
            nonlocal size, outcome
            try:
                for chunk in body:
                    yield chunk
                    size += len(chunk)  # the server came back, so it wrote this one
                outcome = "complete"
            except Exception:
                outcome = "failed"
                raise

        def finish() -> None:
            nonlocal outcome
            try:
                close(body)
            except Exception:
                outcome = "failed"
                raise
            finally:
                method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
                write(f"{method!r} {path!r} {outcome} {size}")

        return ClosingIterator(counted(), finish)

    return logged
