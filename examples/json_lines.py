"""Send a table of any size as JSON Lines (NDJSON), or as a JSON array."""

from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

import orjson
from flask import Flask, Response

from examples.kit.chunks import join_chunks, prime
from examples.kit.json_lines import json_array, json_lines, plain
from examples.kit.query import flag
from examples.rows import iter_all_rows, load_flights

app = Flask(__name__)
app.cli.add_command(load_flights)

encode = partial(orjson.dumps, default=plain)


def rows() -> Generator[dict[str, Any], None, None]:
    """Yield every flight as a dictionary."""
    with closing(iter_all_rows()) as flights:
        for flight in flights:
            yield flight._asdict()


def respond(pieces: Generator[bytes, None, None], mimetype: str) -> Response:
    """Return a response that streams, with an error page for an early error."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(prime(join_chunks(pieces)), mimetype=mimetype, headers=headers)


@app.get("/flights.jsonl")
def flights_jsonl() -> Response:
    """Send an object in each line.

    ``?end=marker`` adds a last line, ``{"end":true,"count":…}``, or ``{"error":"incomplete"}``
    where the stream failed.
    """
    lines = json_lines(rows(), encode=encode, end_marker=flag("end", "marker"))
    return respond(lines, "application/jsonl")


@app.get("/flights.json")
def flights_json() -> Response:
    """Send an array. One that was cut is not JSON."""
    return respond(json_array(rows(), encode=encode), "application/json")
