"""Let a thousand clients disconnect from each export, and count what stays open."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import request_bytes
from docs.measurements.lab.results import Cells

from .disconnected import (
    AT_ONCE,
    CLIENTS,
    LEFT_AFTER,
    SITUATIONS,
    WORKERS,
    App,
    settled,
)
from .exported import prepared

PATHS = {"examples.json_lines": "/flights.jsonl?end=marker", "examples.archive": "/flights.zip"}
MEGABYTES = 100  # of an export: more than fits into the buffers of a connection
BUFFER = 4096  # bytes that the kernel keeps for a client which does not read


def leave(port: int, path: str, situation: str) -> None:
    """Send a request and disconnect: before the first byte, in the body, or after a pause in it."""
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        client.settimeout(60)
        client.connect(("127.0.0.1", port))
        client.sendall(request_bytes(port, path))
        if situation == "before":
            return
        seen = b""
        while not seen.partition(b"\r\n\r\n")[2]:
            piece = client.recv(BUFFER)
            if not piece:
                raise ConnectionError(seen[:200])
            seen += piece
        if not seen.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(seen[:200])
        if situation == "silent":
            time.sleep(LEFT_AFTER)  # the server waits, because its buffer is full


def disconnect(served: Gunicorn, path: str, clients: int) -> None:
    """Let clients disconnect, in waves of one situation."""
    for situation, quarters in SITUATIONS.items():
        with ThreadPoolExecutor(AT_ONCE) as pool:
            number = clients * quarters // 4
            left = [pool.submit(leave, served.port, path, situation) for _ in range(number)]
        for each in left:
            each.result()


def left_rows() -> Iterator[Cells]:
    """Yield a row for each path and worker."""
    with TemporaryDirectory() as folder:
        settings = prepared(Path(folder), MEGABYTES)
        for app, path in PATHS.items():
            for worker, options in WORKERS.items():
                each = App(f"{app}:app", settings, lambda *_: b"", {})
                with gunicorn(each.name, options, settings=settings) as served:
                    disconnect(served, path, 8 * AT_ONCE)
                    before = settled(each, served.worker)
                    disconnect(served, path, CLIENTS)
                    after = settled(each, served.worker)
                more = {
                    f"{name} more": max(0, int(after[name]) - int(before[name])) for name in before
                }
                yield {
                    "path": path.partition("?")[0],
                    "worker": worker,
                    "clients": CLIENTS,
                    **more,
                    **measured_on("gunicorn", "gevent"),
                }
