"""Measure how long a stream runs on when the network of its client is lost without a word.

``nox -s measure -- lost_network`` writes ``results/recorded/lost_network.csv``;
with the bounds of some losses it measures only those, and keeps the other rows. Each loss has
two network namespaces of its own, a server in one and a client in the other; then the client's
address is removed, so all that the server sends is lost, and nothing answers it. Only root may do
that. All run side by side, and take as long as the kernel tries by itself, 16 minutes.
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from flask import Response, request

from docs.measurements.behaviour import proxies
from docs.measurements.behaviour.app import app, streamed
from docs.measurements.behaviour.proxies import Proxy
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.processes import ROOT, Events, NotStartedError, end, event_log, new_id
from docs.measurements.lab.results import Cells

SERVER, CLIENT, CLIENT_MAC = "10.0.0.1", "10.0.0.2", "02:00:00:00:00:02"
PORT = 8000
LIMIT = 10  # seconds that each limit is set to
READING = 120  # seconds that a client may take until it reads its first piece
WATCHED = 1200  # seconds for which each generator is watched

HEARTBEATS = "every=1&size=2"  # a heartbeat a second, of two bytes
PIECES = "every=0.05&size=16384"


@app.get("/pieces")
def pieces_until() -> Response:
    """Send ``?size=`` bytes ``?every=`` so many seconds, for ``?lifetime=`` seconds at most."""
    size = request.args.get("size", 2, int)
    every = request.args.get("every", 1.0, float)
    last = time.monotonic() + request.args.get("lifetime", 2.0 * WATCHED, float)

    def generate() -> Iterator[bytes]:
        while time.monotonic() < last:
            yield b":".ljust(size - 1, b".") + b"\n"
            time.sleep(every)

    return streamed(generate())


#: A configuration of gunicorn whose connections get an option of their listening socket.
OPTIONS = """
import socket

def when_ready(server):
    for listener in server.LISTENERS:
{options}
"""

USER_TIMEOUT = f"setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, {LIMIT * 1000})"
KEEPALIVE = (
    "setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)",
    f"setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, {LIMIT // 2})",
    "setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)",
    f"setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, {LIMIT // 2})",
)

NGINX = Proxy("nginx", "nginx", upstream_settings="proxy_http_version 1.1; proxy_buffering off;")
HAPROXY = Proxy(
    "HAProxy",
    "HAProxy",
    settings=f"tcp-ut {LIMIT}s",
    upstream_settings="option http-no-delay\n timeout client 30m\n timeout server 30m",
)


@dataclass(frozen=True)
class Loss:
    """A client that is lost, and what may bound its stream.

    :param bounds: what the guide calls it.
    :param stream: the query of the stream.
    :param options: calls on the listening socket of gunicorn.
    :param retries: the ``net.ipv4.tcp_retries2`` of the server's namespace; 0 is the system's own.
    :param proxy: what stands in front of gunicorn.
    :param lost: whether the client loses its network; otherwise it reads no more.
    """

    bounds: str
    stream: str = HEARTBEATS
    options: tuple[str, ...] = ()
    retries: int = 0
    proxy: Proxy | None = None
    lost: bool = True


LOSSES = [
    Loss("nothing"),
    Loss("a lifetime", f"{HEARTBEATS}&lifetime={LIMIT}"),
    Loss("TCP_USER_TIMEOUT", options=(USER_TIMEOUT,)),
    Loss("TCP keepalive", options=KEEPALIVE),
    Loss("TCP keepalive, a heartbeat every 30 s", "every=30&size=2", options=KEEPALIVE),
    Loss("TCP_USER_TIMEOUT, a heartbeat every 30 s", "every=30&size=2", options=(USER_TIMEOUT,)),
    Loss("tcp_retries2 = 8", retries=8),
    Loss("tcp_retries2 = 5", retries=5),
    Loss("busy: nothing", PIECES),
    Loss("busy: a lifetime", f"{PIECES}&lifetime={LIMIT}"),
    Loss("busy: TCP_USER_TIMEOUT", PIECES, options=(USER_TIMEOUT,)),
    Loss("nothing is lost, nobody reads: TCP_USER_TIMEOUT", PIECES, (USER_TIMEOUT,), lost=False),
    Loss("behind nginx: TCP_USER_TIMEOUT on gunicorn", options=(USER_TIMEOUT,), proxy=NGINX),
    Loss("behind nginx: a lifetime", f"{HEARTBEATS}&lifetime={LIMIT}", proxy=NGINX),
    Loss("behind nginx: tcp_retries2 = 5", retries=5, proxy=NGINX),
    Loss("behind HAProxy: tcp-ut", proxy=HAPROXY),
]

#: One link between the two namespaces. The server need not ask where the client is, as it need
#: not ask for a client behind a router.
LINK = f"""
ip link set lo up
ip link add server type veth peer name client address {CLIENT_MAC} netns {{pid}}
ip address add {SERVER}/24 dev server
ip link set server up
ip neighbour replace {CLIENT} lladdr {CLIENT_MAC} dev server nud permanent
"""

#: The client tries until a stream answers, and reads what its pipe has room for.
READER = f"curl -sfN --retry {READING} --retry-delay 1 --retry-all-errors http://{SERVER}:{PORT}"


def run(inside: list[str], commands: str) -> None:
    """Run commands, one a line, in a network namespace."""
    for command in commands.strip().splitlines():
        subprocess.run([*inside, *shlex.split(command)], check=True)


class Namespaces:
    """Programs in network namespaces, which end with the block.

    :param events: where the measured app writes.
    """

    def __init__(self, events: Events) -> None:
        self.events = events
        self.ending = ExitStack()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program."""
        process = subprocess.Popen(
            command,
            env=os.environ | {"STREAM_EVENTS": str(self.events.file), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.ending.callback(end, process)
        return process

    def make(self) -> list[str]:
        """Make a network namespace, and return what runs a command in it.

        :raises NotStartedError: when this may not be done here.
        """
        if not shutil.which("unshare"):
            raise NotStartedError("unshare is not installed")
        process = self.start("unshare", "--net", "sleep", "infinity")
        theirs, own = Path(f"/proc/{process.pid}/ns/net"), Path("/proc/self/ns/net")
        until = time.monotonic() + READING
        while process.poll() is None and time.monotonic() < until:
            if theirs.readlink() != own.readlink():
                return ["nsenter", f"--net={theirs}"]
            time.sleep(0.01)
        raise NotStartedError("no network namespace may be made here, which takes root")


@contextmanager
def client_of(loss: Loss, events: Events, request: str) -> Iterator[list[str]]:
    """Run a server and a client that has read a first piece, until the block ends.

    :param loss: which one.
    :param events: where the app writes.
    :param request: the id of the client's request.
    :returns: what runs a command in the client's namespace.
    :raises NotStartedError: when they do not start.
    """
    namespaces = Namespaces(events)
    with namespaces.ending:
        server, client = namespaces.make(), namespaces.make()
        run(server, LINK.format(pid=client[1].split("/")[2]))
        run(client, f"ip address add {CLIENT}/24 dev client\nip link set client up")
        if loss.retries:
            run(server, f"sh -c 'echo {loss.retries} > /proc/sys/net/ipv4/tcp_retries2'")
        lines = [f"        listener.sock.{call}" for call in loss.options] or ["        pass"]
        file = events.folder / "options.py"
        file.write_text(OPTIONS.format(options="\n".join(lines)), "utf-8")
        address = f"{'127.0.0.1' if loss.proxy else SERVER}:{PORT}"
        options = f"-b {address} -c {file} --no-control-socket --threads 4"
        app = "docs.measurements.behaviour.lost_network:app"
        namespaces.start(*server, sys.executable, "-m", "gunicorn", app, *options.split())
        if loss.proxy:
            command = proxies.configured(loss.proxy, events.folder, PORT, PORT, address=SERVER)
            namespaces.start(*server, *command)
        reader = f"{READER}/pieces?{loss.stream}&id={request}"
        process = namespaces.start(*client, *reader.split())
        assert process.stdout
        if not process.stdout.read(1):
            raise NotStartedError(f"nothing to read within {READING} s")
        yield client


def ask(loss: Loss) -> Cells:
    """Take the network from a client, and wait until its generator is closed."""
    request = new_id()
    with event_log() as events:
        with client_of(loss, events, request) as client:
            if loss.lost:
                run(client, "ip address flush dev client")
            lost = time.monotonic()
            closed = events.wait(request, "call_on_close", WATCHED)
        made = events.times(request, "made")
    parts = [f"gunicorn {version('gunicorn')}", f"Linux {platform.release().partition('-')[0]}"]
    parts += [proxies.PROGRAMS[loss.proxy.program].made_of()] if loss.proxy else []
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


if __name__ == "__main__":
    MEASUREMENT.run(sys.argv[1:])
