"""Measure how long a stream runs on when the network of its client is lost without a word.

Each loss has two network namespaces of its own, a server in one and a client in the other; then the
client's address is removed, so all that the server sends is lost, and nothing answers it. Only root
may do that. All run side by side, and take as long as the kernel tries by itself, 16 minutes.
"""

import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Response, request

from docs._system import ROOT
from docs._system.declared import declared
from docs._system.leftovers import running_program
from docs.measurements.behaviour.app import app, logged_stream
from docs.measurements.behaviour.proxies import PROXY_PROGRAMS, Proxy, configured
from docs.measurements.lab.environments import find_program, made_of
from docs.measurements.lab.measurement import Measurement, cases_of
from docs.measurements.lab.processes import Events, NotStartedError, event_log, new_id
from docs.measurements.lab.results import Cells

SERVER_IP, CLIENT_IP, CLIENT_MAC = "10.0.0.1", "10.0.0.2", "02:00:00:00:00:02"
PORT = 8000
READING = 120  # seconds that a client may take until it reads its first piece
RUNNING_ON = 1200  # seconds for which each generator is watched


@app.get("/pieces")
def pieces_until() -> Response:
    """Send ``?size=`` bytes ``?every=`` so many seconds, for ``?lifetime=`` seconds at most."""
    size = request.args.get("size", 2, int)
    every = request.args.get("every", 1.0, float)
    last = time.monotonic() + request.args.get("lifetime", 2.0 * RUNNING_ON, float)

    def generate() -> Iterator[bytes]:
        while time.monotonic() < last:
            yield b":".ljust(size - 1, b".") + b"\n"
            time.sleep(every)

    return logged_stream(generate())


#: A configuration of gunicorn whose connections get an option of their listening socket.
OPTIONS = """
import socket

def when_ready(server):
    for listener in server.LISTENERS:
{options}
"""


@dataclass(frozen=True)
class Loss:
    """A client that is lost; ``lost_network.toml`` says what each of these is."""

    bounds: str
    stream: str = "every=1&size=2"
    options: Sequence[str] = ()
    retries: int = 0
    proxy: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = True


LOSSES = list(cases_of(declared(__file__), Loss).values())

#: One link between the two namespaces. The server need not ask where the client is, as it need
#: not ask for a client behind a router.
LINK = f"""
ip link set lo up
ip link add server type veth peer name client address {CLIENT_MAC} netns {{pid}}
ip address add {SERVER_IP}/24 dev server
ip link set server up
ip neighbour replace {CLIENT_IP} lladdr {CLIENT_MAC} dev server nud permanent
"""

#: The client tries until a stream answers, and reads what its pipe has room for.
READER = f"curl -sfN --retry {READING} --retry-delay 1 --retry-all-errors http://{SERVER_IP}:{PORT}"


def run_inside(inside: list[str], commands: str) -> None:
    """Run commands, one a line, in a network namespace."""
    for command in commands.strip().splitlines():
        subprocess.run([*inside, *shlex.split(command)], check=True)


def start_until(
    until: ExitStack, events: Events, *command: str, output: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start a program.

    :param until: ends it.
    :param events: where the measured app writes.
    """
    program = running_program(command, output, settings=events.settings(), folder=ROOT)
    return until.enter_context(program)


def namespace(until: ExitStack, events: Events) -> list[str]:
    """Make a network namespace, and return what runs a command in it.

    :raises NotStartedError: when this may not be done here.
    """
    process = start_until(until, events, find_program("unshare"), "--net", "sleep", "infinity")
    theirs, own = Path(f"/proc/{process.pid}/ns/net"), Path("/proc/self/ns/net")
    last = time.monotonic() + READING
    while process.poll() is None and time.monotonic() < last:
        if theirs.readlink() != own.readlink():
            return ["nsenter", f"--net={theirs}"]
        time.sleep(0.01)
    raise NotStartedError("no network namespace may be made here, which takes root")


def client_of(until: ExitStack, loss: Loss, events: Events, request: str) -> list[str]:
    """Start a server and a client, wait until the client has read, and return what runs beside it.

    :param until: ends them.
    :param request: the id of the client's request.
    :raises NotStartedError: when they do not start.
    """
    server, client = namespace(until, events), namespace(until, events)
    run_inside(server, LINK.format(pid=client[1].split("/")[2]))
    run_inside(client, f"ip address add {CLIENT_IP}/24 dev client\nip link set client up")
    if loss.retries:
        run_inside(server, f"sh -c 'echo {loss.retries} > /proc/sys/net/ipv4/tcp_retries2'")
    lines = [f"        listener.sock.{call}" for call in loss.options] or ["        pass"]
    file = events.folder / "options.py"
    file.write_text(OPTIONS.format(options="\n".join(lines)), "utf-8")
    address = "127.0.0.1" if loss.proxy else SERVER_IP
    gunicorn = f"-m gunicorn {__spec__.name}:app -b {address}:{PORT} -c {file} --no-control-socket"
    start_until(until, events, *server, sys.executable, *gunicorn.split(), "--threads=4")
    if loss.proxy:
        proxy = Proxy(loss.bounds, **loss.proxy)
        command = configured(proxy, events.folder, PORT, PORT, address=SERVER_IP)
        start_until(until, events, *server, *command)
    reader = f"{READER}/pieces?{loss.stream}&id={request}"
    process = start_until(until, events, *client, *reader.split(), output=subprocess.PIPE)
    if not process.stdout or not process.stdout.read(1):
        raise NotStartedError(f"nothing to read within {READING} s")
    if not loss.lost:
        process.send_signal(signal.SIGSTOP)  # it reads no more
    return client


def ask(loss: Loss) -> Cells:
    """Take the network from a client, and wait until its generator is closed."""
    request = new_id()
    with event_log() as events, ExitStack() as until:
        client = client_of(until, loss, events, request)
        if loss.lost:
            run_inside(client, "ip address flush dev client")
        lost = time.monotonic()
        closed = events.wait(request, "call_on_close", RUNNING_ON)
        made = events.times(request, "made")
    parts = [made_of("gunicorn"), f"Linux {platform.release().partition('-')[0]}"]
    parts += [PROXY_PROGRAMS[loss.proxy["program"]].made_of()] if loss.proxy else []
    return {
        "the generator": "closed" if closed else "runs on",
        "pieces made for nobody": sum(seconds > lost for seconds in made),
        "closed after, seconds": round(closed - lost) if closed else "",
        "versions": "; ".join(parts),
    }


def names(loss: Loss) -> Cells:
    """Return what sets a loss apart."""
    settings = "; ".join(loss.options)
    return {"bounded by": loss.bounds, "stream": loss.stream, "settings": settings}


MEASUREMENT = Measurement("lost_network", LOSSES, names=names, ask=ask, at_once=len(LOSSES))
