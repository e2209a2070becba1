"""Record in what order a view, its hooks and its stream run, on the installed Flask."""

import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product

from flask import Flask, Response, stream_with_context

from docs.measurements.lab.results import Cells
from docs.measurements.lifecycle.one_request import SCENARIOS, OneRequest, Scenario


def streaming_app(request: OneRequest, *, wrapped: bool) -> Flask:
    """Return an app with one view, which streams, and whose hooks note that they run."""
    app = Flask(__name__)
    record = request.events.append

    @app.get("/")
    def view() -> Response:
        record("view")
        pieces = request.pieces()
        response = Response(stream_with_context(pieces) if wrapped else pieces)
        response.call_on_close(lambda: record("call_on_close"))
        return response

    @app.after_request
    def after_request(response: Response) -> Response:
        record("after_request")
        return response

    @app.teardown_request
    def teardown_request(error: BaseException | None) -> None:
        record(f"teardown_request({type(error).__name__ if error else None})")

    @app.teardown_appcontext
    def teardown_appcontext(error: BaseException | None) -> None:
        record(f"teardown_appcontext({type(error).__name__ if error else None})")

    return app


def record_order(*, wrapped: bool, scenario: Scenario) -> list[str]:
    """Serve one request on the installed Flask and return what happened, in order.

    :param wrapped: whether the generator is given to ``stream_with_context``.
    :param scenario: how the request ends.
    :raises TimeoutError: when the server has not finished in time.
    """
    request = OneRequest(scenario)
    request.send(streaming_app(request, wrapped=wrapped))
    return request.events


def order_rows() -> Iterator[Cells]:
    """Yield a row for each event of each request."""
    for wrapped, scenario in product((True, False), SCENARIOS):
        base: Cells = {"flask": version("flask"), "wrapped": "yes" if wrapped else "no"}
        for step, event in enumerate(record_order(wrapped=wrapped, scenario=scenario), 1):
            yield base | {"scenario": scenario, "step": step, "event": event}


if __name__ == "__main__":
    json.dump(list(order_rows()), sys.stdout)
