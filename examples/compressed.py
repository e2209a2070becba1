"""Send events and JSON Lines that are compressed, and decoded piece by piece as they arrive."""

import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

from flask import Flask, Response

from examples.kit.chunks import join_chunks, prime
from examples.kit.compress import compressed
from examples.kit.json_lines import json_lines
from examples.kit.query import flag
from examples.kit.sse import HEADERS, event
from examples.rows import iter_all_rows, load_flights

app = Flask(__name__)
app.cli.add_command(load_flights)

BOARDING = "Flight UA 1545 to Houston is now boarding at gate 12"
SECONDS = 0.05  # between two words


def rows() -> Generator[dict[str, Any], None, None]:
    """Yield every flight as a dictionary."""
    with closing(iter_all_rows()) as flights:
        for flight in flights:
            yield flight._asdict()


@app.get("/compressed.jsonl")
def flights() -> Response:
    """Send an object in each line, compressed in chunks of 64 KiB."""
    lines = json_lines(rows(), end_marker=flag("end", "marker"))
    return compressed(Response(prime(join_chunks(lines)), mimetype="application/jsonl"))


@app.get("/words")
def words() -> Response:
    """Send an event for each word, each flushed for itself."""

    def generate() -> Generator[bytes, None, None]:
        for word in BOARDING.split():
            yield event(word)
            time.sleep(SECONDS)
        yield event("", event="end")

    response = Response(generate(), mimetype="text/event-stream", headers=HEADERS)
    return compressed(response, ["gzip"])  # the smallest for short pieces
