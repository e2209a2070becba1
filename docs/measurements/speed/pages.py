"""Measure the ways to send a long page from a template.

``nox -s measure -- throughput`` runs this with the rest. It is also the module that is
served: the example, which is the first way, and the other ways beside it.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from unittest.mock import patch

from flask import Response, render_template, stream_template
from jinja2 import Template

from docs.measurements.lab.databases import sqlite_database
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.recorder import Drained, drain
from docs.measurements.lab.results import RECORDED, write
from examples import large_page
from examples.chunks import join_chunks
from examples.rows import Flight, iter_all_rows

PAGES = RECORDED / "pages.csv"

ROWS = 20_000
RUNS = 31

#: What the page says of each way, by its path.
WAYS = {
    "/my-large-page.html": "joined by size, the head first",
    "/join_chunks": "the same, a piece for each cell",
    "/stream_template": "stream_template",
    "/enable_buffering": "enable_buffering(5)",
    "/render_template": "render_template",
}

app = large_page.app

#: Read before the first request, so that the database has no part in what is measured.
flights: list[Flight] = []


def iter_read_rows() -> Iterator[Flight]:
    """Yield the flights that were read."""
    yield from flights


def cell_by_cell() -> Template:
    """Return the example's template without what makes a row one piece. The page is the same."""
    source = Path(app.root_path, "templates", "large_page.html").read_text("utf-8")
    before, _, rest = source.partition("{% set row -%}\n")
    row, _, after = rest.partition("{% endset -%}\n{{ row }}\n{%- endfor -%}")
    return app.jinja_env.from_string(f"{before}{row}{{% endfor -%}}{after}")


template = cell_by_cell()


@app.get("/join_chunks")
def joined() -> Response:
    """Join the pieces as the example does, which are many more."""
    page = stream_template(template, flights=iter_read_rows())
    return Response(join_chunks(page, until="</head>"))


@app.get("/stream_template")
def streamed() -> Iterator[str]:
    """Send each piece of the template as it comes."""
    return stream_template(template, flights=iter_read_rows())


@app.get("/enable_buffering")
def buffered() -> Response:
    """Send five pieces at a time, as was the advice for Flask 0.9."""
    context = {"flights": iter_read_rows()}
    app.update_template_context(context)
    stream = template.stream(context)
    stream.enable_buffering(5)
    return Response(stream)


@app.get("/render_template")
def rendered() -> str:
    """Send the page when all of it is rendered."""
    return render_template(template, flights=iter_read_rows())


@app.get("/ping")
def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"


def read_flights() -> None:
    """Read the flights, and let the example take them in place of its cursor."""
    flights.extend(islice(iter_all_rows(), ROWS))
    patch.object(large_page, "iter_all_rows", iter_read_rows).start()


if "STREAM_PAGES" in os.environ:
    read_flights()


def main() -> None:
    """Measure, and write the rows."""
    found: dict[str, list[Drained]] = {path: [] for path in WAYS}
    with (
        sqlite_database(ROWS),
        gunicorn("docs.measurements.speed.pages:app", settings={"STREAM_PAGES": "read"}) as served,
    ):
        for _ in range(RUNS):
            for path, runs in found.items():
                runs.append(drain(served.port, path))
    own = measured_on("gunicorn", "jinja2")
    rows: list[list[object]] = [
        ["way", "rows", "runs", "first byte, ms", "milliseconds", "MB", "server", *own]
    ]
    for path, runs in found.items():
        first = round(1000 * median(run.first for run in runs), 2)
        whole = round(1000 * median(run.seconds for run in runs), 1)
        size = round(runs[0].size / 1e6, 2)
        own_cells = [ROWS, RUNS, first, whole, size, "gunicorn gthread"]
        rows.append([WAYS[path], *own_cells, *own.values()])
    write(PAGES, rows)
