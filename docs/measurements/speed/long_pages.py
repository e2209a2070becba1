"""Measure the ways to send a long page from a template.

It is also the module that is served: the example, which is the first way, and the other ways.
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from flask import Response, render_template, stream_template
from jinja2 import Template

from docs.measurements.lab.databases import sqlite_database
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.results import Cells
from docs.measurements.speed.in_turn import in_turn
from examples import large_page
from examples.kit.chunks import join_chunks
from examples.rows import Flight, iter_all_rows

FLIGHTS_SHOWN = 20_000
PAGE_RUNS = 31

#: The environment variable of the process that serves the pages.
PAGES = "STREAM_PAGES"

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
flights_read: list[Flight] = []


def iter_read_rows() -> Iterator[Flight]:
    """Yield the flights that were read."""
    yield from flights_read


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
def as_rendered() -> Iterator[str]:
    """Send each piece of the template as it comes."""
    return stream_template(template, flights=iter_read_rows())


@app.get("/enable_buffering")
def five_at_a_time() -> Response:
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


def read_flights() -> None:
    """Read the flights, and let the example take them in place of its cursor."""
    flights_read.extend(islice(iter_all_rows(), FLIGHTS_SHOWN))
    patch.object(large_page, "iter_all_rows", iter_read_rows).start()


if PAGES in os.environ:
    read_flights()


def page_rows() -> Iterator[Cells]:
    """Measure all ways, and yield the rows."""
    served_here = "docs.measurements.speed.long_pages:app"
    with sqlite_database(FLIGHTS_SHOWN), gunicorn(served_here, settings={PAGES: "read"}) as served:
        found = in_turn({path: (served.port, path) for path in WAYS}, PAGE_RUNS)
    for path, taken in found.items():
        yield {
            "way": WAYS[path],
            "rows": FLIGHTS_SHOWN,
            "runs": PAGE_RUNS,
            "first byte, ms": round(1000 * taken.first, 2),
            "milliseconds": round(1000 * taken.seconds, 1),
            "MB": round(taken.size / 1e6, 2),
            "server": "gunicorn gthread",
            **measured_on("gunicorn", "jinja2"),
        }
