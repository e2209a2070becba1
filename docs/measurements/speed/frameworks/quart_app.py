"""Quart, as "Streaming responses" in its documentation shows.

There the response has an asynchronous generator of bytes, and its timeout, which would cut a long
one, is set to none: https://quart.palletsprojects.com/en/latest/how_to_guides/streaming_response.html
"""

from collections.abc import AsyncIterator, Callable, Iterable

from quart import Quart, Response, abort, request

from docs.measurements.speed.frameworks.export import QUERIES, chunks, encoded_lines

app = Quart(__name__)


@app.get("/documented", defaults={"content": encoded_lines})
@app.get("/batched", defaults={"content": chunks})
async def export(content: Callable[[str], Iterable[bytes]]) -> Response:
    """Send the export that the request asks for."""
    query = QUERIES.get(request.args.get("columns", ""))
    if query is None:
        abort(400)

    async def generate() -> AsyncIterator[bytes]:
        for piece in content(query):
            yield piece

    response = Response(generate(), mimetype="text/csv")
    response.timeout = None
    return response
