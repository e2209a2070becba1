"""Django, as "How to create CSV output", "Streaming large CSV files" in its documentation shows.

There a generator makes each row with a csv writer whose file gives back what it is given:
https://docs.djangoproject.com/en/5.2/howto/outputting-csv/
"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import (
    HttpRequest,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.urls import path

from docs.measurements.speed.frameworks.export import QUERIES, Content, chunks, lines

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="not secret")


def export(request: HttpRequest, content: Content) -> HttpResponseBase:
    """Send the export that the request asks for."""
    query = QUERIES.get(request.GET.get("columns", ""))
    if query is None:
        return HttpResponseBadRequest()
    return StreamingHttpResponse(content(query), content_type="text/csv")


urlpatterns = [
    path("documented", export, {"content": lines}),
    path("batched", export, {"content": chunks}),
]
app = get_wsgi_application()
