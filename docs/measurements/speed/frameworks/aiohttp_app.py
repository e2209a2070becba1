"""aiohttp, as "Server Reference", "StreamResponse" in its documentation says.

The head is sent by ``prepare``, each piece by ``write``, and the response ends when the handler
returns it: https://docs.aiohttp.org/en/stable/web_reference.html#aiohttp.web.StreamResponse
"""

from collections.abc import Callable, Iterable
from functools import partial

from aiohttp import web

from docs.measurements.speed.frameworks.export import QUERIES, chunks, encoded_lines


async def export(
    request: web.Request, content: Callable[[str], Iterable[bytes]]
) -> web.StreamResponse:
    """Send the export that the request asks for."""
    query = QUERIES.get(request.query.get("columns", ""))
    if query is None:
        raise web.HTTPBadRequest
    response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8"})
    await response.prepare(request)
    for piece in content(query):
        await response.write(piece)
    return response


def make_app(_arguments: list[str]) -> web.Application:
    """Return the app, as ``python -m aiohttp.web`` asks for it."""
    app = web.Application()
    app.router.add_get("/documented", partial(export, content=encoded_lines))
    app.router.add_get("/batched", partial(export, content=chunks))
    return app
