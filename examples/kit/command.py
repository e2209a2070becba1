"""Show the output of a command while it runs, and end the command when its client disconnects."""

import codecs
import errno
import logging
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from threading import BoundedSemaphore, Lock, Thread, Timer
from typing import IO, Protocol

from flask import Response, request
from markupsafe import escape
from werkzeug import exceptions
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable

from .disconnect import DisconnectWatch
from .sse import HEADERS, HEARTBEAT, event

logger = logging.getLogger(__name__)

#: What a command gets of the environment of the server, which may contain secrets.
ENVIRONMENT = ("HOME", "LANG", "PATH", "TZ")

#: Bytes that are read at once, and the characters of the longest piece of a line.
SIZE = 8192

#: Seconds after which a piece of a line is sent without its end, such as a question.
PAUSE = 0.1

#: Seconds from SIGTERM to SIGKILL.
GRACE = 2.0

#: The answer when a command cannot start, by ``errno``. For other reasons it is a 501.
REFUSALS: dict[int | None, type[HTTPException]] = {
    errno.E2BIG: BadRequest,
    errno.EAGAIN: ServiceUnavailable,
    errno.ENOMEM: ServiceUnavailable,
    errno.EMFILE: ServiceUnavailable,
    errno.ENFILE: ServiceUnavailable,
}

#: A colour, and in the second part what else a terminal obeys.
ESCAPE = re.compile(
    r"(\x1b\[[0-9;]{0,40}m)"
    r"|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b\][^\x07\x1b]*\x07?|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"
)

#: A colour that continues in the next piece.
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;]{0,40})?\Z")


class Form(Protocol):
    """How a response shows a command. It belongs to one response."""

    mimetype: str

    def begin(self) -> str:
        """Return what is sent before the first output."""

    def text(self, text: str, *, error: bool) -> str:
        """Return a piece of the output: lines, or a part of a long line."""

    def beat(self, seconds: float) -> str:
        """Return what is sent after so many seconds without output."""

    def end(self, outcome: str) -> str:
        """Return the last line."""


class PlainText:
    r"""Show a command as plain text, with its outcome as the last line.

    >>> form = PlainText()
    >>> form.text("UA 1545", error=False) + form.end("exit status 0")
    'UA 1545\nexit status 0\n'
    """

    mimetype = "text/plain"

    def __init__(self) -> None:
        self.within_line = False

    def begin(self) -> str:
        """Return no text. The server then sends the headers."""
        return ""

    def text(self, text: str, *, error: bool) -> str:  # noqa: ARG002  # a form
        """Return the output as it is."""
        self.within_line = not text.endswith("\n")
        return text

    def beat(self, seconds: float) -> str:
        """Return a line of its own."""
        return self.line(f"no output for {seconds:g} s")

    def end(self, outcome: str) -> str:
        """Return the outcome on a line of its own."""
        return self.line(outcome)

    def line(self, text: str) -> str:
        """Return a line, after the end of an unfinished line."""
        before, self.within_line = "\n" * self.within_line, False
        return f"{before}{text}\n"


class Events:
    r"""Show a command as events, which no output can forge.

    Output is an event without a name, marked errors are events ``stderr``, and the last event is
    ``exit``.

    >>> form = Events()
    >>> form.text("UA 1545\n", error=False)
    'data: UA 1545\ndata: \n\n'
    >>> form.text("late", error=True) + form.end("exit status 1")
    'event: stderr\ndata: late\n\nevent: exit\ndata: exit status 1\n\n'
    """

    mimetype = "text/event-stream"

    def begin(self) -> str:
        """Return a comment."""
        return HEARTBEAT.decode()

    def text(self, text: str, *, error: bool) -> str:
        """Return an event with the output, line ends included."""
        return (event(text, event="stderr") if error else event(text)).decode()

    def beat(self, seconds: float) -> str:  # noqa: ARG002  # a form
        """Return a comment."""
        return HEARTBEAT.decode()

    def end(self, outcome: str) -> str:
        """Return the last event."""
        return event(outcome, event="exit").decode()


class Page:
    r"""Show a command as an HTML page, with the colours of a terminal.

    It needs the package ansi2html. All output is escaped, and of its escape sequences only colours
    and the like remain.

    >>> form = Page("Flights")
    >>> form.text("\x1b[31mlate:\x1b]0;title\x07 <UA>\n", error=False)
    '<span style="color: #aa0000">late: &lt;UA&gt;\n</span>'
    >>> form.text("still red", error=False)
    '<span style="color: #aa0000">still red</span>'

    :param title: the title of the page.
    """

    mimetype = "text/html"

    def __init__(self, title: str) -> None:
        from ansi2html import Ansi2HTMLConverter

        self.title = title
        self.converter = Ansi2HTMLConverter(inline=True, dark_bg=False)
        self.colours, self.rest = "", ""

    def begin(self) -> str:
        """Return the head of the page."""
        title = escape(self.title)
        return f"<!doctype html>\n<meta charset=utf-8>\n<title>{title}</title>\n<pre>"

    def text(self, text: str, *, error: bool) -> str:
        """Return the output as HTML, in the colours that are set so far."""
        text = self.rest + text
        unfinished = UNFINISHED.search(text)
        self.rest = unfinished[0] if unfinished else ""
        text = ESCAPE.sub(r"\1", self.colours + text.removesuffix(self.rest))
        codes: list[str] = []
        for code in re.findall(r"\x1b\[([0-9;]*)m", text):
            codes = [] if code.strip("0;") == "" else [*codes[-9:], code]
        self.colours = "".join(f"\x1b[{code}m" for code in codes)
        html = str(self.converter.convert(text, full=False))
        return f"<mark>{html}</mark>" if error else html

    def beat(self, seconds: float) -> str:
        """Return a comment."""
        return f"<!-- no output for {seconds:g} s -->"

    def end(self, outcome: str) -> str:
        """Return the end of the page, with the outcome."""
        return f"</pre>\n<p>{escape(outcome)}</p>\n"


class Output:
    """One output of a command: a pipe, or a terminal.

    :param file: where it is read.
    :param error: whether it is the output of errors alone.
    """

    def __init__(self, file: IO[bytes], error: bool) -> None:
        self.file, self.error = file, error
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.rest, self.open = "", True

    def receive(self) -> str:
        """Return the lines that have arrived, and a line without its end when it is long."""
        try:
            data = os.read(self.file.fileno(), SIZE)
        except OSError:  # how a terminal ends
            data = b""
        text, self.open = self.rest + self.decoder.decode(data, not data), bool(data)
        size = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
        if not data or len(text) - size >= SIZE:
            size = len(text)
        self.rest = text[size:]
        return text[:size]

    def flush(self) -> str:
        """Return the start of a line."""
        text, self.rest = self.rest, ""
        return text


class Command:
    """A running command, in a session and a process group of its own.

    :param process: the command, the leader of its group.
    :param outputs: what it writes to.
    :param seconds: how long it may run.
    :param free: called once, when its processes have ended.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        outputs: Sequence[Output],
        seconds: float,
        free: Callable[[], object],
    ) -> None:
        self.process, self.outputs, self.seconds, self.free = process, outputs, seconds, free
        self.stopped, self.over, self.lock = "", False, Lock()
        self.timer = Timer(seconds, self.stop, [f"stopped after {seconds:g} s"])
        self.timer.daemon = True

    def stop(self, reason: str) -> None:
        """End the command before its own end.

        :param reason: why, for the last line.
        """
        self.stopped = self.stopped or reason
        self.end()

    def end(self) -> None:
        """End the process group with SIGTERM, then with SIGKILL, and wait for its end."""
        with self.lock:
            if not self.over:
                self.timer.cancel()
                until = time.monotonic() + GRACE
                alive = self.send(signal.SIGTERM)
                while alive and time.monotonic() < until:
                    time.sleep(0.02)
                    self.process.poll()  # a zombie counts as a process of the group
                    alive = self.send(0)
                self.send(signal.SIGKILL)
                with suppress(subprocess.TimeoutExpired):  # sudo: you may not send it signals
                    self.process.wait(GRACE)
                self.over = True
                self.free()

    def send(self, number: int) -> bool:
        """Send a signal to the group, and return whether there is a process in it."""
        with suppress(ProcessLookupError, PermissionError):  # macOS: only zombies are left
            os.killpg(self.process.pid, number)
            return True
        return False

    def read(self, silence: float) -> Generator[tuple[Output, str] | None, None, None]:
        """Yield pieces of the outputs as they arrive, and ``None`` after each silence.

        :param silence: seconds.
        """
        poller, heard = select.poll(), time.monotonic()
        for output in self.outputs:
            poller.register(output.file, select.POLLIN)
        while not self.stopped:
            exited = self.process.poll() is not None
            ready = self.ready(poller, exited)
            for output in self.outputs:
                if text := output.receive() if output in ready else output.flush():
                    yield output, text
                    heard = time.monotonic()
                if output in ready and not output.open:
                    poller.unregister(output.file)
            if exited and not ready:
                return
            if time.monotonic() - heard >= silence:
                yield None
                heard = time.monotonic()

    def ready(self, poller: "select.poll", exited: bool) -> list[Output]:
        """Return the outputs that can be read, after :data:`PAUSE` at most."""
        still_open = [output for output in self.outputs if output.open]
        if not still_open:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PAUSE)
            return []
        found = dict(poller.poll(0 if exited else PAUSE * 1000))
        return [output for output in still_open if output.file.fileno() in found]

    def outcome(self) -> str:
        """Return how it ended, in words."""
        status = self.process.returncode
        return self.stopped or (
            f"exit status {status}" if status >= 0 else f"ended by signal {-status}"
        )

    def close(self) -> None:
        """End the command, and close its outputs."""
        self.end()
        for output in self.outputs:
            output.file.close()


def start(
    arguments: Sequence[str],
    *,
    marked: bool,
    terminal: bool,
    settings: Mapping[str, str],
    folder: str | None,
) -> "tuple[subprocess.Popen[bytes], list[Output]]":
    """Start a command, without a shell.

    :raises OSError: when it cannot start.
    :raises ValueError: for an argument with NUL or half of a surrogate pair.
    """
    own = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    own |= {"PYTHONUNBUFFERED": "1", "TERM": "xterm-256color" if terminal else "dumb"}
    stdout, stderr = subprocess.PIPE, subprocess.PIPE if marked else subprocess.STDOUT
    with ExitStack() as failed, ExitStack() as always:
        screen = None
        if terminal:
            number, stdout = open_terminal()
            always.callback(os.close, stdout)
            screen = failed.enter_context(os.fdopen(number, "rb", 0))
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env=own | dict(settings),
            start_new_session=True,
        )
        failed.pop_all()
    files = (screen or process.stdout, process.stderr)
    return process, [Output(file, error=file is process.stderr) for file in files if file]


def open_terminal() -> tuple[int, int]:
    """Open a terminal that changes no line ends, and return its two ends."""
    import termios

    screen, program = os.openpty()
    attributes = termios.tcgetattr(program)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(program, termios.TCSANOW, attributes)
    termios.tcsetwinsize(program, (24, 80))
    return screen, program


class Commands:
    """Run commands, a limited number of them at once, and stream their output.

    >>> from flask import Flask
    >>> app, commands = Flask(__name__), Commands(at_once=4, seconds=60)
    >>> @app.post("/board")
    ... def board():
    ...     return commands.response(["echo", "UA 1545; boards"])
    >>> print(app.test_client().post("/board").text)
    UA 1545; boards
    exit status 0
    <BLANKLINE>

    :param at_once: how many commands may run in this process.
    :param seconds: how long each may run.
    :param silence: seconds without output after which the response has a heartbeat.
    """

    def __init__(self, at_once: int = 4, seconds: float = 60, silence: float = 15) -> None:
        self.places = BoundedSemaphore(at_once)
        self.seconds, self.silence = seconds, silence

    def response(
        self,
        arguments: Sequence[str],
        form: Form | None = None,
        *,
        marked: bool = False,
        terminal: bool = False,
        settings: Mapping[str, str] = {},
        folder: str | None = None,
    ) -> Response:
        """Start a command, and return a response that shows its output.

        :param arguments: the program and its arguments. No shell reads them. Put ``--`` before
            the first argument that a user wrote, so that it is no option.
        :param form: how to show it, as :class:`PlainText` by default.
        :param marked: whether to read errors from a pipe of their own, so that the form can mark
            them. Otherwise all output is in the order in which it was written.
        :param terminal: whether the command writes to a terminal: programs then send each line
            when it is complete, and use colours.
        :param settings: environment variables, next to those of :data:`ENVIRONMENT`.
        :param folder: where the command runs.
        :raises werkzeug.exceptions.HTTPException: 400 for an argument that no program can get.
            501 when the program is missing. 503 when too many commands run.
        """
        form = form or PlainText()
        if not self.places.acquire(blocking=False):
            raise ServiceUnavailable(retry_after=5)
        with ExitStack() as failed:
            failed.callback(self.places.release)
            try:
                process, outputs = start(
                    arguments, marked=marked, terminal=terminal, settings=settings, folder=folder
                )
            except (OSError, ValueError) as error:
                logger.warning("%s: %s", arguments[0], error)
                number = getattr(error, "errno", errno.E2BIG)
                raise REFUSALS.get(number, exceptions.NotImplemented)() from error
            command = Command(process, outputs, self.seconds, self.places.release)
            failed.pop_all()
            failed.callback(command.close)  # such as when no thread can start
            command.timer.start()
            leave = Thread(target=command.stop, args=["the client disconnected"], daemon=True)
            watch = DisconnectWatch(request.environ, leave.start)
            headers = HEADERS | {"X-Content-Type-Options": "nosniff"}
            body = shown(command, form, self.silence, watch)
            response = Response(body, mimetype=form.mimetype, headers=headers)
            response.call_on_close(watch.close)
            response.call_on_close(command.close)
            failed.pop_all()
        return response


def shown(
    command: Command, form: Form, silence: float, watch: DisconnectWatch
) -> Generator[str, None, None]:
    """Yield the output of a command in a form.

    :raises ConnectionResetError: when the client has disconnected.
    """
    yield form.begin()
    for piece in command.read(silence):
        if piece:
            output, text = piece
            yield form.text(text, error=output.error)
        else:
            yield form.beat(silence)
    command.close()
    if watch.disconnected:
        raise ConnectionResetError(errno.ECONNRESET, "the client disconnected")
    yield form.end(command.outcome())
