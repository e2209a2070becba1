"""Let a thousand clients disconnect from each app of the recipes, and count what stays open."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import NamedTuple

import psutil
import redis

from docs._system.leftovers import running_program
from docs._system.packaged import search_path
from docs._system.ports import free_port, listens
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import CLOSE, request_bytes
from docs.measurements.lab.results import Cells
from examples.kit.event_log import open_log

from .workers import read_until, wait_until

CLIENTS = 1000
AT_ONCE = 50
LEFT_AFTER = 0.3  # seconds after which the last client of a wave disconnects

WORKERS = {
    "gthread": f"-k gthread --threads {2 * AT_ONCE} --graceful-timeout 1",
    "gevent": "-k gevent --graceful-timeout 1",
}

#: What a client waits for before it disconnects, and how many of four clients do so.
SITUATIONS = {"silent": 2, "before": 1, "flows": 1}


class Upstream:
    """A server that is silent before its response or within it, or sends a piece every 10 ms.

    The word in the request decides: ``before``, ``silent`` or ``flows``.
    """

    PIECE = b'data: {"choices": [{"delta": {"content": "UA 1545"}}]}\n\n'
    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    def __init__(self) -> None:
        self.open = 0
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        Thread(target=self.loop.run_until_complete, args=[self.serve()], daemon=True).start()
        wait_until(lambda: listens(self.port) and self.open == 0)

    async def serve(self) -> None:
        """Serve for ever."""
        server = await asyncio.start_server(self.answer, "127.0.0.1", self.port)
        await server.serve_forever()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, until the client closes its connection."""
        self.open += 1
        try:
            request = b""
            while not any(word.encode() in request for word in SITUATIONS):
                piece = await reader.read(65536)
                if not piece:
                    return
                request += piece
            gone = asyncio.create_task(self.end_of(reader))
            if b"before" not in request:
                writer.write(self.HEAD + self.PIECE)
            if b"flows" not in request:
                await gone
            while not gone.done():
                await asyncio.wait([gone], timeout=0.01)
                writer.write(self.PIECE)
        finally:
            self.open -= 1
            writer.close()

    async def end_of(self, reader: asyncio.StreamReader) -> None:
        """Wait until the client closes its connection."""
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass


class App(NamedTuple):
    """An app under load.

    :param name: its module, and what else matters.
    :param settings: its environment.
    :param request: returns the bytes of a request, by the port and the situation.
    :param counts: what is counted besides threads and files, by its column.
    """

    name: str
    settings: dict[str, str]
    request: Callable[[int, str], bytes]
    counts: dict[str, Callable[[], int]]


def relayed(port: int, situation: str) -> bytes:
    """Return a request to the relay."""
    return request_bytes(port, f"/relay/{situation}")


def chat(port: int, situation: str) -> bytes:
    """Return a request for tokens."""
    body = json.dumps({"messages": [{"role": "user", "content": situation}]})
    headers = f"{CLOSE}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return request_bytes(port, "/chat", "POST", headers=headers) + body.encode()


def events(port: int, situation: str) -> bytes:
    """Return a request for events; while they flow, the client is also caught up from the log."""
    return request_bytes(port, "/events?last=0" if situation == "flows" else "/events")


@contextmanager
def publishing(url: str) -> Iterator[Event]:
    """Publish an event every 10 ms, while what this yields is set, and 500 events before."""
    log, flows, ended = open_log(url), Event(), Event()

    def work() -> None:
        for number in range(500):
            log.append(f"UA {number}")
        while not ended.is_set():
            if flows.wait(0.1):
                log.append("UA 1545 boards")
                time.sleep(0.01)

    thread = Thread(target=work)
    thread.start()
    try:
        yield flows
    finally:
        ended.set()
        thread.join()
        log.close()


def leave(port: int, request: bytes, situation: str) -> None:
    """Send a request, read until the situation is there, and disconnect."""
    with closing(socket.create_connection(("127.0.0.1", port), 30)) as client:
        client.sendall(request)
        if situation == "before":
            time.sleep(LEFT_AFTER)
            return
        least = 2 if situation == "flows" else 1
        read_until(client, lambda seen: seen.count(b"\n\n") + seen.count(b":\n") >= least)
        if situation == "silent":
            time.sleep(LEFT_AFTER)


def counted(app: App, worker: psutil.Process) -> Cells:
    """Return what is open now."""
    own = {name: count() for name, count in app.counts.items()}
    return {"threads": worker.num_threads(), "files and sockets": worker.num_fds(), **own}


def disconnect(app: App, served: Gunicorn, flows: Event, clients: int) -> None:
    """Let clients disconnect, in waves of one situation."""
    for situation, quarters in SITUATIONS.items():
        number = clients * quarters // 4
        request = app.request(served.port, situation)
        if situation == "flows":
            flows.set()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            left = [pool.submit(leave, served.port, request, situation) for _ in range(number)]
        for each in left:
            each.result()
        flows.clear()


def settled(app: App, worker: psutil.Process) -> Cells:
    """Return what is open as soon as the same is open for three seconds."""
    latest, since = counted(app, worker), time.monotonic()
    while time.monotonic() < since + 3:
        time.sleep(0.1)
        if (now := counted(app, worker)) != latest:
            latest, since = now, time.monotonic()
    return latest


def measured(app: App, worker: str, flows: Event) -> Cells:
    """Return the row of an app and a worker."""
    with gunicorn(app.name, WORKERS[worker], settings=app.settings) as served:
        disconnect(app, served, flows, 8 * AT_ONCE)  # until all is open that stays open
        before = settled(app, served.worker)
        disconnect(app, served, flows, CLIENTS)
        began = time.monotonic()
        after = settled(app, served.worker)
        seconds = time.monotonic() - began - 3
    more = {f"{name} more": max(0, int(after[name]) - int(before[name])) for name in before}
    return {"clients": CLIENTS, **more, "after, seconds": round(max(0, seconds), 1)}


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run Redis on a free port and yield its address."""
    port = free_port()
    program = str(shutil.which("redis-server", path=search_path()))
    command = [program, "--port", str(port), "--save", "", "--dir", str(folder)]
    with running_program(command, subprocess.DEVNULL, settings={}, folder=folder):
        wait_until(lambda: listens(port))
        yield f"redis://127.0.0.1:{port}"


def disconnected_rows() -> Iterator[Cells]:
    """Yield a row for each app and worker."""
    upstream = Upstream()
    relays = {"upstream connections": lambda: upstream.open}
    url = f"http://127.0.0.1:{upstream.port}"
    with ExitStack() as ending:
        folder = Path(ending.enter_context(TemporaryDirectory()))
        address = ending.enter_context(redis_server(folder))
        client = redis.Redis.from_url(address)
        clients = {"Redis clients": lambda: len(client.client_list())}
        logs = {"SQLite": f"sqlite:///{folder}/events.sqlite", "Redis": address}
        apps = [
            (App("examples.relay:app", {"FLASK_UPSTREAM_URL": f"{url}/"}, relayed, relays), ""),
            (App("examples.tokens:app", {"FLASK_UPSTREAM_URL": f"{url}/v1"}, chat, relays), ""),
        ]
        for name, log in logs.items():
            settings = {"FLASK_EVENTS_URL": log, "FLASK_EVENTS_SILENCE": "0.4"}
            own = clients if name == "Redis" else {}
            apps.append((App("examples.events:app", settings, events, own), name))
        for app, log in apps:
            for worker in WORKERS:
                with publishing(logs[log]) if log else nullcontext(Event()) as flows:
                    cells = measured(app, worker, flows)
                names = {"app": app.name.removesuffix(":app"), "log": log, "worker": worker}
                yield names | cells | measured_on("gunicorn", "gevent")
