"""Flask, a row per yield: the loop that this guide began with, and the same with the csv module.

The first is that of "Streaming Contents" in the documentation of Flask 0.9.
"""

from collections.abc import Iterator
from contextlib import closing

from flask import Flask, Response, abort, request

from docs.measurements.speed.frameworks.export import QUERIES, Content, connect, lines

app = Flask(__name__)


def joined_cells(query: str) -> Iterator[str]:
    """Yield each row as its cells, joined. A cell is not quoted, and no cell is the word None."""
    with closing(connect()) as connection:
        for row in connection.execute(query):
            yield ",".join(map(str, row)) + "\n"


@app.get("/seed", defaults={"content": joined_cells})
@app.get("/writerow", defaults={"content": lines})
def export(content: Content) -> Response:
    """Send the export that the request asks for, each row by itself."""
    query = QUERIES.get(request.args.get("columns", ""))
    if query is None:
        abort(400)
    return Response(content(query), mimetype="text/csv")
