"""Send a page of any length: its head at once, its rows as they come from the database."""

from flask import Flask, Response, stream_template

from examples.kit.chunks import join_chunks
from examples.rows import iter_all_rows

app = Flask(__name__)


@app.get("/my-large-page.html")
def render_large_template() -> Response:
    """Show every flight as a row of one long page."""
    flights = iter_all_rows()
    page = stream_template("large_page.html", flights=flights)
    response = Response(join_chunks(page, until="</head>"))
    response.call_on_close(flights.close)
    return response
