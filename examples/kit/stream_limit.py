"""Limit how many streams are open at the same time, in all and for each user."""

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from threading import Lock
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import request
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests
from werkzeug.wsgi import ClosingIterator


class StreamLimit:
    """Count the open streams of this process.

    A view reserves a place. The place is free again when the server closes the response, and
    :pep:`3333` requires that however the stream ends.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> limit = StreamLimit(total=100, each=1)
    >>> app.wsgi_app = limit.around(app.wsgi_app)
    >>> @app.get("/events")
    ... def events():
    ...     limit.take("Ada")
    ...     return iter(["UA 1545"])
    >>> client = app.test_client()
    >>> with client.get("/events") as response:
    ...     response.status, limit.open["Ada"], client.get("/events").status
    ('200 OK', 1, '429 TOO MANY REQUESTS')
    >>> limit.open["Ada"]
    0

    :param total: how many streams may be open.
    :param each: how many of them may belong to one user.
    """

    def __init__(self, total: int, each: int) -> None:
        self.total, self.each = total, each
        #: How many streams each user has open.
        self.open: Counter[str] = Counter()
        self.lock = Lock()
        self.key = f"stream_limit.{id(self)}"  # an app may have several limits around it

    def take(self, user: str) -> None:
        """Reserve a place for the response of this request.

        :param user: who counts as one user. Read it from the session, or one user can use the
            places of another.
        :raises werkzeug.exceptions.TooManyRequests: when the user has too many streams open.
        :raises werkzeug.exceptions.ServiceUnavailable: when too many streams are open in all.
        """
        with self.lock:
            if self.open[user] >= self.each:
                raise TooManyRequests(retry_after=30)
            if self.open.total() >= self.total:
                raise ServiceUnavailable(retry_after=30)
            request.environ[self.key].append(user)
            self.open[user] += 1

    def give_back(self, taken: list[str]) -> None:
        """Free the places of one response."""
        with self.lock:
            self.open -= Counter(taken)

    def around(self, wsgi_app: WSGIApplication) -> WSGIApplication:
        """Return an app that frees the places that the views of this app reserve."""

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            with ExitStack() as ending:
                taken = environ[self.key] = list[str]()
                ending.callback(self.give_back, taken)
                body = ClosingIterator(wsgi_app(environ, start_response))
                ending.callback(body.close)
                return ClosingIterator((chunk for chunk in body), ending.pop_all().close)

        return app
