"""Django, as "How to create CSV output", "Streaming large CSV files" in its documentation shows.

There a generator expression makes each row with a csv writer whose file gives back what it is
given: https://docs.djangoproject.com/en/5.2/howto/outputting-csv/
"""

import csv
from collections.abc import Callable, Iterable

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.urls import path

from docs.measurements.speed.frameworks.export import QUERIES, Line, chunks, connect

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="not secret")


def export(
    request: HttpRequest, content: Callable[[str], Iterable[str | bytes]]
) -> HttpResponseBase:
    """Send the export that the request asks for.

    :param content: makes it of a query.
    """
    query = QUERIES.get(request.GET.get("columns", ""))
    if query is None:
        return HttpResponseBadRequest()
    return StreamingHttpResponse(content(query), content_type="text/csv")


def lines(query: str) -> Iterable[str]:
    """Return an iterator of the lines of an export."""
    writer = csv.writer(Line())
    return (writer.writerow(row) for row in connect().execute(query))


def documented(request: HttpRequest) -> HttpResponseBase:
    """Send each row by itself."""
    return export(request, lines)


def batched(request: HttpRequest) -> HttpResponseBase:
    """Send chunks of 64 KiB."""
    return export(request, chunks)


def ping(_request: HttpRequest) -> HttpResponseBase:
    """Answer at once, which tells that the server is ready."""
    return HttpResponse("pong")


urlpatterns = [path("documented", documented), path("batched", batched), path("ping", ping)]
app = get_wsgi_application()
