"""What exports the flights, how it is started, and how it is asked."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple, cast

from docs._system.declared import declared
from docs._system.packaged import search_path
from docs._system.ports import free_port
from docs.measurements.lab.databases import Databases, databases, postgresql_programs
from docs.measurements.lab.environments import find_program, made_of, printed_version
from docs.measurements.lab.processes import Events, NotStartedError, event_log, running
from docs.measurements.lab.recorder import Drained, drain, fetch
from docs.measurements.speed.frameworks.export import QUERIES, WIDTHS
from docs.measurements.speed.sources import Source
from examples.rows import connect_postgresql
from examples.sources import arrow

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
EXPORTING = 600  # seconds that an export may take


class Contender(NamedTuple):
    """One way to export the flights: an app, or a program that writes to its standard output.

    :param name: the framework, example or program.
    :param way: which of its ways.
    :param runs: how often it is timed, at each width.
    :param command: the program and its arguments. What stands in braces is filled in.
    :param database: what it reads.
    :param server: what serves the app.
    :param packages: what the app and its server are made of, on the Python registry.
    :param path: what the app is asked for; the columns are filled in.
    :param source: of lines, which the shipped example has several of.
    :param none: what it makes of a cell that is empty.
    """

    name: str
    way: str
    runs: int
    command: tuple[str, ...]
    database: str = SQLITE
    server: str = ""
    packages: tuple[str, ...] = ()
    path: str = ""
    source: str = "cursor"
    none: str = ""

    def __str__(self) -> str:
        return f"{self.name}, {self.way}, {self.database}"

    @property
    def process(self) -> tuple[tuple[str, ...], Source]:
        """What tells the processes of apps apart, which some contenders share."""
        return self.command, Source(self.source, self.database)

    def path_for(self, width: str) -> str:
        """Return what an app is asked for.

        :param width: of :data:`WIDTHS`; any other is an error for an app.
        """
        named = {"19": "", "5": f"?columns={','.join(WIDTHS['5'])}"}
        return self.path.format(width=width, columns=named.get(width, f"?columns={width}"))


def read_contenders() -> Iterator[Contender]:
    """Yield what ``contenders.toml`` has, in its order."""
    written = declared(__file__)
    for app in written["apps"]:
        server = written["servers"][app["server"]]
        faster = [name for name in server.get("where_installed", []) if find_spec(name)]
        module = server["command"].replace("{app}", app.pop("app"))
        for way in app.pop("ways"):
            fields = {"path": f"/{way['way']}?columns={{width}}"} | app | way
            fields["packages"] = (*fields["packages"], *server["packages"], *faster)
            yield Contender(command=(sys.executable, "-m", *module.split()), **fields)
    for program in written["programs"]:
        yield Contender(**program | {"command": tuple(program["command"])})


CONTENDERS = list(read_contenders())


def find(program: str) -> str:
    """Return the path of a program: of ``psql``, the one that came with the server.

    :raises NotStartedError: when it is not installed.
    """
    return find_program(program, f"{postgresql_programs()}{os.pathsep}{search_path()}")


class Contest:
    """The databases, and the apps that are up and read them.

    :param data: the databases.
    """

    def __init__(self, data: Databases) -> None:
        self.data = data
        #: The ports of the apps that are up, and why the others are not.
        self.ports: dict[object, int | NotStartedError] = {}

    def start(self, app: Contender, events: Events, until: ExitStack) -> None:
        """Start an app on a free port, or note why it does not start.

        :param events: where its server may write.
        :param until: what ends it.
        """
        port = free_port()
        command = self.command(app, port=port)
        settings = Source(app.source, app.database).settings(self.data)
        settings["STREAM_DATABASE"] = str(self.data.file)
        try:
            made_of(*app.packages)
            until.enter_context(running(command, port, events, settings=settings, ready=("/", 404)))
            self.ports[app.process] = port
        except NotStartedError as error:
            self.ports[app.process] = error

    def port(self, app: Contender) -> int:
        """Return the port of an app.

        :raises NotStartedError: when it is not up.
        """
        port = self.ports[app.process]
        if isinstance(port, NotStartedError):
            raise port
        return port

    def command(self, contender: Contender, **fields: object) -> list[str]:
        """Return the command of a contender, with the databases and further fields filled in.

        :raises NotStartedError: when the program is not installed.
        """
        fields |= {"file": self.data.file, "url": self.data.url}
        program, *arguments = (part.format(**fields) for part in contender.command)
        return [find(program), *arguments]

    def versions(self, contender: Contender) -> str:
        """Return what a contender is made of, and its database, with versions.

        :raises NotStartedError: when a part is not installed.
        """
        if contender.server:
            return f"{made_of(*contender.packages)}, {self.database_version(contender)}"
        return f"{contender.name} {printed_version(find(contender.name), '--version')}"

    def database_version(self, app: Contender) -> str:
        """Return the database that an app reads, with its version."""
        if app.database == POSTGRESQL:
            with connect_postgresql(self.data.url, "versions") as server:
                found = server.execute("SHOW server_version").fetchone()
        elif "adbc-driver-sqlite" in app.packages:  # it comes with an SQLite of its own
            with arrow.connect("sqlite", str(self.data.file)) as file, file.cursor() as cursor:
                found = cursor.execute("SELECT sqlite_version()").fetchone()
        else:
            found = (sqlite3.sqlite_version,)
        return f"{app.database} {found[0] if found else ''}"

    def body(self, contender: Contender, width: str) -> bytes:
        """Return what a contender sends.

        :param width: of :data:`WIDTHS`.
        :raises NotStartedError: when it cannot be asked.
        :raises ValueError: when it does not send all of it.
        """
        if not contender.server:
            command = self.command(contender, query=QUERIES[width])
            return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        answer = fetch(self.port(contender), contender.path_for(width), timeout=60)
        if answer.ending != "complete":
            raise ValueError(f"{contender}: {answer.ending}")
        return answer.body

    def time(self, contender: Contender, width: str) -> Drained:
        """Throw away what a contender sends, as fast as it comes, and return how long that took.

        :param width: of :data:`WIDTHS`.
        :raises NotStartedError: when it cannot be asked.
        :raises TimeoutError: when it takes too long.
        :raises ValueError: when it does not send all of it.
        """
        if not contender.server:
            return drain_program(self.command(contender, query=QUERIES[width]))
        return drain(self.port(contender), contender.path_for(width), EXPORTING)


def drain_program(command: Sequence[str]) -> Drained:
    """Run a program and throw its output away, as fast as it comes.

    :param command: the program and its arguments.
    :returns: the seconds from its start, to the first byte and to the end, and the bytes.
    :raises ValueError: when it fails, or takes too long.
    """
    buffer = bytearray(1024 * 1024)
    size, first = 0, 0.0
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        output = cast("IO[bytes]", process.stdout).fileno()  # a pipe, so it is there
        limit = threading.Timer(EXPORTING, process.kill)
        limit.start()
        try:
            while count := os.readv(output, [buffer]):
                first = first or time.monotonic() - began
                size += count
            process.wait()
        finally:
            limit.cancel()
    seconds = time.monotonic() - began
    if process.returncode:
        raise ValueError(f"{Path(command[0]).name}: exit status {process.returncode}")
    return Drained(first, seconds, size)


@contextmanager
def contest(rows: int) -> Iterator[Contest]:
    """Fill the databases and serve every app, until the block ends.

    :param rows: how many flights there are.
    """
    apps = {each.process: each for each in CONTENDERS if each.server}
    with databases(rows) as data, event_log() as events, ExitStack() as until:
        contest = Contest(data)
        for app in apps.values():
            contest.start(app, events, until)
        yield contest
