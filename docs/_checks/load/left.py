"""Let a thousand clients disconnect from each download and upload, and count what stays open.

``python -m docs.measurements left /flights.zip`` measures the rows of one path again.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.recorder import CLOSE, request_bytes
from docs.measurements.lab.results import Cells, recorded

from .disconnected import (
    AT_ONCE,
    CLIENTS,
    LEFT_AFTER,
    SITUATIONS,
    WORKERS,
    App,
    settled,
)
from .exported import one_file, orders, prepared
from .workers import read_until

MEGABYTES = 100  # of a download: more than fits into the buffers of a connection
HALF = bytes(500_000)  # of an upload
BUFFER = 4096  # bytes that the kernel keeps for a client which does not read


def leave(port: int, request: bytes, situation: str) -> None:
    """Send a request and disconnect: before the first byte, in the body, or after a pause in it.

    :raises ConnectionError: when the response is no 200.
    """
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        client.settimeout(60)
        client.connect(("127.0.0.1", port))
        client.sendall(request)
        if situation == "before":
            return
        read_until(client, lambda seen: seen.partition(b"\r\n\r\n")[2], BUFFER)
        if situation == "silent":
            time.sleep(LEFT_AFTER)  # the server waits, because its buffer is full


class Left(NamedTuple):
    """An app whose clients disconnect.

    :param app: its module.
    :param path: of the request, and without its query the name of the row.
    :param settings: returns the environment of the app, by an empty folder, whose files count.
    :param request: returns the bytes of a request, by the port, the path and the situation.
    :param leave: sends these bytes, and disconnects in the situation.
    """

    app: str
    path: str
    settings: Callable[[Path], dict[str, str]] = lambda _: {}
    request: Callable[[int, str, str], bytes] = lambda port, path, _: request_bytes(port, path)
    leave: Callable[[int, bytes, str], None] = leave

    def name(self) -> str:
        """Return the name of the row."""
        return self.path.partition("?")[0]

    def disconnect(self, port: int, clients: int) -> None:
        """Let clients disconnect, in waves of one situation."""
        for situation, quarters in SITUATIONS.items():
            request = self.request(port, self.path, situation)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                number = clients * quarters // 4
                left = [pool.submit(self.leave, port, request, situation) for _ in range(number)]
            for each in left:
                each.result()

    def row(self, worker: str) -> Cells:
        """Return the row of a worker."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            settings = self.settings(folder)
            with gunicorn(f"{self.app}:app", WORKERS[worker], settings=settings) as served:
                counts = open_in(served.worker, folder)
                app = App(self.app, settings, lambda *_: b"", counts)
                self.disconnect(served.port, 8 * AT_ONCE)
                before = settled(app, served.worker)
                self.disconnect(served.port, CLIENTS)
                after = settled(app, served.worker)
        more = {f"{each} more": max(0, int(after[each]) - int(before[each])) for each in before}
        names: Cells = {"path": self.name(), "worker": worker, "clients": CLIENTS}
        return names | more | measured_on("gunicorn", "gevent")


def open_in(worker: psutil.Process, folder: Path) -> dict[str, Callable[[], int]]:
    """Return what counts the processes that a worker started, and the files of a folder.

    A process whose parent has ended counts too, where the folder is its home.
    """

    def processes() -> int:
        found = {child.pid for child in worker.children(recursive=True)}
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("HOME") == str(folder):
                found.add(process.pid)
        return len(found)

    return {
        "processes": processes,
        "files in its folder": lambda: sum(path.is_file() for path in folder.rglob("*")),
    }


def export(folder: Path) -> dict[str, str]:
    """Return the environment of an export."""
    return prepared(folder, MEGABYTES)


#: A command for each situation. It has a child, which a signal to the command alone does not end.
COMMANDS = {
    "before": ["sh", "-c", "sleep 300 & sleep 300"],
    "silent": ["sh", "-c", "echo UA 1545; sleep 300 & sleep 300"],
    "flows": ["sh", "-c", "sleep 300 & yes"],
}


def running(folder: Path) -> dict[str, str]:
    """Return the environment of the app that runs commands."""
    commands = json.dumps(COMMANDS)
    return {"FLASK_COMMANDS": commands, "FLASK_AT_ONCE": "2000", "HOME": str(folder)}


def run_command(port: int, path: str, situation: str) -> bytes:
    """Return the request that runs the command of a situation."""
    headers = "Connection: close\r\nContent-Length: 0\r\n"
    return request_bytes(port, f"{path}/{situation}", "POST", headers=headers)


def get_compressed(port: int, path: str, _: str) -> bytes:
    """Return the request of a client that decodes zstd, whose compressor needs most memory."""
    return request_bytes(port, path, headers=f"{CLOSE}Accept-Encoding: zstd\r\n")


def put(port: int, path: str, situation: str) -> bytes:
    """Return the head of an upload. A client that does not pause sends it in chunks."""
    framing = f"Content-Length: {2 * len(HALF)}"
    if situation == "flows":
        framing = "Transfer-Encoding: chunked"
    return request_bytes(port, path, "PUT", headers=f"{framing}\r\n")


def leave_upload(port: int, request: bytes, situation: str) -> None:
    """Send the head of an upload, or half of the body too, and disconnect, after a pause or not."""
    start = b"%x\r\n" % (2 * len(HALF)) if situation == "flows" else b""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(request if situation == "before" else request + start + HALF)
        if situation == "silent":
            time.sleep(LEFT_AFTER)


def working(folder: Path) -> dict[str, str]:
    """Return the environment of the app that shows the progress of jobs."""
    return {"FLASK_PROGRESS_FOLDER": str(folder), "FLASK_PROGRESS_SILENCE": "0.2"}


@cache
def long_jobs(port: int) -> list[str]:
    """Start three jobs that outlast the measurement, and return their paths. The third waits."""
    paths = []
    for _ in range(3):
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/jobs", '{"rows": 10000}', headers)
            response = connection.getresponse()
            paths.append(response.headers["Location"])
            response.read()
    return paths


def watch_job(port: int, path: str, situation: str) -> bytes:
    """Return the request for the events of a job: of one that waits where a client is silent."""
    job = long_jobs(port)[2 if situation == "silent" else 0]
    return request_bytes(port, f"{job}{path.removeprefix('/jobs')}")


#: A row for each, by both workers.
CASES = (
    Left("examples.orders", "/orders.csv?end=marker", lambda folder: orders(folder, MEGABYTES)),
    Left("examples.json_lines", "/flights.jsonl?end=marker", export),
    Left("examples.archive", "/flights.zip", export),
    Left("examples.compressed", "/compressed.jsonl", export, get_compressed),
    Left("examples.command", "/commands", running, run_command),
    Left("examples.files", "/files/large.bin", lambda folder: one_file(folder, MEGABYTES)),
    Left(
        "examples.upload",
        "/files/cut.bin",
        lambda folder: {"FLASK_UPLOAD_FOLDER": str(folder)},
        put,
        leave_upload,
    ),
    Left("examples.frames", "/camera?fps=10", lambda folder: {"FLASK_FRAMES_FOLDER": str(folder)}),
    Left("examples.progress", "/jobs/events", working, watch_job),
)


def left_rows(*names: str) -> Iterator[Cells]:
    """Yield a row for each path and worker.

    :param names: the paths that are measured again, all where there are none.
    """
    earlier = {
        (row["path"], row["worker"]): dict[str, str | float](row) for row in recorded("left")
    }
    for case in CASES:
        for worker in WORKERS:
            if not names or case.name() in names:
                yield case.row(worker)
            elif (key := (case.name(), worker)) in earlier:
                yield earlier[key]
