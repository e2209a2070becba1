"""Start a server or a proxy on a free port, wait until it answers, and end it by its id."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from uuid import uuid4

import psutil

from docs._system import ROOT
from docs._system.leftovers import running_program
from docs._system.ports import READY, free_port
from docs.measurements.lab.recorder import fetch


class NotStartedError(RuntimeError):
    """A program ended, or did not answer in time."""


class Events:
    """What the measured app wrote down.

    :param folder: where its file is; a program may write there, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "events"

    def settings(self) -> dict[str, str]:
        """Return what lets the measured app write them, for the environment of its process."""
        return {"STREAM_EVENTS": str(self.file), "PYTHONPATH": str(ROOT)}

    def of(self, request: str) -> list[tuple[float, str]]:
        """Return the events of a request, each with its time on the monotonic clock.

        :param request: the ``?id=`` of the request.
        """
        lines = [line.split(" ", 2) for line in self.file.read_text("utf-8").splitlines()]
        return [(float(seconds), event) for seconds, owner, event in lines if owner == request]

    def times(self, request: str, event: str) -> list[float]:
        """Return when an event of a request took place, each time, in order."""
        return sorted(seconds for seconds, name in self.of(request) if name.startswith(event))

    def wait(self, request: str, event: str, timeout: float, number: int = 1) -> float | None:
        """Wait for an event of a request and return its time, or nothing if it does not come.

        :param timeout: the seconds to wait.
        :param number: how often it has to take place.
        """
        end = time.monotonic() + timeout
        while len(times := self.times(request, event)) < number:
            if time.monotonic() > end:
                return None
            time.sleep(0.02)
        return times[number - 1]


@contextmanager
def event_log() -> Iterator[Events]:
    """Make a folder of its own for a program, and in it the file to which the app writes events."""
    with TemporaryDirectory(prefix="events-") as name:
        events = Events(Path(name))
        events.file.touch()
        events.folder.chmod(0o755)
        events.file.chmod(0o666)  # some servers change their user
        yield events


def new_id() -> str:
    """Return an id by which to find the events of a request."""
    return uuid4().hex[:8]


def wait_until_ready(
    process: subprocess.Popen[str], log: Path, port: int, path: str, status: int
) -> None:
    """Ask a program for a path until it answers with a status.

    :param log: what it printed.
    :raises NotStartedError: when it ends first, or does not answer in time.
    """
    deadline = time.monotonic() + READY
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):  # it does not listen yet
            if fetch(port, path, timeout=5).response.status == status:
                return
        time.sleep(0.05)
    ended = f"it ended with exit status {process.returncode}"
    reason = f"no answer after {READY} s" if process.returncode is None else ended
    last = " ".join(log.read_text("utf-8", "replace").split()[-40:])
    raise NotStartedError(f"{reason}: {last}")


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    events: Events,
    *,
    settings: Mapping[str, str] | None = None,
    ready: tuple[str, int] = ("/ping", 200),
    folder: Path = ROOT,
) -> Iterator[subprocess.Popen[str]]:
    """Run a program that listens on a port until the block ends.

    :param command: the program and its arguments.
    :param port: where it will listen.
    :param events: where the measured app writes, if it is served.
    :param settings: what its environment has beside this one's.
    :param ready: the path that it is asked for until it answers, and the status it answers with.
    :param folder: where it runs.
    :raises NotStartedError: with the last lines of what it printed, when it does not answer.
    """
    own = events.settings() | dict(settings or {})
    log = events.folder / f"log-{port}"
    with (
        log.open("w", encoding="utf-8") as output,
        running_program(command, output, settings=own, folder=folder) as process,
    ):
        wait_until_ready(process, log, port, *ready)
        yield process


class Gunicorn(NamedTuple):
    """Gunicorn with one worker, while it runs.

    :param port: where it listens.
    :param worker: the process that runs the app.
    """

    port: int
    worker: psutil.Process


@contextmanager
def gunicorn(
    app: str,
    options: str = "-k gthread --threads 8",
    *,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Gunicorn]:
    """Serve an app with one worker of gunicorn until the block ends.

    :param app: such as ``module:app``, with nothing at ``/404``.
    :param options: the worker's class and the like.
    :param settings: what its environment has beside this one's.
    """
    port = free_port()
    options = f"{app} -b 127.0.0.1:{port} --no-control-socket -w 1 {options}"
    command = [sys.executable, "-m", "gunicorn", *options.split()]
    with (
        event_log() as events,
        running(command, port, events, settings=settings, ready=("/404", 404)) as process,
    ):
        (worker,) = psutil.Process(process.pid).children()
        yield Gunicorn(port, worker)
