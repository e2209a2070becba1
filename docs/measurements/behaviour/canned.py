"""Serve answers that are made beforehand, byte for byte, and show a page to a real browser."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Literal, NamedTuple

from docs._system.chromium import Chromium, ChromiumError
from docs.measurements.lab.environments import find_program
from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.recorder import RESET

UNREAD = 0.2  # seconds in which a client reads what has come, before a connection is reset

BROWSER = "chromium"

#: What becomes of the connection after an answer: it is kept for the next request, closed, closed
#: late, reset, or held until the client closes it.
Then = Literal["kept", "closed", "closed late", "reset", "held"]


class Answer(NamedTuple):
    """What a server sends for a request.

    :param sent: all its bytes, the head too.
    :param then: what becomes of the connection.
    """

    sent: bytes
    then: Then = "closed"


#: What answers a request: from its path, and what it has as ``Last-Event-ID``.
Answering = Callable[[str, str], Answer]


def chunk(piece: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def filled_page(file: Path, **values: object) -> Answer:
    """Return a page in which names stand for values.

    :param file: the page.
    :param values: by their names, as JSON has them.
    """
    text = file.read_text("utf-8")
    for name, value in values.items():
        text = text.replace(name, json.dumps(value))
    return Answer(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + text.encode())


class CannedServer(ThreadingHTTPServer):
    """A server of answers that are made beforehand.

    :param answering: what answers a request.
    """

    daemon_threads = True

    def __init__(self, answering: Answering) -> None:
        super().__init__(("127.0.0.1", 0), CannedHandler)
        self.answering = answering
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class CannedHandler(BaseHTTPRequestHandler):
    """What sends an answer."""

    server: CannedServer
    protocol_version = "HTTP/1.1"
    timeout = 2  # seconds that a connection may be idle after a whole response

    def do_GET(self) -> None:
        """Send an answer, and leave the connection as it says."""
        sent, then = self.server.answering(self.path, self.headers.get("Last-Event-ID", ""))
        self.wfile.write(sent)
        self.close_connection = then != "kept"
        if then == "held":
            self.connection.settimeout(None)
            self.connection.recv(1)
        elif then in ("closed late", "reset"):
            time.sleep(UNREAD)
        if then == "reset":
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving_answers(answering: Answering) -> Iterator[CannedServer]:
    """Serve answers until the block ends."""
    with CannedServer(answering) as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield server
        server.shutdown()


def browse(answering: Answering, path: str, profile: Path, limit: float) -> Any:
    """Show a page to a browser, and return what the page's promise ``reported`` becomes.

    :param answering: what answers the browser.
    :param path: of the page.
    :param profile: the folder of the browser.
    :param limit: the seconds that the page may take.
    :raises NotStartedError: when the browser is not installed, or the page does not report in time.
    """
    report = "console.log(JSON.stringify(await reported));"
    with (
        serving_answers(answering) as server,
        closing(Chromium(find_program(BROWSER), profile)) as chromium,
    ):
        try:
            ran = chromium.run(f"{server.address}{path}", "report.js", report, limit)
        except ChromiumError as error:
            raise NotStartedError(str(error)) from error
    return json.loads(ran.shown[-1])
