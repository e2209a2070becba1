"""The servers of a page: its app, those that its commands start, and the ports they stand on."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import Any
from unittest import SkipTest

from werkzeug.serving import BaseWSGIServer, make_server

from docs._system.ports import free_port, listens

#: The address that a page prints for its own app: that of ``flask run``.
PRINTED_PORT = 5000

#: The port in an address of this machine, as a URL, Python, Varnish or Envoy writes it.
ADDRESS = re.compile(
    r"(?<=127\.0\.0\.1:)[1-9]\d*|(?<=localhost:)[1-9]\d*"
    r"|(?<=\"127\.0\.0\.1\", )[1-9]\d*|(?<=\.port = \")[1-9]\d*"
    r"|(?<=127\.0\.0\.1, port_value: )[1-9]\d*"
)


class LeftOut(SkipTest):
    """A block needs a program that this machine has not, or a server that was left out for it.

    :param reason: which program, and the package to install.
    """

    #: The page and line of the block.
    place = "page"

    def __str__(self) -> str:
        return f"{self.place}: {self.args[0]}"


def routes(port: int) -> bool:
    """Tell whether a proxy passes requests on; Traefik listens before it has read its routes."""
    with suppress(OSError), closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read() != b"404 page not found\n"
    return False


class Servers:
    """The servers of one page, each on a real port that stands for the one the page prints.

    :param namespace: the names that the blocks of the page share, among them ``app``.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        #: The real ports, by the printed ones that they stand for.
        self.ports: dict[int, int] = {}
        #: The printed ports of servers that this machine cannot run, and why it cannot.
        self.left_out: dict[int, str] = {}
        self.server: BaseWSGIServer | None = None
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def call_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass a request on to what the page calls ``app`` by now."""
        response: Iterable[bytes] = self.namespace["app"](environ, start_response)
        return response

    def pin(self, printed: int) -> int:
        """Return the real port that stands for a printed one, the same until the page ends."""
        if printed not in self.ports:
            self.ports[printed] = free_port()
        return self.ports[printed]

    def port(self, printed: int = PRINTED_PORT) -> int:
        """Return the real port behind one that the page prints.

        Where no command of the page has started a server on it, the page's own app is served.

        :raises LeftOut: when this machine cannot run the server.
        :raises LookupError: when the page has no app, or the port is another than the app's.
        """
        if printed in self.left_out:
            raise LeftOut(self.left_out[printed])
        if printed == PRINTED_PORT and printed not in self.processes and "app" in self.namespace:
            self.serve_app()
        if printed not in self.ports:
            raise LookupError(f"port {printed}: the page has started no server and has no app")
        return self.ports[printed]

    def serve_app(self) -> None:
        """Serve the page's app on the port that a page prints for it."""
        if self.server is None:
            port = self.pin(PRINTED_PORT)
            self.server = make_server("127.0.0.1", port, self.call_app, threaded=True)
            serve = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
            serve.start()

    def renew_app(self) -> None:
        """Let a new app take the place of the server on its port, if the page prints that port."""
        self.left_out.pop(PRINTED_PORT, None)
        if PRINTED_PORT in self.processes:
            self.stop(PRINTED_PORT)
        if PRINTED_PORT in self.ports:
            self.serve_app()

    def to_real(self, text: str) -> str:
        """Replace the ports that a page prints in addresses by those behind them.

        A port that nothing stands behind is left as it is.

        :raises LeftOut: when this machine cannot run a server that the text names.
        """

        def real(found: re.Match[str]) -> str:
            printed = int(found[0])
            served = printed in self.ports or (printed == PRINTED_PORT and "app" in self.namespace)
            return str(self.port(printed) if served or printed in self.left_out else printed)

        return ADDRESS.sub(real, text)

    def pin_all(self, text: str) -> str:
        """Replace every port that a text prints in an address by a real one of its own."""
        return ADDRESS.sub(lambda found: str(self.pin(int(found[0]))), text)

    def to_printed(self, text: str) -> str:
        """Replace real ports in addresses by those that the page prints."""
        printed = {str(real): str(printed) for printed, real in self.ports.items()}
        return ADDRESS.sub(lambda found: printed.get(found[0], found[0]), text)

    def stop(self, printed: int) -> None:
        """End the server on a printed port, be it the page's app or what a command started."""
        if printed == PRINTED_PORT and self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        process = self.processes.pop(printed, None)
        if process:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, signal.SIGTERM)  # the reloader of flask run has a child
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            with suppress(ProcessLookupError):  # what it left behind would hold the port
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            end = time.monotonic() + 5
            while listens(self.ports[printed]) and time.monotonic() < end:
                time.sleep(0.01)

    def close(self) -> None:
        """End all servers."""
        for printed in [PRINTED_PORT, *self.processes]:
            self.stop(printed)
