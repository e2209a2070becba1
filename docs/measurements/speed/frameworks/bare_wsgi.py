"""What the server alone can do: a WSGI app without a framework, whose chunks were made before."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from docs.measurements.speed.frameworks.export import QUERIES, chunks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: The whole exports, made when the app is imported.
BLOCKS = {f"columns={width}": list(chunks(query)) for width, query in QUERIES.items()}


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer ``/blocks`` with an export, and ``/ping`` with nothing."""
    if environ["PATH_INFO"] == "/ping":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return []
    blocks = BLOCKS.get(environ["QUERY_STRING"])
    if blocks is None:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return []
    start_response("200 OK", [("Content-Type", "text/csv; charset=utf-8")])
    return iter(blocks)
