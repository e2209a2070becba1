"""Measure what each server of ``servers.toml`` does with a stream."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from docs._system import ROOT
from docs._system.declared import declared
from docs._system.ports import free_port
from docs.measurements.behaviour.questions import PATIENT, QUESTIONS, QUICK, Question
from docs.measurements.behaviour.target import NO_CURL, Target
from docs.measurements.lab.environments import HERE, environment, made_of
from docs.measurements.lab.measurement import Measurement, cases_of
from docs.measurements.lab.processes import event_log, running
from docs.measurements.lab.results import Cells, recorded

MEASURED_APP = "docs.measurements.behaviour.app:app"
ROOTS_OWN = "--user www-data --group www-data"  # some servers refuse to run as root


@dataclass(frozen=True)
class Server:
    """A server; ``servers.toml`` says what each of these is."""

    name: str
    command: str
    packages: Sequence[str]
    python: str = ""
    socket: str = ""
    grace: str = ""
    request_limit: str = ""
    write_limit: str = ""
    reloads: bool = False

    @property
    def names(self) -> list[str]:
        """The names of its packages."""
        return [package.partition("==")[0] for package in self.packages]

    def programs(self) -> Path:
        """Return the folder that has its programs, made for it if it needs its own.

        :raises NotStartedError: when what it needs cannot be installed.
        """
        if not self.python and self.names == self.packages:
            return HERE
        python = HERE / (self.python or "python")
        return environment(*self.packages, f"flask=={version('flask')}", python=python)


SERVERS = cases_of(declared(__file__), Server)


def fill(text: str, values: Mapping[str, object]) -> str:
    """Return a text in which each word in braces is replaced by its value."""
    return re.sub(r"{(\w+)}", lambda found: str(values[found[1]]), text)


def command(
    server: Server, port: int, folder: Path, *, options: str = "", app: str = MEASURED_APP
) -> list[str]:
    """Return the command that starts a server.

    :param port: where it is to listen.
    :param folder: an empty folder that it may use.
    :param options: further options.
    :param app: what it serves, the measured app otherwise.
    :raises NotStartedError: when what it needs cannot be installed.
    """
    user = ROOTS_OWN if os.geteuid() == 0 else ""
    values = {"port": port, "app": app, "folder": folder, "root": ROOT, "user": user}
    text = server.command if "{options}" in server.command else f"{server.command} {{options}}"
    program, *arguments = shlex.split(fill(text, values | {"options": fill(options, values)}))
    return [str(server.programs() / program), *arguments]


@contextmanager
def running_server(
    server: Server,
    options: str = "",
    *,
    app: str = MEASURED_APP,
    settings: Mapping[str, str] | None = None,
    headers: str = "",
) -> Iterator[Target]:
    """Run a server with the measured app until the block ends.

    :param server: which one.
    :param options: further options of its command.
    :param app: what it serves, the measured app otherwise.
    :param settings: what its environment has beside this one's.
    :param headers: what every request carries beside its own, each line with its line end.
    :raises NotStartedError: when it is not installed, or does not answer.
    """
    port = free_port()
    versions = made_of(*server.names, programs=server.programs())
    with event_log() as events:
        start = command(server, port, events.folder, options=options, app=app)
        with running(start, port, events, settings=settings) as process:
            yield Target(port, events, [process], versions, headers)


def answers(target: Target, questions: Iterable[Question] = QUESTIONS) -> Cells:
    """Ask every question and return all cells."""
    cells: Cells = {}
    for question in questions:
        cells |= question(target)
    return cells


def ask(server: Server) -> Cells:
    """Ask a server everything that keeps the processor busy."""
    with running_server(server) as target:
        return {"versions": target.versions} | answers(target)


def wait(server: Server) -> Cells:
    """Ask a server what takes long."""
    with running_server(server) as target:
        return answers(target, PATIENT)


def changed_answers(name: str) -> dict[str, tuple[str, str]]:
    """Ask a server again what is quick to ask, and return where it differs from the record.

    :param name: of the server.
    :returns: for each column that differs, what was recorded and what came now.
    """
    before = next(each for each in recorded("servers") if each["server"] == name)
    with running_server(SERVERS[name]) as target:
        now = answers(target, QUICK)
    return {
        column: (before[column], str(cell))
        for column, cell in now.items()
        if cell not in (before[column], NO_CURL)
    }


def names(server: Server) -> Cells:
    """Return the name of a server and its command, where what varies stands in braces."""
    words = server.command.replace("{app}", MEASURED_APP).replace("{options}", "").split()
    return {"server": server.name, "command": " ".join(words)}


MEASUREMENT = Measurement("servers", list(SERVERS.values()), names=names, ask=ask, wait=wait)
