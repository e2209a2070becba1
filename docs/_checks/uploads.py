"""Measure what each server and proxy does with an upload: when it arrives, and how a cut looks."""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from docs.measurements.behaviour.proxies import PROXIES, Proxy, running_proxy
from docs.measurements.behaviour.servers import SERVERS, Server, running_server
from docs.measurements.behaviour.target import Target
from docs.measurements.lab.measurement import Measurement, measured_on
from docs.measurements.lab.processes import new_id
from docs.measurements.lab.results import Cells
from examples.stream_check.response import MalformedResponse, Response

WAIT = 1.0  # seconds within which a part of a body must reach the app
ANSWER = 10.0  # seconds that an answer may take
SMALL = b"u" * 10
LARGE = b"u" * 256 * 1024  # more than the app reads at once
PIECE = b"u" * 100_000
CHUNKED = "Transfer-Encoding: chunked\r\n"
FAILED = ("502", "503", "reset", "no answer")
FRAMINGS = {"chunked": True, "with a length": False}

#: Without what only changes the response, and with what changes the request.
CASES: Sequence[Server | Proxy] = [
    *(server for name, server in SERVERS.items() if "--" not in name),
    Server(
        "uWSGI http, chunked input",
        f"{SERVERS['uWSGI http'].command} --http-chunked-input",
        ["pyuwsgi"],
    ),
    *(
        PROXIES[name]
        for name in ("nginx", "nginx, uwsgi_pass", "nginx 1.22", "nginx 1.22, HTTP/1.1")
    ),
    Proxy(
        "nginx, request buffering off",
        "nginx",
        upstream_settings="proxy_request_buffering off; client_max_body_size 0;",
    ),
    Proxy(
        "nginx, uwsgi_pass, request buffering off",
        "nginx",
        upstream_settings="uwsgi_request_buffering off; client_max_body_size 0;",
        pass_on=PROXIES["nginx, uwsgi_pass"].pass_on,
        behind="uWSGI http-socket",
    ),
    *(
        PROXIES[name]
        for name in (
            "Apache",
            "HAProxy",
            "Caddy",
            "Caddy 2.6",
            "Traefik",
            "Traefik, buffering",
            "Envoy",
            "Varnish",
            "Varnish, pass",
            "Varnish, pipe",
        )
    ),
]


class Upload:
    """An upload whose parts are sent one by one.

    :param target: where it is sent.
    :param size: of the whole body.
    :param chunked: whether it is sent in chunks, or with its length.
    :param query: of its path, beside its id.
    """

    def __init__(self, target: Target, size: int, *, chunked: bool, query: str = "") -> None:
        self.target, self.chunked, self.id = target, chunked, new_id()
        head = CHUNKED if chunked else f"Content-Length: {size}\r\n"
        path = f"/received?id={self.id}{query}"
        self.connection = socket.create_connection(("127.0.0.1", target.port), ANSWER)
        self.connection.sendall(target.request_bytes(path, head, "PUT"))

    def send(self, data: bytes) -> None:
        """Send a part."""
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data
        self.connection.sendall(framed)

    def arrived(self) -> bool:
        """Return whether the app has read a first piece."""
        return self.target.events.wait(self.id, "first", WAIT) is not None

    def answer(self) -> int:
        """End the body, and return the status of the answer, or 0 without one."""
        response = Response("PUT")
        with suppress(OSError, MalformedResponse), self.connection:
            if self.chunked:
                self.connection.sendall(b"0\r\n\r\n")
            while not response.complete and (data := self.connection.recv(65536)):
                response.feed(data)
        return response.status if response.framing else 0

    def read(self) -> list[int]:
        """Return the number of bytes that the app read, when it has read all."""
        events = [event.partition(" ") for _, event in self.target.events.of(self.id)]
        return [int(size) for word, _, size in events if word == "read"]

    def cut(self) -> str:
        """Close the connection early, and return what the app learns of it."""
        self.connection.close()
        end = time.monotonic() + ANSWER
        while time.monotonic() < end:
            for _, event in self.target.events.of(self.id):
                if event.startswith(("failed ", "read ")):
                    complete = "empty" if event == "read 0" else "looks complete"
                    return complete if event.startswith("read ") else "error"
            time.sleep(0.05)
        waits = self.target.events.times(self.id, "first")
        return "waits" if waits else "never called"


def arrival(target: Target, *, chunked: bool, query: str = "") -> str:
    """Send an upload with pauses, and tell when the app reads its first piece."""
    size = len(SMALL + LARGE + SMALL)
    upload = Upload(target, size, chunked=chunked, query=query)
    when = ""
    with suppress(OSError):
        upload.send(SMALL)
        when = "each byte" if upload.arrived() else ""
        upload.send(LARGE)
        when = when or ("each 64 KiB" if upload.arrived() else "at the end")
        upload.send(SMALL)
    status = upload.answer()
    if upload.read() == [0]:
        return "empty"
    if status == 200 and upload.read() != [size]:
        return f"{upload.read()} bytes"
    return when if status == 200 else str(status or "no answer")


def cut(target: Target, *, chunked: bool, query: str = "") -> str:
    """Send half of an upload, close the connection, and tell how the app sees it."""
    upload = Upload(target, 2 * len(LARGE), chunked=chunked, query=query)
    with suppress(OSError):
        upload.send(LARGE)
        upload.arrived()
    return upload.cut()


def limit(target: Target, size: int, *, chunked: bool, query: str) -> str:
    """Send an upload of a size without pauses, and return the status of the answer."""
    upload = Upload(target, size, chunked=chunked, query=query)
    with suppress(OSError):
        for _ in range(size // len(PIECE)):
            upload.send(PIECE)
    status = upload.answer()
    if upload.read() == [0]:
        return "empty"
    return {0: "reset", 200: "received"}.get(status, str(status))


def settled(question: Callable[[], str]) -> str:
    """Ask again what failed, at most twice.

    A proxy may send an upload over a connection that its server closes in this moment.
    """
    found = question()
    for _ in range(2):
        if found not in FAILED:
            break
        found = question()
    return found


def uploads(target: Target, *, flag: bool) -> Cells:
    """Ask everything about uploads.

    :param flag: whether to ask what a body in chunks becomes when the app marks it as terminated.
    """
    cells: Cells = {"versions": target.versions}
    for name, chunked in FRAMINGS.items():
        cells[name] = settled(partial(arrival, target, chunked=chunked))
        cells[f"cut, {name}"] = cut(target, chunked=chunked)
        query = "&limit=100000"
        refused = partial(limit, target, 500_000, chunked=chunked, query=query)
        cells[f"limit 100 KB, {name}"] = settled(refused)
    cells["10 MB"] = settled(partial(limit, target, 10_000_000, chunked=False, query=""))
    if flag:
        query = "&terminated=yes"
        cells["chunked, terminated"] = arrival(target, chunked=True, query=query)
        cells["cut, chunked, terminated"] = cut(target, chunked=True, query=query)
    return cells


def ask(case: Server | Proxy) -> Cells:
    """Ask a server or a proxy."""
    if isinstance(case, Server):
        with running_server(case) as target:
            return uploads(target, flag=True)
    with running_proxy(case) as target:
        return uploads(target, flag=False)


def on(case: Server | Proxy) -> Cells:
    """Return what a case is measured on."""
    behind = "none" if isinstance(case, Server) else case.behind
    return {"behind it": behind, **measured_on()}


MEASUREMENT = Measurement(
    "uploads", CASES, names=lambda case: {"server": case.name}, ask=ask, on=on, at_once=2
)
