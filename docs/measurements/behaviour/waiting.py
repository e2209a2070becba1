"""Measure how long the next client waits, with the settings that the page on servers gives to copy.

A few settings that look as good, and are not, have a row as well.
"""

import re
import shlex
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from math import prod
from socket import socket
from textwrap import dedent
from threading import Event, Thread
from typing import NamedTuple

from docs._system import ROOT
from docs._system.declared import declared
from docs._system.ports import free_port
from docs.measurements.behaviour.readers import SETTLING, pauses, staying, wait_for_next
from docs.measurements.behaviour.target import LONGEST_WAIT, Target
from docs.measurements.lab.environments import find_program
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.processes import event_log, new_id, running
from docs.measurements.lab.recorder import CLOSE
from docs.measurements.lab.results import Cells, recorded

PAGE = ROOT / "docs/production/servers.rst"

#: The app that the commands of the page serve: here it is the measured one.
TRIED_APP = "from docs.measurements.behaviour.app import app\n"

#: What gunicorn reads where it starts.
GUNICORN = "gunicorn.conf.py"

ROUNDS = 4  # which client a server keeps waiting can be chance
THREE_S, EIGHT_S = 60, 160  # pieces of streams
SLOW_BLOCKS = 80  # blocks of a slow reader: more than the buffers have room for
SLOW = 0.05  # seconds between two reads of a slow reader


class Setup(NamedTuple):
    """How a server is started for streams.

    :param name: what the guide calls it.
    :param command: what starts it, as the page has it.
    :param files: what it reads, by the name of the file.
    :param room: how many streams it has room for.
    """

    name: str
    command: str
    files: Mapping[str, str]
    room: int

    @property
    def text(self) -> str:
        """The command and the files, which a recorded row keeps."""
        return "\n".join([self.command, *self.files.values()])


#: What looks as good, and in which some client waits.
ALTERNATIVES = [
    Setup(name, "gunicorn try_server:app", {GUNICORN: row["gunicorn"]}, row["room"])
    for name, row in declared(__file__).items()
]

SECTION = re.compile(r"^([^\n]+)\n~~~+\n(.*?)(?=^[^\n]+\n(?:~~~|---)|\Z)", re.MULTILINE | re.DOTALL)
CAPTIONED = re.compile(r"^( +):caption: (\S+)\n(?:\1:.*\n)*\n((?:\1.*\n|\n)+)", re.MULTILINE)
COMMAND = re.compile(
    r"^   \$ ((?:gunicorn|waitress-serve|python -m cheroot|python \w+\.py|uvicorn|hypercorn|uwsgi"
    r"|granian|apache2)(?:.*\\\n)*.*)",
    re.MULTILINE,
)
ROOM = re.compile(r">>> full_with\(([\d *]+)")
PAGE_PORT = re.compile(r"\b800[0-3]\b")
COMMENT = re.compile(r" *#.*")
APP = re.compile(r"\b\w+(?=:app\b)|(?<=from )\w+(?= import app\b)")


def captioned(text: str) -> dict[str, str]:
    """Return the files that a part of the page shows, by name."""
    return {name: dedent(lines) for _, name, lines in CAPTIONED.findall(text)}


def room(text: str) -> int:
    """Return how many streams the page fills a server with."""
    return max(prod(map(int, found.split("*"))) for found in ROOM.findall(text))


def copied() -> Iterator[Setup]:
    """Yield the settings to copy, as the page has them: gunicorn's file opens it."""
    top, page = PAGE.read_text("utf-8").split(".. _settings-to-copy:\n", 1)
    yield Setup(
        "gunicorn, threads",
        "gunicorn try_server:app",
        {GUNICORN: captioned(top)[GUNICORN]},
        room(top),
    )
    for title, text in SECTION.findall(page):
        files = captioned(text)
        commands = [" ".join(each.replace("\\\n", " ").split()) for each in COMMAND.findall(text)]
        for command in commands:
            name = title if len(commands) == 1 else command.split()[0]
            yield Setup(name, command, files, room(text))


@contextmanager
def running_setup(settings: Setup) -> Iterator[Target]:
    """Run a server as the settings say, with the measured app, until the block ends.

    :raises NotStartedError: when it is not installed, or does not answer.
    """
    with event_log() as events:
        folder, port = events.folder, free_port()

        def here(text: str) -> str:
            for name in ("${PWD}", '"$PWD"'):
                text = text.replace(name, str(folder))
            return PAGE_PORT.sub(str(port), text)

        for file, text in {**settings.files, "try_server.py": TRIED_APP}.items():
            (folder / file).write_text(here(text), "utf-8")
        (folder / "packages").symlink_to(sysconfig.get_path("purelib"))
        command = here(settings.command)
        if command.startswith("gunicorn"):
            command += " --no-control-socket"
        program, *arguments = shlex.split(command)
        start = [find_program(program), *arguments]
        with running(start, port, events, folder=folder) as process:
            time.sleep(SETTLING)  # until its other workers are up as well
            yield Target(port, events, [process])


@contextmanager
def streaming(target: Target, number: int, pieces: int) -> Iterator[str]:
    """Open streams whose clients read nothing, and leave when the block ends.

    :param number: of the streams.
    :param pieces: that each has, 20 a second.
    :returns: the id of all of them.
    """
    request = new_id()
    with ExitStack() as connections:
        for _ in range(number):
            path = f"/endless?pieces={pieces}&id={request}"
            connections.enter_context(target.connect(path))
        target.events.wait(request, "started", LONGEST_WAIT, number)
        yield request
    # A client that comes now finds them all closed.
    target.events.wait(request, "call_on_close", LONGEST_WAIT, number)


def beside(target: Target, others: Callable[[], AbstractContextManager[object]]) -> float:
    """Return how long the next client waits beside others, in seconds, at the longest."""
    waits = []
    for _ in range(ROUNDS):
        with others():
            waits.append(wait_for_next(target))
    return round(max(waits), 2)


def over_the_limit(target: Target, room: int) -> float:
    """Return how long after the end of the shortest stream one client too many is answered."""
    with streaming(target, 1, THREE_S) as shortest, streaming(target, room - 1, EIGHT_S):
        wait_for_next(target)
        answered = time.monotonic()
        ended = target.events.times(shortest, "finished")
        return round(answered - ended[0], 2) if ended else 0.0


def behind_slow_readers(target: Target, room: int, headers: str) -> float:
    """Return how long the next clients wait once a slow reader has set a place free, in seconds.

    The slow readers take all places, and stay connected when they have read everything.
    The first client came before a place was free, the others come when all are, while the
    readers still have to read what is in the buffers.
    """
    request, over, events = new_id(), Event(), target.events
    path = f"/blocks?count={SLOW_BLOCKS}&id={request}"

    def read_slowly(connection: socket) -> None:
        try:
            while connection.recv(64 * 1024):
                time.sleep(SLOW)
        except OSError:
            return  # closed, as it waited
        over.wait()

    with ExitStack() as stack:
        connections = [stack.enter_context(target.connect(path, headers)) for _ in range(room)]
        events.wait(request, "started", LONGEST_WAIT, room)
        readers = [Thread(target=read_slowly, args=[each], daemon=True) for each in connections]
        stack.callback(over.set)
        for reader in readers:
            reader.start()
        wait_for_next(target, headers)
        answered = time.monotonic()
        events.wait(request, "finished", LONGEST_WAIT, room)
        waits = [answered - events.times(request, "finished")[0]]
        waits += [wait_for_next(target, headers) for _ in range(ROUNDS)]
    return round(max(waits), 2)


def ask(settings: Setup) -> Cells:
    """Ask all of one server."""
    room = settings.room
    with running_setup(settings) as target:
        return {
            "one place free, seconds": beside(target, lambda: streaming(target, room - 1, EIGHT_S)),
            "none free, seconds": over_the_limit(target, room),
            "others stay, seconds": beside(target, lambda: staying(target)),
            "others stay after close, seconds": beside(target, lambda: staying(target, CLOSE)),
            "slow readers, seconds": behind_slow_readers(target, room, ""),
            "slow readers and close, seconds": behind_slow_readers(target, room, CLOSE),
        }


def wait(settings: Setup) -> Cells:
    """Ask a server what takes long."""
    with running_setup(settings) as target:
        return pauses(target)


def names(settings: Setup) -> Cells:
    """Return the name of settings, their text, and the streams that they have room for."""
    return {"settings": settings.name, "text": settings.text, "room": settings.room}


def plain(text: str) -> str:
    """Return the text of settings without what changes no answer: comments, and the app's name."""
    return APP.sub("app", COMMENT.sub("", text))


def changed() -> list[str]:
    """Return the names of the settings to copy that are no longer as they were measured."""
    measured = {row["settings"]: plain(row["text"]) for row in recorded("waiting")}
    return [each.name for each in copied() if measured.get(each.name) != plain(each.text)]


MEASUREMENT = Measurement("waiting", [*copied(), *ALTERNATIVES], names=names, ask=ask, wait=wait)
