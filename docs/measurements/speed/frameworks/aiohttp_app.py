"""aiohttp, as "Server Reference", "StreamResponse" in its documentation says.

The head is sent by ``prepare``, each piece by ``write``, and the response ends when the handler
returns it: https://docs.aiohttp.org/en/stable/web_reference.html#aiohttp.web.StreamResponse
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from aiohttp import web

from docs.measurements.speed.frameworks.export import QUERIES, Line, chunks, connect


async def export(
    request: web.Request, content: Callable[[str], Iterable[bytes]]
) -> web.StreamResponse:
    """Send the export that the request asks for.

    :param content: makes it of a query.
    """
    query = QUERIES.get(request.query.get("columns", ""))
    if query is None:
        raise web.HTTPBadRequest
    response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8"})
    await response.prepare(request)
    for piece in content(query):
        await response.write(piece)
    return response


def lines(query: str) -> Iterator[bytes]:
    """Yield the lines of an export."""
    to_line = csv.writer(Line()).writerow
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield to_line(row).encode()


async def documented(request: web.Request) -> web.StreamResponse:
    """Send each row by itself."""
    return await export(request, lines)


async def batched(request: web.Request) -> web.StreamResponse:
    """Send chunks of 64 KiB."""
    return await export(request, chunks)


async def ping(_request: web.Request) -> web.Response:
    """Answer at once, which tells that the server is ready."""
    return web.Response(text="pong")


def make_app(_arguments: list[str]) -> web.Application:
    """Return the app, as ``python -m aiohttp.web`` asks for it."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/documented", documented),
            web.get("/batched", batched),
            web.get("/ping", ping),
        ]
    )
    return app
