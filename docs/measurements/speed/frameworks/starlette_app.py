"""Starlette, as "Responses", "StreamingResponse" in its documentation shows.

There an asynchronous generator is given to the response: https://starlette.dev/responses/
"""

from collections.abc import AsyncIterator
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from docs.measurements.speed.frameworks.export import QUERIES, Content, chunks, lines


async def export(request: Request, content: Content) -> StreamingResponse:
    """Send the export that the request asks for."""
    query = QUERIES.get(request.query_params.get("columns", ""))
    if query is None:
        raise HTTPException(400)

    async def generate() -> AsyncIterator[str | bytes]:
        for piece in content(query):
            yield piece

    return StreamingResponse(generate(), media_type="text/csv")


app = Starlette(
    routes=[
        Route("/documented", partial(export, content=lines)),
        Route("/batched", partial(export, content=chunks)),
    ]
)
