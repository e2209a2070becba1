"""Measure what each server does with a stream.

``nox -s measure -- servers`` asks them all and writes ``results/recorded/servers.csv``;
with names of servers it asks only those, and keeps the other rows.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import NamedTuple

from docs._system.ports import free_port
from docs.measurements.behaviour.questions import NO_CURL, PATIENT, QUICK, Target, answers
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.processes import ROOT, NotStartedError, event_log, running
from docs.measurements.lab.results import Cells, recorded

APP = "docs.measurements.behaviour.app:app"
INSTALLING = 300  # seconds that making an environment may take
ONE_AT_A_TIME = Lock()  # two that need the same environment would each make one


class Server(NamedTuple):
    """A server, and how it is started here.

    :param name: what the guide calls it.
    :param command: what starts it, where what stands in braces is filled in.
    :param packages: what it is made of, on the Python registry, with the version of an older
        release, which gets an environment of its own.
    :param python: the interpreter that its own environment is made with, where it needs one.
    """

    name: str
    command: str
    packages: tuple[str, ...]
    python: str = ""

    @property
    def names(self) -> list[str]:
        """The names of its packages."""
        return [package.partition("==")[0] for package in self.packages]


GUNICORN = f"gunicorn {APP} -b 127.0.0.1:{{port}} --no-control-socket -w 1"
UWSGI = f"--module {APP} --master --processes 1 --threads 8 --enable-threads --die-on-term"
UVICORN = "uvicorn docs.measurements.behaviour.asgi:app --port {port}"
WAITRESS = "waitress-serve --listen=127.0.0.1:{port} --threads=8"
GEVENT = (
    "from gevent import monkey; monkey.patch_all(); "
    "from gevent.pywsgi import WSGIServer; from docs.measurements.behaviour.app import app; "
    "WSGIServer(('127.0.0.1', {port}), app, log=None).serve_forever()"
)
MOD_WSGI = (
    "mod_wsgi-express start-server --application-type module docs.measurements.behaviour.app "
    "--callable-object app --host 127.0.0.1 --port {port} --processes 1 --threads 8 "
    "--server-root {folder}/httpd --working-directory {root} --python-path {root} "
    "--startup-log --log-to-terminal {user}"
)

GRANIAN = (
    "granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 "
    f"--blocking-threads 8 {APP}"
)
EVENTLET = (
    "import eventlet; eventlet.monkey_patch(); from eventlet import wsgi; "
    "from docs.measurements.behaviour.app import app; "
    "wsgi.server(eventlet.listen(('127.0.0.1', {port})), app, log_output=False"
)

SERVERS = [
    Server("flask run", f"flask --app {APP} run -p {{port}}", ("werkzeug",)),
    Server("flask run --debug", f"flask --app {APP} run -p {{port}} --debug", ("werkzeug",)),
    Server("gunicorn sync", GUNICORN, ("gunicorn",)),
    Server("gunicorn gthread", f"{GUNICORN} -k gthread --threads 8", ("gunicorn",)),
    Server(
        "gunicorn gthread, --preload",
        f"{GUNICORN} -k gthread --threads 8 --preload",
        ("gunicorn",),
    ),
    Server("gunicorn gevent", f"{GUNICORN} -k gevent", ("gunicorn", "gevent")),
    Server("waitress", f"{WAITRESS} {APP}", ("waitress",)),
    Server("uWSGI http-socket", f"uwsgi --http-socket 127.0.0.1:{{port}} {UWSGI}", ("pyuwsgi",)),
    Server("uWSGI http", f"uwsgi --http 127.0.0.1:{{port}} {UWSGI}", ("pyuwsgi",)),
    Server(
        "uWSGI http-socket, chunked",
        f"uwsgi --http-socket 127.0.0.1:{{port}} --route-run chunked: {UWSGI}",
        ("pyuwsgi",),
    ),
    Server(
        "uWSGI http, auto-chunked",
        f"uwsgi --http 127.0.0.1:{{port}} --http-auto-chunked --http-keepalive {UWSGI}",
        ("pyuwsgi",),
    ),
    Server("Granian", GRANIAN, ("granian",)),
    Server("Granian 2.8.7", GRANIAN, ("granian==2.8.7",)),
    Server("cheroot", f"cheroot {APP} --bind 127.0.0.1:{{port}}", ("cheroot",)),
    Server("gevent.pywsgi", f'python -c "{GEVENT}"', ("gevent",)),
    # sentry-sdk patches itself where it finds eventlet, so that has an environment of its own
    Server("eventlet.wsgi", f'python -c "{EVENTLET})"', ("eventlet",), python=sys.executable),
    Server(
        "eventlet.wsgi, minimum_chunk_size=0",
        f'python -c "{EVENTLET}, minimum_chunk_size=0)"',
        ("eventlet",),
        python=sys.executable,
    ),
    # Its parser is the one that is installed, and they differ.
    Server("uvicorn with a2wsgi", f"{UVICORN} --http h11", ("uvicorn", "h11", "a2wsgi")),
    Server(
        "uvicorn[standard] with a2wsgi",
        f"{UVICORN} --http httptools",
        ("uvicorn", "httptools", "a2wsgi"),
    ),
    Server("hypercorn", f"hypercorn wsgi:{APP} -b 127.0.0.1:{{port}}", ("hypercorn",)),
    # It embeds a shared libpython that other users can read: Debian's own.
    Server("mod_wsgi-express", MOD_WSGI, ("mod_wsgi",), python="/usr/bin/python3"),
]


@cache
def made(python: str, packages: tuple[str, ...]) -> TemporaryDirectory[str]:
    """Make an environment with some packages and Flask, which goes when this program ends.

    :raises NotStartedError: when what it needs cannot be installed.
    """
    folder = TemporaryDirectory(prefix="environment-")
    Path(folder.name).chmod(0o755)  # some servers change their user
    commands = [
        [python, "-m", "venv", folder.name],
        [f"{folder.name}/bin/pip", "install", "-q", "--no-cache-dir", *packages],
    ]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALLING)
        except (OSError, subprocess.SubprocessError) as error:
            output = str(getattr(error, "stderr", None) or error).split()
            raise NotStartedError(f"cannot be installed: {' '.join(output[-30:])}") from error
    return folder


def environment(server: Server) -> Path:
    """Return the folder that has the programs of a server, made for it if it needs its own.

    :raises NotStartedError: when what it needs cannot be installed.
    """
    if not server.python and server.names == list(server.packages):
        return Path(sys.executable).parent
    packages = (*server.packages, f"flask=={version('flask')}")
    with ONE_AT_A_TIME:
        return Path(made(server.python or sys.executable, packages).name, "bin")


def versions(server: Server, programs: Path) -> str:
    """Return what a server is made of, with versions.

    :raises NotStartedError: when a part is not installed.
    """
    ask = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    command = [str(programs / "python"), "-c", ask, *server.names]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise NotStartedError(f"not installed: {', '.join(server.packages)}")
    pairs = zip(server.names, found.stdout.split(), strict=True)
    return ", ".join(f"{package} {number}" for package, number in pairs)


def command(server: Server, port: int, folder: Path, options: str = "") -> list[str]:
    """Return the command that starts a server with the measured app.

    :param port: where it is to listen.
    :param folder: an empty folder that it may use.
    :param options: further options.
    :raises NotStartedError: when what it needs cannot be installed.
    """
    user = "--user www-data --group www-data" if os.geteuid() == 0 else ""
    settings = {"port": port, "folder": folder, "root": ROOT, "user": user}
    # waitress wants its options before the app
    text = server.command.replace(WAITRESS, f"{WAITRESS} {options}")
    text = text if text != server.command else f"{text} {options}"
    program, *arguments = shlex.split(text.format(**settings))
    return [str(environment(server) / program), *arguments]


class Served(NamedTuple):
    """A server or proxy that is up: what to ask, its process, and what it is made of."""

    target: Target
    process: subprocess.Popen[str]
    versions: str


@contextmanager
def serve(server: Server, options: str = "") -> Iterator[Served]:
    """Run a server with the measured app until the block ends.

    :param server: which one.
    :param options: further options of its command.
    :raises NotStartedError: when it is not installed, or does not answer.
    """
    with event_log() as events, TemporaryDirectory(prefix="server-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = free_port()
        start = command(server, port, folder, options)
        made_of = versions(server, Path(start[0]).parent)
        with running(start, port, events) as process:
            yield Served(Target(port, events, [process.pid]), process, made_of)


def ask(server: Server) -> Cells:
    """Ask a server everything that keeps the processor busy."""
    with serve(server) as served:
        return {"versions": served.versions} | answers(served.target)


def wait(server: Server) -> Cells:
    """Ask a server what takes long."""
    with serve(server) as served:
        return answers(served.target, PATIENT)


def differences(name: str) -> dict[str, tuple[str, str]]:
    """Ask a server again what is quick to ask, and return where it differs from the record.

    :param name: of the server.
    :returns: for each column that differs, what was recorded and what came now.
    """
    server = next(each for each in SERVERS if each.name == name)
    before = next(each for each in recorded("servers") if each["server"] == name)
    with serve(server) as served:
        now = answers(served.target, QUICK)
    return {
        column: (before[column], str(cell))
        for column, cell in now.items()
        if cell not in (before[column], NO_CURL)
    }


MEASUREMENT = Measurement(
    "servers",
    SERVERS,
    names=lambda server: {"server": server.name, "command": server.command},
    ask=ask,
    wait=wait,
)


if __name__ == "__main__":
    MEASUREMENT.run(sys.argv[1:])
