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


def taken_lines(query: str) -> Iterator[bytes]:
    """Yield each row by itself."""
    written = Written()
    writer = csv.writer(written)
    with closing(connect()) as connection:
        for row in connection.execute(query):
            writer.writerow(row)
            yield from written.parts
            written.parts = []


class Export:
    """A resource that sends an export.

    :param content: makes it of a query.
    """

    def __init__(self, content: Callable[[str], Iterable[bytes]]) -> None:
        self.content = content

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Send the export that the request asks for."""
        query = QUERIES.get(request.get_param("columns", default=""))
        if query is None:
            raise falcon.HTTPBadRequest
        response.content_type = falcon.MEDIA_CSV
        response.stream = self.content(query)


app = falcon.App()
app.add_route("/documented", Export(taken_lines))
app.add_route("/batched", Export(chunks))
