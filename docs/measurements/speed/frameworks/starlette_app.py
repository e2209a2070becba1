"""Starlette, as "Responses", "StreamingResponse" in its documentation shows.

There an asynchronous generator is given to the response: https://starlette.dev/responses/
"""

import csv
from collections.abc import AsyncIterator, Callable
from contextlib import closing

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from docs.measurements.speed.frameworks.export import QUERIES, Line, chunks, connect


def export(
    request: Request, content: Callable[[str], AsyncIterator[str | bytes]]
) -> StreamingResponse:
    """Send the export that the request asks for.

    :param content: makes it of a query.
    """
    query = QUERIES.get(request.query_params.get("columns", ""))
    if query is None:
        raise HTTPException(400)
    return StreamingResponse(content(query), media_type="text/csv")


async def lines(query: str) -> AsyncIterator[str]:
    """Yield the lines of an export."""
    to_line = csv.writer(Line()).writerow
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield to_line(row)


async def blocks(query: str) -> AsyncIterator[bytes]:
    """Yield the lines of an export in chunks of 64 KiB."""
    for chunk in chunks(query):
        yield chunk


async def documented(request: Request) -> StreamingResponse:
    """Send each row by itself."""
    return export(request, lines)


async def batched(request: Request) -> StreamingResponse:
    """Send chunks of 64 KiB."""
    return export(request, blocks)


async def ping(_request: Request) -> PlainTextResponse:
    """Answer at once, which tells that the server is ready."""
    return PlainTextResponse("pong")


app = Starlette(
    routes=[Route("/documented", documented), Route("/batched", batched), Route("/ping", ping)]
)
