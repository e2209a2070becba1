"""A server or a proxy that is up, and what can be asked of it."""

import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from docs.measurements.lab.processes import Events, new_id
from docs.measurements.lab.recorder import Exchange, fetch, request_bytes

ANSWERED = 15  # seconds that an answer may take
LONGEST_WAIT = 30.0  # seconds after which a client that gets no byte gives up
NO_CURL = "curl is not installed"  # the answer of a machine without it


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

    def fetch(self, path: str, method: str = "GET", *, version: str = "1.1") -> Exchange:
        """Send a request whose events can be found, and return what came of it."""
        request = new_id()
        headers, timeout = self.headers, self.answered
        path = with_id(path, request)
        answer = fetch(self.port, path, method, version=version, timeout=timeout, headers=headers)
        answer.request = request
        return answer

    def times(self, answer: Exchange, event: str) -> list[float]:
        """Return when an event took place, each time, in seconds since the request."""
        return [time - answer.began for time in self.events.times(answer.request, event)]

    def request_bytes(self, path: str, headers: str = "", method: str = "GET") -> bytes:
        """Return the bytes of a request.

        :param headers: further lines of the head, each with its line end.
        """
        return request_bytes(self.port, path, method, headers=self.headers + headers)

    def connect(self, path: str, headers: str = "") -> socket.socket:
        """Send a request and return the connection, whose buffer for what arrives is small.

        :param headers: further lines of the head, each with its line end.
        """
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.settimeout(LONGEST_WAIT)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(self.request_bytes(path, headers))
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
