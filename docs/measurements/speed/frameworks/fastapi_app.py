"""FastAPI, as "Stream Data" in its documentation shows.

There the path operation is a generator, under a class of streaming response with a media type of
its own: https://fastapi.tiangolo.com/advanced/stream-data/
It is a plain function, as that page asks for where reading blocks, as it does with sqlite3.
"""

import csv
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from docs.measurements.speed.frameworks.export import QUERIES, Line, chunks, connect

app = FastAPI()


class CSVStreamingResponse(StreamingResponse):
    """A stream of CSV."""

    media_type = "text/csv"


def chosen_query(columns: str = "") -> str:
    """Return the query of the export that the request asks for."""
    if columns not in QUERIES:
        raise HTTPException(400)
    return QUERIES[columns]


Query = Annotated[str, Depends(chosen_query)]


@app.get("/documented", response_class=CSVStreamingResponse)
def documented(query: Query) -> Iterator[str]:
    """Send each row by itself."""
    to_line = csv.writer(Line()).writerow
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield to_line(row)


@app.get("/batched", response_class=CSVStreamingResponse)
def batched(query: Query) -> Iterator[bytes]:
    """Send chunks of 64 KiB."""
    yield from chunks(query)


@app.get("/ping")
def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"
