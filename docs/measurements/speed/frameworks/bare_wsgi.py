"""What the server alone can do: a WSGI app without a framework, whose chunks were made before."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from docs.measurements.speed.frameworks.export import QUERIES, chunks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

#: The whole exports, made when the app is imported.
EXPORTS = {f"columns={width}": list(chunks(query)) for width, query in QUERIES.items()}


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer every path with the export that the request asks for."""
    export = EXPORTS.get(environ["QUERY_STRING"])
    if export is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return []
    start_response("200 OK", [("Content-Type", "text/csv; charset=utf-8")])
    return iter(export)
