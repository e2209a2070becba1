"""Relay the responses of another server, of any size, while they arrive.

``FLASK_UPSTREAM_URL`` is its address. Without it, each process starts an upstream of its own at its
first request: :mod:`examples.large_csv`.
"""

from functools import cache
from threading import Thread

from flask import Flask, Response
from werkzeug.serving import make_server

from examples import large_csv
from examples.kit.relay import Upstream

app = Flask(__name__)
app.config["UPSTREAM_URL"] = None
app.config.from_prefixed_env()


METHODS = ["GET", "POST", "PUT", "DELETE"]


@cache
def upstream() -> Upstream:
    """Return the upstream of this process."""
    return Upstream(app.config["UPSTREAM_URL"] or embedded())


def embedded() -> str:
    """Serve the example export on a free port, and return its URL."""
    server = make_server("127.0.0.1", 0, large_csv.app, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.port}"


@app.route("/relay/", defaults={"path": ""}, methods=METHODS)
@app.route("/relay/<path:path>", methods=METHODS)
def relay(path: str) -> Response:
    """Relay a request to the same path below the URL of the upstream."""
    return upstream().relay(path)
