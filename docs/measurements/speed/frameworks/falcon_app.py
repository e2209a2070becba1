"""Falcon, as "Outputting CSV Files", "Streaming Large CSV Files on the Fly" in its recipes shows.

There a csv writer adds each row to a list, which a generator empties after each row:
https://falcon.readthedocs.io/en/stable/user/recipes/output-csv.html
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import falcon

from docs.measurements.speed.frameworks.export import QUERIES, chunks, connect


class Written:
    """A file for ``csv.writer`` that keeps what was written, as bytes, until it is taken."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, text: str) -> None:
        """Keep a text."""
        self.parts.append(text.encode())


def lines(query: str) -> Iterator[bytes]:
    """Yield the lines of an export."""
    written = Written()
    writer = csv.writer(written)
    with closing(connect()) as connection:
        for row in connection.execute(query):
            writer.writerow(row)
            yield from written.parts
            written.parts = []


class Export:
    """A resource that sends an export.

    :param stream: makes it of a query.
    """

    def __init__(self, stream: Callable[[str], Iterable[bytes]]) -> None:
        self.stream = stream

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Send the export that the request asks for."""
        query = QUERIES.get(request.get_param("columns", default=""))
        if query is None:
            raise falcon.HTTPBadRequest
        response.content_type = falcon.MEDIA_CSV
        response.stream = self.stream(query)


class Ping:
    """A resource that answers at once, which tells that the server is ready."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Answer."""
        response.text = "pong"


app = falcon.App()
app.add_route("/documented", Export(lines))
app.add_route("/batched", Export(chunks))
app.add_route("/ping", Ping())
