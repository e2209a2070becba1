"""A server or a proxy that is up, and what came of a request to it."""

import shutil
import socket
import subprocess
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from docs.measurements.lab.processes import Events, new_id
from docs.measurements.lab.recorder import Arrival, Exchange, ask
from examples.stream_check.response import Response

ANSWERED = 15  # seconds that an answer may take
LONGEST_WAIT = 30.0  # seconds after which a client that gets no byte gives up
NO_CURL = "curl is not installed"  # the answer of a machine without it


def decoder(response: Response) -> Callable[[bytes], bytes]:
    """Return what undoes the compression of a response, part by part."""
    gzip = response.header("content-encoding") == "gzip"
    return zlib.decompressobj(31).decompress if gzip else bytes


@dataclass
class Answer:
    """What a client learned from one response, and what the app recorded of it.

    :param exchange: what the client learned.
    :param request: the id of the request.
    :param began: when the request was sent, on the monotonic clock.
    :param events: what the app writes down.
    """

    exchange: Exchange
    request: str
    began: float
    events: Events

    @property
    def response(self) -> Response:
        """The response, as far as it came."""
        return self.exchange.response

    @property
    def ending(self) -> str:
        """How the response ended; of an error page, its status."""
        if self.exchange.ending == "complete" and self.response.status != 200:
            return str(self.response.status)
        return self.exchange.ending

    def times(self, event: str) -> list[float]:
        """Return when an event took place, each time, in seconds since the request."""
        return [seconds - self.began for seconds in self.events.times(self.request, event)]

    def parts(self) -> list[Arrival]:
        """Return the body as it arrived, after any compression was undone."""
        decode = decoder(self.response)
        return [Arrival(part.seconds, decode(part.data)) for part in self.exchange.parts]


@dataclass
class Target:
    """A server or a proxy that is up, and the app behind it.

    :param port: where it listens.
    :param events: what the app writes down.
    :param processes: those that were started for it; its own is the last.
    :param versions: what it is made of.
    :param headers: what every request carries beside its own, each line with its line end.
    :param answered: the seconds that an answer may take.
    """

    port: int
    events: Events
    processes: Sequence[subprocess.Popen[str]] = ()
    versions: str = ""
    headers: str = ""
    answered: float = ANSWERED

    def ask(self, path: str, method: str = "GET", *, version: str = "1.1") -> Answer:
        """Send a request whose events can be found, and return what came of it."""
        request, began = new_id(), time.monotonic()
        exchange = ask(
            self.port,
            with_id(path, request),
            method,
            version=version,
            timeout=self.answered,
            headers=self.headers,
        )
        return Answer(exchange, request, began, self.events)

    def request(self, path: str, headers: str = "", method: str = "GET") -> bytes:
        """Return the bytes of a request.

        :param headers: further lines of the head, each with its line end.
        """
        host = f"Host: 127.0.0.1:{self.port}\r\n"
        return f"{method} {path} HTTP/1.1\r\n{host}{self.headers}{headers}\r\n".encode("ascii")

    def connect(self, path: str, headers: str = "") -> socket.socket:
        """Send a request and return the connection, whose buffer for what arrives is small.

        :param headers: further lines of the head, each with its line end.
        """
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.settimeout(LONGEST_WAIT)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(self.request(path, headers))
        return connection

    def curl(self, path: str, *options: str) -> str:
        """Return the exit status of curl, which is 0 when it takes a download for complete."""
        program = shutil.which("curl")
        if not program:
            return NO_CURL
        headers = [f"-H{line}" for line in self.headers.splitlines()]
        address = f"http://127.0.0.1:{self.port}{path}"
        command = [program, "-s", "--max-time", str(ANSWERED), *headers, *options, address]
        return f"exit status {subprocess.run(command, stdout=subprocess.DEVNULL).returncode}"

    def memory(self) -> int:
        """Return the memory of the processes and of all that they started, in bytes."""
        total = 0
        for process in [psutil.Process(each.pid) for each in self.processes]:
            for each in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):  # it has just ended
                    total += each.memory_info().rss
        return total


def with_id(path: str, request: str) -> str:
    """Return a path that carries the id of its request."""
    return f"{path}{'&' if '?' in path else '?'}id={request}"
