"""Greet a passenger by name, in a stream that reads the request."""

from collections.abc import Iterator

from flask import Flask, Response, request, stream_with_context
from markupsafe import escape

app = Flask(__name__)


@app.get("/stream")
def streamed_response() -> Response:
    """Say hello to ``?name=``. Without a name it is a 400 response."""
    name = request.args["name"]

    def generate() -> Iterator[str]:
        yield "Hello "
        yield escape(name)
        yield f"! You asked for {escape(request.path)}.\n"

    return Response(stream_with_context(generate()))
