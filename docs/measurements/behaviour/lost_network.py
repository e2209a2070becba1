"""Measure how long a stream runs on when the network of its client is lost without a word.

``nox -s measure -- lost_network`` writes ``results/recorded/lost_network.csv``;
with the bounds of some cases it measures only those, and keeps the other rows. Each case has
two network namespaces of its own, a server in one and a client in the other; then the client's
address is removed, so all that the server sends is lost, and nothing answers it. Only root may do
that. All cases run side by side, and take as long as the kernel tries by itself, 16 minutes.
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
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from flask import Response, request

from docs.measurements.behaviour import proxies
from docs.measurements.behaviour.app import app, streamed
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.processes import ROOT, Events, NotStartedError, end, event_log, new_id
from docs.measurements.lab.results import Cells

SERVER, CLIENT, CLIENT_MAC = "10.0.0.1", "10.0.0.2", "02:00:00:00:00:02"
PORT = 8000
LIMIT = 10  # seconds that each limit is set to
READY = 120  # seconds that a client may take until it reads its first piece
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

NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  server {{
    listen 10.0.0.1:8000;
    location / {{
      proxy_pass http://127.0.0.1:8000;
      proxy_http_version 1.1;
      proxy_buffering off;
    }}
  }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30m
  timeout server 30m
listen app
  bind 10.0.0.1:8000 tcp-ut {limit}s
  option http-no-delay
  server flask 127.0.0.1:8000
"""


class Proxy(NamedTuple):
    """A proxy in front of gunicorn.

    :param program: its program.
    :param configuration: what it is started with; what stands in braces is filled in.
    """

    program: proxies.Program
    configuration: str


nginx = Proxy(proxies.nginx, NGINX)
haproxy = Proxy(proxies.haproxy, HAPROXY)


class Case(NamedTuple):
    """Something that may bound a stream whose client is lost.

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


CASES = [
    Case("nothing"),
    Case("a lifetime", f"{HEARTBEATS}&lifetime={LIMIT}"),
    Case("TCP_USER_TIMEOUT", options=(USER_TIMEOUT,)),
    Case("TCP keepalive", options=KEEPALIVE),
    Case("TCP keepalive, a heartbeat every 30 s", "every=30&size=2", options=KEEPALIVE),
    Case("TCP_USER_TIMEOUT, a heartbeat every 30 s", "every=30&size=2", options=(USER_TIMEOUT,)),
    Case("tcp_retries2 = 8", retries=8),
    Case("tcp_retries2 = 5", retries=5),
    Case("busy: nothing", PIECES),
    Case("busy: a lifetime", f"{PIECES}&lifetime={LIMIT}"),
    Case("busy: TCP_USER_TIMEOUT", PIECES, options=(USER_TIMEOUT,)),
    Case("nothing is lost, nobody reads: TCP_USER_TIMEOUT", PIECES, (USER_TIMEOUT,), lost=False),
    Case("behind nginx: TCP_USER_TIMEOUT on gunicorn", options=(USER_TIMEOUT,), proxy=nginx),
    Case("behind nginx: a lifetime", f"{HEARTBEATS}&lifetime={LIMIT}", proxy=nginx),
    Case("behind nginx: tcp_retries2 = 5", retries=5, proxy=nginx),
    Case("behind HAProxy: tcp-ut", proxy=haproxy),
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

GUNICORN = (
    "-m gunicorn docs.measurements.behaviour.lost_network:app -b {address} -c {file} "
    "--no-control-socket --threads 4"
)

#: What the client does: ask until a stream answers, read a piece, and stay.
READER = """
import socket, sys, time
for _ in range(int(sys.argv[2]) * 10):
    time.sleep(0.1)
    try:
        connection = socket.create_connection(("10.0.0.1", 8000), 60)
    except OSError:
        continue
    connection.sendall(f"GET {sys.argv[1]} HTTP/1.1\\r\\nHost: app\\r\\n\\r\\n".encode())
    file = connection.makefile("rb")
    if b" 200 " not in file.readline():
        continue
    while file.readline().strip():
        pass
    file.readline()
    print("read", flush=True)
    sys.stdin.read()
    break
"""


class Programs:
    """The programs of a case, in two network namespaces, until the block ends."""

    def __init__(self) -> None:
        self.ending = ExitStack()

    def start(self, *command: str, events: str = os.devnull) -> subprocess.Popen[str]:
        """Start a program.

        :param events: where the measured app writes, if the program serves it.
        """
        process = subprocess.Popen(
            command,
            env=os.environ | {"STREAM_EVENTS": events, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.ending.callback(end, process)
        return process

    def namespace(self) -> list[str]:
        """Make a network namespace, and return what runs a command in it.

        :raises NotStartedError: when this may not be done here.
        """
        if not shutil.which("unshare"):
            raise NotStartedError("unshare is not installed")
        process = self.start("unshare", "--net", "sleep", "infinity")
        theirs, own = Path(f"/proc/{process.pid}/ns/net"), Path("/proc/self/ns/net")
        until = time.monotonic() + READY
        while process.poll() is None and time.monotonic() < until:
            if theirs.readlink() != own.readlink():
                return ["nsenter", f"--net={theirs}"]
            time.sleep(0.01)
        raise NotStartedError("no network namespace may be made here, which takes root")


def run(inside: list[str], commands: str) -> None:
    """Run commands, one a line, in a network namespace."""
    for command in commands.strip().splitlines():
        subprocess.run([*inside, *shlex.split(command)], check=True)


@contextmanager
def client_of(case: Case, events: Events, folder: Path, request: str) -> Iterator[list[str]]:
    """Run the server of a case and a client that has read a first piece, until the block ends.

    :param case: which one.
    :param events: where the app writes.
    :param folder: where the configurations go.
    :param request: the id of the client's request.
    :returns: what runs a command in the client's namespace.
    :raises NotStartedError: when they do not start.
    """
    programs = Programs()
    with programs.ending:
        server, client = programs.namespace(), programs.namespace()
        neighbour = client[1].split("/")[2]
        run(server, LINK.format(pid=neighbour))
        run(client, f"ip address add {CLIENT}/24 dev client\nip link set client up")
        if case.retries:
            run(server, f"sh -c 'echo {case.retries} > /proc/sys/net/ipv4/tcp_retries2'")
        lines = [f"        listener.sock.{call}" for call in case.options] or ["        pass"]
        Path(folder, "options.py").write_text(OPTIONS.format(options="\n".join(lines)), "utf-8")
        address = f"{'127.0.0.1' if case.proxy else SERVER}:{PORT}"
        gunicorn = GUNICORN.format(address=address, file=folder / "options.py")
        programs.start(*server, sys.executable, *gunicorn.split(), events=str(events.file))
        if case.proxy:
            file = folder / "proxy"
            file.write_text(case.proxy.configuration.format(folder=folder, limit=LIMIT), "utf-8")
            program = case.proxy.program
            name, *arguments = shlex.split(program.command.format(folder=folder, file=file))
            programs.start(*server, proxies.find(name, program), *arguments)
        path = f"/pieces?{case.stream}&id={request}"
        reader = programs.start(*client, sys.executable, "-c", READER, path, str(READY))
        assert reader.stdout
        if reader.stdout.readline() != "read\n":
            raise NotStartedError(f"nothing to read within {READY} s")
        yield client


def measure(case: Case) -> Cells:
    """Take the network from a client, and wait until its generator is closed."""
    request = new_id()
    with event_log() as events, TemporaryDirectory(prefix="network-") as name:
        Path(name).chmod(0o755)
        with client_of(case, events, Path(name), request) as client:
            if case.lost:
                run(client, "ip address flush dev client")
            lost = time.monotonic()
            closed = events.wait(request, "call_on_close", WATCHED)
        made = [seconds for seconds, event in events.of(request) if event.startswith("made")]
    return {
        "the generator": "closed" if closed else "runs on",
        "pieces made for nobody": sum(seconds > lost for seconds in made),
        "closed after, seconds": round(closed - lost) if closed else "",
    }


def made_of(case: Case) -> Cells:
    """Return the versions of what a case is made of."""
    parts = [f"gunicorn {version('gunicorn')}", f"Linux {platform.release().partition('-')[0]}"]
    if case.proxy:
        parts.append(proxies.version_of(case.proxy.program))
    return {"versions": "; ".join(parts)}


MEASUREMENT = Measurement(
    "lost_network",
    CASES,
    names=lambda case: {
        "bounded by": case.bounds,
        "stream": case.stream,
        "settings": "; ".join(case.options),
    },
    ask=lambda case: measure(case) | made_of(case),
    at_once=len(CASES),
)


if __name__ == "__main__":
    MEASUREMENT.run(sys.argv[1:])
