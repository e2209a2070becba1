"""The contenders, and how each is served, asked, checked and timed."""

import csv
import io
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple, cast

from docs._system.ports import free_port
from docs.measurements.lab.databases import Databases, databases, postgresql_programs
from docs.measurements.lab.processes import Events, NotStartedError, event_log, running
from docs.measurements.lab.recorder import Drained, ask, drain
from docs.measurements.speed.frameworks.export import COLUMNS, QUERIES
from examples.rows import connect_postgresql, read_sqlite

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"

RUNS = 3
ONCE = 1  # run of what takes up to minutes, and is far from anything else
MORE = 9  # runs of what takes a few seconds
CHECKED = 2000  # flights: enough that each column that may be empty is so in one of them
PATIENCE = 600  # seconds that an export may take

#: What uvicorn uses in place of h11 and asyncio where it is installed, and is faster with.
ACCELERATORS = ("httptools", "uvloop")


class App(NamedTuple):
    """An app and its server: a process of its own.

    :param server: what the guide calls it.
    :param module: what Python runs, with its arguments. What stands in braces is filled in.
    :param packages: what it is made of, on the Python registry.
    :param database: what it reads.
    :param source: the source of lines, for the shipped example.
    """

    server: str
    module: str
    packages: tuple[str, ...]
    database: str = SQLITE
    source: str = ""


class Program(NamedTuple):
    """A program of a database that writes CSV to its standard output.

    :param name: of the program.
    :param arguments: what it is given. What stands in braces is filled in.
    :param database: what it reads.
    """

    name: str
    arguments: tuple[str, ...]
    database: str


class Contender(NamedTuple):
    """One way to export the flights.

    :param name: the framework, example or program.
    :param way: which of its ways.
    :param by: what runs it.
    :param path: what an app is asked for; the columns are filled in.
    :param runs: how often it is timed, at each width.
    :param none: what it makes of a cell that is empty.
    """

    name: str
    way: str
    by: App | Program
    path: str = ""
    runs: int = RUNS
    none: str = ""

    def __str__(self) -> str:
        return f"{self.name}, {self.way}, {self.by.database}"


PEERS = "docs.measurements.speed.frameworks"
GUNICORN = "gunicorn {app} -b 127.0.0.1:{{port}} --no-control-socket -w 1 -k gthread --threads 8"
UVICORN = "uvicorn {app} --host 127.0.0.1 --port {{port}}"
HYPERCORN = "hypercorn {app} -b 127.0.0.1:{{port}}"
AIOHTTP = "aiohttp.web -H 127.0.0.1 -P {{port}} {app}"


def on_gunicorn(app: str, *packages: str, database: str = SQLITE, source: str = "") -> App:
    """Return a WSGI app on gunicorn's threads."""
    module = GUNICORN.format(app=app)
    return App("gunicorn gthread", module, (*packages, "gunicorn"), database, source)


FLASK = on_gunicorn(f"{PEERS}.flask_app:app", "flask", "werkzeug")
BARE = on_gunicorn(f"{PEERS}.bare_wsgi:app")
DJANGO = on_gunicorn(f"{PEERS}.django_app:app", "django")
FALCON = on_gunicorn(f"{PEERS}.falcon_app:app", "falcon")
FASTAPI = App(
    "uvicorn",
    UVICORN.format(app=f"{PEERS}.fastapi_app:app"),
    ("fastapi", "starlette", "uvicorn"),
)
STARLETTE = App(
    "uvicorn", UVICORN.format(app=f"{PEERS}.starlette_app:app"), ("starlette", "uvicorn")
)
QUART = App("hypercorn", HYPERCORN.format(app=f"{PEERS}.quart_app:app"), ("quart", "hypercorn"))
AIO = App("aiohttp.web", AIOHTTP.format(app=f"{PEERS}.aiohttp_app:make_app"), ("aiohttp",))

PEER = "?columns={width}"
EXPORT = "/large.csv{columns}"

#: What the sources of the shipped example are made of, for each database that they read.
SOURCES = {
    SQLITE: {
        "cursor": (),
        "arrow": ("adbc-driver-sqlite", "pyarrow"),
        "format": ("adbc-driver-sqlite", "pyarrow"),
    },
    POSTGRESQL: {
        "cursor": ("psycopg",),
        "arrow": ("adbc-driver-postgresql", "pyarrow"),
        "copy": ("psycopg",),
    },
}


def shipped(source: str, database: str) -> App:
    """Return the shipped example, with one of its sources."""
    packages = ("flask", "werkzeug", *SOURCES[database][source])
    return on_gunicorn("examples.large_csv:app", *packages, database=database, source=source)


SEED = Contender("Flask", "the seed's loop", FLASK, f"/seed{PEER}", none="None")

#: The database's own program, by the database.
PROGRAMS = {
    SQLITE: Contender(
        "sqlite3",
        "program",
        Program("sqlite3", ("-csv", "{file}", "{query}"), SQLITE),
        runs=MORE,
    ),
    POSTGRESQL: Contender(
        "psql",
        "program",
        Program("psql", ("{url}", "-qXc", r"\copy ({query}) to stdout csv"), POSTGRESQL),
        runs=MORE,
    ),
}

CONTENDERS = [
    SEED,
    Contender("Flask", "writerow", FLASK, f"/writerow{PEER}"),
    *(
        Contender("large_csv.py", f"source {source}", shipped(source, database), EXPORT, runs=MORE)
        for database, sources in SOURCES.items()
        for source in sources
    ),
    Contender("Django", "documented", DJANGO, f"/documented{PEER}", runs=ONCE),
    Contender("Django", "batched", DJANGO, f"/batched{PEER}"),
    Contender("Falcon", "documented", FALCON, f"/documented{PEER}", runs=ONCE),
    Contender("Falcon", "batched", FALCON, f"/batched{PEER}"),
    Contender("FastAPI", "documented", FASTAPI, f"/documented{PEER}", runs=ONCE),
    Contender("FastAPI", "batched", FASTAPI, f"/batched{PEER}"),
    Contender("Starlette", "documented", STARLETTE, f"/documented{PEER}", runs=ONCE),
    Contender("Starlette", "batched", STARLETTE, f"/batched{PEER}"),
    Contender("Quart", "documented", QUART, f"/documented{PEER}", runs=ONCE),
    Contender("Quart", "batched", QUART, f"/batched{PEER}"),
    Contender("aiohttp", "documented", AIO, f"/documented{PEER}", runs=ONCE),
    Contender("aiohttp", "batched", AIO, f"/batched{PEER}"),
    Contender("bare WSGI", "chunks made before", BARE, f"/blocks{PEER}"),
    *PROGRAMS.values(),
]


def made_of(packages: Sequence[str]) -> str:
    """Return packages, each with its version.

    :raises NotStartedError: when one is not installed.
    """
    try:
        return ", ".join(f"{name} {version(name)}" for name in packages)
    except PackageNotFoundError as error:
        raise NotStartedError(f"not installed: {error.name}") from error


def find(program: str) -> str:
    """Return the path of a program of a database: of ``psql``, the one that came with the server.

    :raises NotStartedError: when it is not installed.
    """
    folders = [str(postgresql_programs()), os.environ.get("PATH", "")]
    found = shutil.which(program, path=os.pathsep.join(folders))
    if not found:
        raise NotStartedError(f"not installed: {program}")
    return found


class Served:
    """The databases, and the apps that are up and read them.

    :param data: the databases.
    """

    def __init__(self, data: Databases) -> None:
        self.data = data
        #: The ports of the apps that are up.
        self.ports: dict[App, int] = {}
        #: Why the others are not.
        self.failures: dict[App, NotStartedError] = {}

    def start(self, app: App, events: Events, until: ExitStack) -> None:
        """Start an app on a free port, or note why it does not start.

        :param events: where its server may write.
        :param until: what ends it.
        """
        port = free_port()
        command = [sys.executable, "-m", *shlex.split(app.module.format(port=port))]
        url = self.data.url if app.database == POSTGRESQL else f"sqlite:///{self.data.file}"
        settings = {"STREAM_DATABASE": str(self.data.file), "DATABASE_URL": url}
        if app.source:
            settings["FLASK_CSV_SOURCE"] = app.source
        # The shipped example has no route that is asked for this alone.
        ready = ("/static/none", 404) if app.source else ("/ping", 200)
        try:
            made_of(app.packages)
            until.enter_context(running(command, port, events, settings=settings, ready=ready))
            self.ports[app] = port
        except NotStartedError as error:
            self.failures[app] = error

    def port(self, app: App) -> int:
        """Return the port of an app.

        :raises NotStartedError: when it is not up.
        """
        if app in self.failures:
            raise self.failures[app]
        return self.ports[app]

    def command(self, program: Program, width: str) -> list[str]:
        """Return what makes a program of a database write the flights.

        :param width: of :data:`COLUMNS`.
        :raises NotStartedError: when it is not installed.
        """
        fields = {"file": self.data.file, "url": self.data.url, "query": QUERIES[width]}
        arguments = (argument.format(**fields) for argument in program.arguments)
        return [find(program.name), *arguments]

    def versions(self, by: App | Program) -> str:
        """Return what a contender is made of, and its database, with versions.

        :raises NotStartedError: when a part is not installed.
        """
        if isinstance(by, App):
            faster = [name for name in ACCELERATORS if by.server == "uvicorn" and find_spec(name)]
            return f"{made_of([*by.packages, *faster])}, {self.database_version(by)}"
        command = [find(by.name), "--version"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return f"{by.name} {next(word for word in shown if word[0].isdigit())}"

    def database_version(self, app: App) -> str:
        """Return the database that an app reads, with its version."""
        query = "SELECT sqlite_version()"
        if app.database == POSTGRESQL:
            with connect_postgresql(self.data.url, "versions") as server:
                found = server.execute("SHOW server_version").fetchone()
        elif "adbc-driver-sqlite" in app.packages:  # it comes with an SQLite of its own
            from examples.sources.arrow import connect

            with connect("sqlite", str(self.data.file)) as file, closing(file.cursor()) as cursor:
                found = cursor.execute(query).fetchone()
        else:
            with closing(read_sqlite(self.data.file)) as python:
                found = python.execute(query).fetchone()
        return f"{app.database} {found[0] if found else ''}"

    def body(self, contender: Contender, width: str) -> bytes:
        """Return what a contender sends.

        :param width: of :data:`COLUMNS`.
        :raises NotStartedError: when it cannot be asked.
        :raises ValueError: when it does not send all of it.
        """
        if isinstance(contender.by, Program):
            command = self.command(contender.by, width)
            return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        answer = ask(self.port(contender.by), path(contender, width), timeout=60)
        if answer.response.status != 200 or answer.ending != "complete":
            raise ValueError(f"{contender}: {answer.response.status}, {answer.ending}")
        return answer.body

    def time(self, contender: Contender, width: str) -> Drained:
        """Throw away what a contender sends, as fast as it comes, and return how long that took.

        :param width: of :data:`COLUMNS`.
        :raises NotStartedError: when it cannot be asked.
        :raises TimeoutError: when it takes too long.
        :raises ValueError: when it does not send all of it.
        """
        if isinstance(contender.by, Program):
            return drain_program(self.command(contender.by, width))
        return drain(self.port(contender.by), path(contender, width), PATIENCE)


def path(contender: Contender, width: str) -> str:
    """Return what an app is asked for.

    :param width: of :data:`COLUMNS`.
    """
    columns = f"?columns={','.join(COLUMNS[width])}" if width == "5" else ""
    return contender.path.format(width=width, columns=columns)


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
        limit = threading.Timer(PATIENCE, process.kill)
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
def serve(rows: int) -> Iterator[Served]:
    """Fill the databases and serve every app, until the block ends.

    :param rows: how many flights there are.
    """
    apps = dict.fromkeys(each.by for each in CONTENDERS if isinstance(each.by, App))
    with databases(rows) as data, event_log() as events, ExitStack() as until:
        served = Served(data)
        for app in apps:
            served.start(app, events, until)
        yield served


def expected(data: Databases, width: str, none: str) -> list[list[str]]:
    """Return the cells of every flight as a CSV file has them.

    :param width: of :data:`COLUMNS`.
    :param none: what stands in a cell that is empty.
    """
    with closing(read_sqlite(data.file)) as connection:
        rows = connection.execute(QUERIES[width]).fetchall()
    return [[none if cell is None else str(cell) for cell in row] for row in rows]


def cells(body: bytes, width: str) -> list[list[str]]:
    """Return the cells of each row of a CSV file, without a header.

    :param width: of :data:`COLUMNS`.
    """
    rows = list(csv.reader(io.StringIO(body.decode(), newline="")))
    return rows[1:] if rows[:1] == [list(COLUMNS[width])] else rows


def verify(served: Served, contender: Contender) -> None:
    """Compare what a contender sends with the database, cell by cell.

    :raises NotStartedError: when it cannot be asked.
    :raises ValueError: when it sends anything else, or takes a wrong ``?columns=``.
    """
    for width in COLUMNS:
        sent = cells(served.body(contender, width), width)
        if sent != expected(served.data, width, contender.none):
            raise ValueError(f"{contender}: at {width} columns, not the cells of the database")
    if isinstance(contender.by, App):
        wrong = contender.path.format(width=7, columns="?columns=7")
        status = ask(served.port(contender.by), wrong).response.status
        if status != 400:
            raise ValueError(f"{contender}: {status} for a wrong ?columns=")


def check() -> dict[str, str]:
    """Ask every contender for a few flights, and compare them with the database.

    :returns: the contenders that could not be asked, and why.
    :raises ValueError: when one sends anything else.
    """
    left_out = {}
    with serve(CHECKED) as served:
        for contender in CONTENDERS:
            try:
                verify(served, contender)
            except NotStartedError as error:
                left_out[str(contender)] = str(error)
    return left_out
