"""Quart, as "Streaming responses" in its documentation shows.

There the response has an asynchronous generator of bytes, and its timeout, which would cut a long
one, is set to none: https://quart.palletsprojects.com/en/latest/how_to_guides/streaming_response.html
"""

import csv
from collections.abc import AsyncIterator, Callable
from contextlib import closing

from quart import Quart, Response, abort, request

from docs.measurements.speed.frameworks.export import QUERIES, Line, chunks, connect

app = Quart(__name__)


def export(content: Callable[[str], AsyncIterator[bytes]]) -> Response:
    """Send the export that the request asks for.

    :param content: makes it of a query.
    """
    query = QUERIES.get(request.args.get("columns", ""))
    if query is None:
        abort(400)
    response = Response(content(query), mimetype="text/csv")
    response.timeout = None
    return response


async def lines(query: str) -> AsyncIterator[bytes]:
    """Yield the lines of an export."""
    to_line = csv.writer(Line()).writerow
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield to_line(row).encode()


async def blocks(query: str) -> AsyncIterator[bytes]:
    """Yield the lines of an export in chunks of 64 KiB."""
    for chunk in chunks(query):
        yield chunk


@app.get("/documented")
async def documented() -> Response:
    """Send each row by itself."""
    return export(lines)


@app.get("/batched")
async def batched() -> Response:
    """Send chunks of 64 KiB."""
    return export(blocks)


@app.get("/ping")
async def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"
