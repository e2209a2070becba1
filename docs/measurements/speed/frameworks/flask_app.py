"""Flask, a row per yield: the loop that this guide began with, and the same with the csv module.

The first is that of "Streaming Contents" in the documentation of Flask 0.9.
"""

import csv
from collections.abc import Callable, Iterator
from contextlib import closing

from flask import Flask, Response, abort, request

from docs.measurements.speed.frameworks.export import QUERIES, Line, connect

app = Flask(__name__)


def export(lines: Callable[[str], Iterator[str]]) -> Response:
    """Send the export that the request asks for.

    :param lines: yields its lines.
    """
    query = QUERIES.get(request.args.get("columns", ""))
    if query is None:
        abort(400)
    return Response(lines(query), mimetype="text/csv")


def joined_rows(query: str) -> Iterator[str]:
    """Yield each row as its cells, joined. A cell is not quoted, and no cell is the word None."""
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield ",".join(map(str, row)) + "\n"


def written_rows(query: str) -> Iterator[str]:
    """Yield each row as the csv module writes it."""
    to_line = csv.writer(Line()).writerow
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield to_line(row)


@app.get("/seed")
def seed() -> Response:
    """Send each row by itself, its cells joined."""
    return export(joined_rows)


@app.get("/writerow")
def writerow() -> Response:
    """Send each row by itself, written by the csv module."""
    return export(written_rows)


@app.get("/ping")
def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"
