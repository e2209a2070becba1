"""FastAPI, as "Stream Data" in its documentation shows.

There the path operation is a generator, under a class of streaming response with a media type of
its own: https://fastapi.tiangolo.com/advanced/stream-data/
It is a plain function, as that page asks for where reading blocks, as it does with sqlite3.
"""

from collections.abc import Iterator
from typing import Literal

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from docs.measurements.speed.frameworks.export import QUERIES, chunks, lines

app = FastAPI()


class CSVStreamingResponse(StreamingResponse):
    """A stream of CSV."""

    media_type = "text/csv"


@app.get("/documented", response_class=CSVStreamingResponse)
def documented(columns: Literal["19", "5"]) -> Iterator[str]:
    """Send each row by itself."""
    yield from lines(QUERIES[columns])


@app.get("/batched", response_class=CSVStreamingResponse)
def batched(columns: Literal["19", "5"]) -> Iterator[bytes]:
    """Send chunks of 64 KiB."""
    yield from chunks(QUERIES[columns])
