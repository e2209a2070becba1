"""Measure how fast chunks of each size are sent, which the app served here has ready."""

from collections.abc import Iterator
from itertools import repeat

from flask import Flask, Response

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.results import Cells
from docs.measurements.speed.in_turn import RUNS, in_turn
from examples.kit.chunks import SIZE

#: Sizes of a chunk, in bytes.
SIZES = [2**power for power in range(7, 21)]
TOTAL = 64 * 1024 * 1024  # bytes that are sent in chunks of each size
MOST_CHUNKS = 200_000  # and no more chunks than that

app = Flask(__name__)


@app.get("/<int:size>/<int:count>")
def equal_chunks(size: int, count: int) -> Response:
    """Send so many chunks of a size."""
    return Response(repeat(b"r" * size, count), mimetype="text/plain")


def size_rows() -> Iterator[Cells]:
    """Measure all sizes, through gunicorn's threads, and yield the rows."""
    counts = {size: min(TOTAL // size, MOST_CHUNKS) for size in SIZES}
    with gunicorn("docs.measurements.speed.chunk_sizes:app") as served:
        paths = {size: (served.port, f"/{size}/{count}") for size, count in counts.items()}
        found = in_turn(paths, RUNS)
    rates = {size: size * count / found[size].seconds / 1e6 for size, count in counts.items()}
    for size, rate in rates.items():
        yield {
            "chunk, bytes": size,
            "MB per second": round(rate, 1),
            "against 64 KiB": round(rate / rates[SIZE], 3),
            "runs": RUNS,
            **measured_on("gunicorn"),
        }
