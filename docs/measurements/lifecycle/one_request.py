"""Serve one request that streams, let it end in one of four ways, and note what happens in it."""

from collections.abc import Iterator
from contextlib import closing
from logging import getLogger
from threading import Event, Thread
from typing import Literal, get_args
from unittest.mock import patch

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler

from docs.measurements.lab.recorder import receive

#: The client reads all; the generator raises after its first piece; the client leaves after it;
#: the client asks for the head alone.
Scenario = Literal["complete", "error", "disconnect", "head"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

FIRST_PIECE = "first\n"
ANSWERING = 10  # seconds that a request may take


class OneRequest:
    """A request to an app, over a real socket.

    :param scenario: how it ends.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        #: What happened, in order.
        self.events: list[str] = []
        self.client_left = Event()

    def pieces(self) -> Iterator[str]:
        """Stream two pieces, or fewer where the scenario has it so, and note each step."""
        self.events.append("generator starts")
        try:
            yield FIRST_PIECE
            if self.scenario == "disconnect":
                self.client_left.wait(ANSWERING)
            self.events.append("generator goes on")
            if self.scenario == "error":
                self.events.append("generator raises ValueError")
                raise ValueError
            yield "last\n"
            self.events.append("generator ends")
        except GeneratorExit:
            self.events.append("generator gets GeneratorExit")
            raise

    def send(self, app: Flask, path: str = "/") -> None:
        """Serve an app by Werkzeug's development server until the request has ended.

        :raises TimeoutError: when the server has not finished in time.
        """
        events = self.events

        class Handler(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = ANSWERING

            def end_headers(self) -> None:
                super().end_headers()
                events.append("first byte sent")

        quiet = patch.object(getLogger("werkzeug"), "disabled", True)  # its errors are wanted here
        with quiet, BaseWSGIServer("127.0.0.1", 0, app, Handler) as server:
            server.timeout = ANSWERING
            # A thread of its own, as on a threaded server, has no context left over from ours.
            thread = Thread(target=server.handle_request, daemon=True)
            thread.start()
            self.read(server.port, path)
            self.client_left.set()
            thread.join(ANSWERING)
            if thread.is_alive():
                raise TimeoutError(f"{self.scenario}: no end after {ANSWERING} s")

    def read(self, port: int, path: str) -> None:
        """Read the answer to its end, or leave after the first piece."""
        method = "HEAD" if self.scenario == "head" else "GET"
        with closing(receive(port, path, method, ANSWERING)) as arrivals:
            came = b""
            for arrival in arrivals:
                came += arrival.data
                if self.scenario == "disconnect" and came.endswith(f"{FIRST_PIECE}\r\n".encode()):
                    return  # not before the server has sent all of the piece
