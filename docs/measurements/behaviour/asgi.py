"""The measured app for servers that speak ASGI."""

from typing import cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi_typing import WSGIApp

from docs.measurements.behaviour.app import app as wsgi_app

app = WSGIMiddleware(cast(WSGIApp, wsgi_app))
