"""Kill workers and logs while clients listen, and count the events that each client received."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from threading import Thread
from typing import Any

import psutil
import requests

from docs._system import ROOT
from docs._system.chromium import Chromium
from docs._system.leftovers import running_program
from docs._system.packaged import search_path
from docs._system.ports import free_port, listens
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import event_log, running
from docs.measurements.lab.results import Cells
from examples.kit.event_log import EventLog, Feed, open_log

from .workers import wait_until

EVENTS = 2000  # that are sent while workers are killed
KILLS = 3
LISTENERS = 100
PART = 100  # events before and after Redis is out of reach
STOPPED = 10  # seconds
KEPT = 1000  # events, where the log is trimmed
PAGE = ROOT / "docs/recipes/events-from-many-processes.rst"

NGINX = """
daemon off; error_log stderr; pid {folder}/nginx.pid; events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; }}
    }}
}}
"""

#: Lets Chromium reconnect by itself.
EVENT_SOURCE = """
const got = [];
await new Promise((done) => {
  const source = new EventSource("/events?last=%s");
  source.onmessage = (event) => { if (got.push(event.data) === %d) done(); };
});
console.log(JSON.stringify(got));
"""


def listing(caption: str) -> dict[str, Any]:
    """Return the names of a program on the page, by its caption."""
    block = rf"   :caption: {re.escape(caption)}\n(?:   :.*\n)*\n((?:   .*\n|\n)+)"
    found = re.search(block, PAGE.read_text("utf-8"))
    assert found, caption
    names: dict[str, Any] = {}
    exec(dedent(found[1]), names)
    return names


def program(name: str) -> str:
    """Return the path of a program, which may be inside a Python package."""
    return str(shutil.which(name, path=search_path()))


@contextmanager
def redis_server(port: int, folder: Path) -> Iterator[psutil.Process]:
    """Run Redis with an append-only file in a folder."""
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "yes", "--dir", str(folder)]
    with running_program(command, subprocess.DEVNULL, settings={}, folder=folder) as process:
        wait_until(lambda: listens(port))
        yield psutil.Process(process.pid)


@contextmanager
def four_workers(url: str, options: str) -> Iterator[tuple[int, psutil.Process]]:
    """Serve the app with four workers, and yield their port and gunicorn's first process."""
    port = free_port()
    options = f"examples.events:app -b 127.0.0.1:{port} --no-control-socket -w 4 {options}"
    settings = {"FLASK_EVENTS_URL": url, "FLASK_EVENTS_SILENCE": "1"}
    command = [sys.executable, "-m", "gunicorn", *options.split()]
    with (
        event_log() as events,
        running(command, port, events, settings=settings, ready=("/404", 404)) as process,
    ):
        yield port, psutil.Process(process.pid)


@contextmanager
def nginx(upstream: int) -> Iterator[int]:
    """Run nginx in front of a port, and yield its own."""
    port = free_port()
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        file = folder / "nginx.conf"
        file.write_text(NGINX.format(folder=folder, port=port, upstream=upstream), "utf-8")
        command = [program("nginx"), "-p", name, "-c", str(file), "-e", "stderr"]
        with running_program(command, subprocess.DEVNULL, settings={}, folder=folder):
            wait_until(lambda: listens(port))
            yield port


def kill_the_worker_in_use(first: psutil.Process) -> None:
    """End the worker with the most connections at once."""
    wait_until(lambda: len(first.children()) == 4)
    in_use: dict[int, int] = {}
    for worker in first.children():
        with suppress(psutil.Error):
            in_use[worker.pid] = len(worker.net_connections())
    psutil.Process(max(in_use, key=lambda pid: in_use[pid])).kill()


def judged(got: list[str], sent: list[str]) -> Any:
    """Return what a client lost, received twice, and received out of order."""
    return {
        "lost": len(set(sent) - set(got)),
        "doubled": len(got) - len(set(got)),
        "in order": "yes" if got == sorted(got, key=sent.index) else "no",
    }


def in_chromium(port: int, start: str, got: list[str]) -> None:
    """Receive all events in an ``EventSource``."""
    with TemporaryDirectory() as profile:
        browser = Chromium(program("chromium"), Path(profile))
        with closing(browser):
            url = f"http://127.0.0.1:{port}"
            ran = browser.run(f"{url}/", f"{url}/module.js", EVENT_SOURCE % (start, EVENTS), 240)
    got.extend(json.loads(ran.shown[-1]))


def killed(name: str, url: str) -> Iterator[Cells]:
    """Kill the worker in use three times while events are sent, and yield a row for each client."""
    log = open_log(url, 10_000)
    start = log.append("start")
    sent = [f"UA {number}" for number in range(EVENTS)]
    loops = {
        "httpx-sse": listing("follow_events.py")["follow"],
        "sseclient-py": listing("follow_with_requests.py")["follow"],
    }
    received: dict[str, list[str]] = {client: [] for client in (*loops, "Chromium")}

    def receive(client: str, port: int) -> None:
        follow = loops[client](f"http://127.0.0.1:{port}/events?last={start}")
        received[client].extend(event.data for event in islice(follow, EVENTS))

    with four_workers(url, "-k gthread --threads 20") as (upstream, first), nginx(upstream) as port:
        readers = [Thread(target=receive, args=[client, port]) for client in loops]
        arguments = port, start, received["Chromium"]
        readers.append(Thread(target=in_chromium, args=arguments))
        for reader in readers:
            reader.start()
        time.sleep(3)  # until Chromium is there
        for number, data in enumerate(sent):
            log.append(data)
            time.sleep(0.004)
            if number and number % (EVENTS // (KILLS + 1)) == 0 and number < EVENTS - 1:
                kill_the_worker_in_use(first)
        for reader in readers:
            reader.join(240)
    log.close()
    for client, got in received.items():
        yield {
            "case": f"kill -9 of the worker in use, {KILLS} times",
            "log": name,
            "client": client,
            "clients": 1,
            "events": EVENTS,
            **judged(got, sent),
            "gaps": 0,
        }


class Client:
    """A client that never connects again.

    :param port: of the server.
    """

    def __init__(self, port: int) -> None:
        self.events: list[str] = []
        self.gaps = self.heartbeats = 0
        self.connected = False
        self.response = requests.get(f"http://127.0.0.1:{port}/events", stream=True, timeout=60)
        self.thread = Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        """Read until the end."""
        name = ""
        with suppress(requests.RequestException, AttributeError):
            for line in self.response.iter_lines(chunk_size=1):
                field, _, value = line.decode().partition(": ")
                self.connected |= field == "id"
                self.heartbeats += line == b":"
                if field == "event":
                    name = value
                elif field == "data":
                    self.gaps += name == "gap"
                    self.events += [value] * (name != "gap")
                    name = ""


def append(log: EventLog, data: str) -> None:
    """Append an event as soon as the log is within reach."""

    def appended() -> bool:
        with suppress(*log.errors):
            return bool(log.append(data))
        return False

    wait_until(appended)


def redis_out_of_reach() -> Iterator[Cells]:
    """Stop Redis, kill it, and start it empty, under a hundred listeners that stay connected."""
    with TemporaryDirectory() as name, ExitStack() as ending:
        folder, port = Path(name), free_port()
        url = f"redis://127.0.0.1:{port}"
        log = open_log(url)
        starting = redis_server(port, folder)
        redis = starting.__enter__()
        http, _ = ending.enter_context(four_workers(url, "-k gevent"))
        clients = [Client(http) for _ in range(LISTENERS)]
        wait_until(lambda: all(client.connected for client in clients))
        sent: list[str] = []

        def send(label: str) -> None:
            for number in range(PART):
                sent.append(f"{label} {number}")
                append(log, sent[-1])

        def stop() -> None:
            redis.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED)
            redis.send_signal(signal.SIGCONT)

        def start_again() -> None:
            nonlocal starting, redis
            redis.kill()
            starting.__exit__(None, None, None)
            time.sleep(2)
            starting = redis_server(port, folder)
            redis = starting.__enter__()

        def start_empty() -> None:
            shutil.rmtree(folder / "appendonlydir", ignore_errors=True)
            (folder / "appendonly.aof").unlink(missing_ok=True)
            start_again()

        cases: dict[str, Callable[[], None]] = {
            f"Redis stopped for {STOPPED} s": stop,
            "Redis killed, started with its append-only file": start_again,
            "Redis started empty": start_empty,
        }
        send("before")
        for case, happen in cases.items():
            before = [client.heartbeats for client in clients]
            already = len(sent)
            happen()
            send(case)
            with suppress(TimeoutError):
                wait_until(lambda: all(client.events[-1:] == sent[-1:] for client in clients))
            judgements = [judged(client.events[already:], sent[already:]) for client in clients]
            worst: Cells = {
                "lost": max(each["lost"] for each in judgements),
                "doubled": max(each["doubled"] for each in judgements),
                "in order": min(each["in order"] for each in judgements),
            }
            silent = [client.heartbeats - old for client, old in zip(clients, before, strict=True)]
            yield {
                "case": case,
                "log": "Redis",
                "client": "requests, one connection",
                "clients": sum(client.thread.is_alive() for client in clients),
                "events": PART,
                **worst,
                "gaps": " or ".join(sorted({str(client.gaps) for client in clients})),
                "heartbeats at least": min(silent),
            }
        starting.__exit__(None, None, None)
        log.close()


def trimmed(name: str, url: str) -> Cells:
    """Trim the log while a client is away, and return what the client receives afterwards."""
    log = open_log(url, KEPT)
    feed = Feed(log)
    last = log.append("the last event of the client")
    sent = [f"UA {number}" for number in range(3 * KEPT)]
    for data in sent:
        log.append(data)
    stream, text = feed.listen(last), ""
    while f"data: {sent[-1]}\n" not in text:
        text += next(stream).decode()
    stream.close()
    kept = re.findall(r"^data: (UA \d+)$", text, re.MULTILINE)
    wait_until(lambda: feed.follower is None)
    log.close()
    return {
        "case": f"{3 * KEPT} events while the client is away",
        "log": name,
        "client": "of the kit",
        "clients": 1,
        "events": len(kept),
        **judged(kept, sent[-len(kept) :]),
        "gaps": text.count("event: gap\n"),
    }


def survived_rows() -> Iterator[Cells]:
    """Yield a row for each event and client."""
    on = measured_on("gunicorn", "gevent", "redis")
    with TemporaryDirectory() as name, ExitStack() as ending:
        port = free_port()
        ending.enter_context(redis_server(port, Path(name)))
        logs = {"SQLite": f"sqlite:///{name}/events.sqlite", "Redis": f"redis://127.0.0.1:{port}"}
        for log, url in logs.items():
            yield from (row | on for row in killed(log, url))
        for log, url in logs.items():
            path = url.replace("events.sqlite", "trimmed.sqlite")
            yield trimmed(log, path if log == "SQLite" else f"{url}/1") | on
    yield from (row | on for row in redis_out_of_reach())
