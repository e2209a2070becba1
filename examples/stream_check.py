"""Tell whether a response streams: when each chunk arrives, how it ends, what to try next.

``python -m examples.stream_check URL`` asks any server, of any framework.
It is one file, and needs nothing but Python: copy it to where the trouble is.
"""

import argparse
import json
import os
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from wsgiref.util import setup_testing_defaults

#: What marks the end of a body (:rfc:`9112#section-6.3`): a chunk of length zero, a
#: Content-Length, the end of the connection; or there is no body.
Framing = Literal["chunked", "length", "close", "none"]

#: The longest line of a head or of a chunked body that is read, in bytes.
LONGEST_LINE = 16 * 1024

#: The most headers that are read.
MOST_HEADERS = 200

#: The headers that say how a response is sent, and by whom.
TELLING = [
    *("Server", "Via", "Location", "Content-Type", "Content-Length", "Transfer-Encoding"),
    *("Content-Encoding", "Cache-Control", "X-Accel-Buffering"),
]

#: How many pieces get a line each. Those after them share a line a second.
OWN_LINES = 20

#: The most moments at which bytes came that are kept; when there are more, neighbours are joined.
MOST_MOMENTS = 4096

#: Seconds: what comes within QUICK tells nothing, what keeps us waiting for LONG may be held,
#: and what follows the end is awaited for LINGER.
QUICK, LONG, LINGER = 0.1, 0.5, 0.5

STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) ([1-9]\d\d)(?: .*)?")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")

#: How a framing is called, what completes it, and where it is cut.
FRAMINGS = {
    "chunked": ("in chunks", "a chunk of length zero said so", "before the chunk of length zero"),
    "length": ("with a length", "as long as its Content-Length", "before all of the length came"),
    "close": ("until it closes", "the connection closed: a cut looks the same", "in the body"),
    "none": ("without a body", "the head is all of it", ""),
    "": ("", "", "before the head had come"),
}


class MalformedResponse(ValueError):  # noqa: N818 -- named for what came
    """What came is no HTTP/1 response, or breaks its own framing."""


class Part(NamedTuple):
    """Bytes of a body, and the number of the chunk that they belong to, counted from 1."""

    chunk: int
    data: bytes


class Response:
    r"""A response to one HTTP/1 request, read from its bytes as they arrive.

    >>> head = b"HTTP/1.1 200 OK\r\n"
    >>> chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    >>> response = Response()
    >>> response.feed(chunked + b"3\r\none\r\n3;name=value\r\nt")
    [Part(chunk=1, data=b'one'), Part(chunk=2, data=b't')]
    >>> response.feed(b"wo\r\n0\r\nRows: 2\r\n\r\n"), response.complete
    ([Part(chunk=2, data=b'wo')], True)
    >>> response.feed(b"three"), response.excess
    ([], 5)
    >>> Response().feed(head + b"Transfer-Encoding: xchunked\r\n\r\nall of it")
    [Part(chunk=1, data=b'all of it')]
    >>> for wire in [
    ...     b"SSH-2.0-OpenSSH_9.2\r\n",
    ...     b"HTTP/1.1 000 OK\r\n",
    ...     head + b"no header\r\n\r\n",
    ...     head + b"Name: value\r\n" * 1000,
    ...     head + b"Name: " + b"x" * 20_000,
    ...     head + b"Content-Length: ten\r\n\r\n",
    ...     chunked + b"ten\r\n",
    ...     chunked + b"3\r\nfour\r\n",
    ... ]:
    ...     try:
    ...         Response().feed(wire)
    ...     except MalformedResponse as error:
    ...         print(error)
    not HTTP: it begins with b'SSH-2.0-OpenSSH_9.2\r\n'
    not a status line: b'HTTP/1.1 000 OK'
    not a header: b'no header'
    more than 200 headers
    a line of more than 16384 bytes
    Content-Length is 'ten'
    not the size of a chunk: b'ten'
    chunk 1 is longer than it said

    :param method: what was asked with; the answer to ``HEAD`` has no body.
    """

    def __init__(self, method: str = "GET") -> None:
        self.version = ""  #: ``1.0`` or ``1.1``; empty before the status line has come.
        self.status = 0  #: The status code.
        self.headers: list[tuple[str, str]] = []  #: Names in lower case, and values.
        self.framing: Framing | None = None  #: Known when the head has come.
        self.complete = False  #: All of the body has come, as its framing tells.
        self.excess = 0  #: How many bytes came after the end of the body.
        self.whole = 0  #: How many chunks of a chunked body have come to their end.
        self.parts: list[Part] = []  #: What :meth:`feed` found last, even if it raised.
        self._method = method
        self._held = bytearray()
        self._reading = self._read()
        next(self._reading)

    def header(self, name: str) -> str:
        """Return the values of a header, joined by commas; nothing where it was not sent."""
        return ", ".join(value for key, value in self.headers if key == name.lower())

    def feed(self, data: bytes) -> list[Part]:
        """Take bytes from the wire and return the parts of the body that are in them.

        :raises MalformedResponse: when the bytes are no HTTP/1 response.
        """
        self.parts = []
        self._held += data
        if self.complete:
            self.excess += len(data)
        else:
            self._reading.send(None)
        return self.parts

    def end(self) -> None:
        """Say that the connection has ended, which completes a body without other framing."""
        if self.framing == "close":
            self.complete = True

    def _read(self) -> Generator[None, None, None]:
        """Read the response; each ``yield`` waits for more bytes."""
        yield
        status = 100
        while 100 <= status < 200:  # interim responses, RFC 9110, section 15.2
            status = yield from self._read_head()
        codings = self.header("transfer-encoding").lower()
        length = self.header("content-length")
        if self._method == "HEAD" or status in (204, 304):
            self.framing = "none"
        elif codings:
            last = codings.split(",")[-1].strip()
            self.framing = "chunked" if last == "chunked" else "close"
        elif length:
            if not re.fullmatch("[0-9]{1,18}", length):
                raise MalformedResponse(f"Content-Length is {length[:60]!r}")
            self.framing = "length"
        else:
            self.framing = "close"
        if self.framing == "chunked":
            yield from self._read_chunks()
        elif self.framing == "length":
            yield from self._read_bytes(int(length), 1)
        elif self.framing == "close":
            while True:
                self._take(len(self._held), 1)
                yield
        self.complete = True
        self.excess = len(self._held)
        yield

    def _read_head(self) -> Generator[None, None, int]:
        """Read a status line and headers, and return the status code."""
        line = yield from self._read_line(b"HTTP/")
        found = STATUS_LINE.fullmatch(line)
        if not found:
            raise MalformedResponse(f"not a status line: {line[:60]!r}")
        self.version, self.status = found[1].decode(), int(found[2])
        self.headers = []
        while line := (yield from self._read_line()):
            header = HEADER.fullmatch(line)
            if not header:
                raise MalformedResponse(f"not a header: {line[:60]!r}")
            if len(self.headers) == MOST_HEADERS:
                raise MalformedResponse(f"more than {MOST_HEADERS} headers")
            value = header[2].strip(b" \t").decode("latin-1")
            self.headers.append((header[1].decode().lower(), value))
        return self.status

    def _read_line(self, start: bytes = b"") -> Generator[None, None, bytes]:
        """Read to the next line end and return the line without it.

        :param start: what the line must begin with.
        """
        while True:
            begun = min(len(start), len(self._held))
            if self._held[:begun] != start[:begun]:
                raise MalformedResponse(f"not HTTP: it begins with {bytes(self._held[:60])!r}")
            end = self._held.find(b"\n", 0, LONGEST_LINE)
            if end >= 0:
                line = bytes(self._held[:end]).removesuffix(b"\r")
                del self._held[: end + 1]
                return line
            if len(self._held) >= LONGEST_LINE:
                raise MalformedResponse(f"a line of more than {LONGEST_LINE} bytes")
            yield

    def _read_chunks(self) -> Generator[None, None, None]:
        """Read a chunked body and its trailers (:rfc:`9112#section-7.1`)."""
        number = 0
        while True:
            line = yield from self._read_line()
            found = CHUNK_SIZE.fullmatch(line)
            if not found:
                raise MalformedResponse(f"not the size of a chunk: {line[:60]!r}")
            size = int(found[1], 16)
            if size == 0:
                break
            number += 1
            yield from self._read_bytes(size, number)
            self.whole = number
            if (yield from self._read_line()):
                raise MalformedResponse(f"chunk {number} is longer than it said")
        while (yield from self._read_line()):
            pass

    def _read_bytes(self, count: int, chunk: int) -> Generator[None, None, None]:
        """Read so many bytes of the body."""
        while count:
            count -= self._take(count, chunk)
            if count:
                yield

    def _take(self, most: int, chunk: int) -> int:
        """Hand over what has come of the body, and return how many bytes that are."""
        data = bytes(self._held[:most])
        del self._held[:most]
        if data:
            self.parts.append(Part(chunk, data))
        return len(data)


class Options(NamedTuple):
    """How to ask."""

    method: str = "GET"  #: ``GET`` or ``HEAD``.
    version: str = "1.1"  #: The version of HTTP: ``1.1`` or ``1.0``.
    headers: tuple[tuple[str, str], ...] = ()  #: More headers to send, or others.
    abort_after: int = 0  #: Leave after so many pieces; 0 is never.
    timeout: float = 30.0  #: The seconds that connecting, and then the exchange, may take.


PLAIN = Options()


@dataclass
class Report:
    """What was seen of a response. Times are seconds since the request was sent."""

    asked: str  #: The method and the URL, or the path and the app.
    verdict: str = ""  #: How the body came: ``streamed``, ``delayed`` ...
    ending: str = ""  #: How the response ended: ``complete``, ``cut short`` ...
    reason: str = ""  #: What says that it ended so.
    ok: bool = False  #: It streamed and ended cleanly.
    http: str = ""  #: The version of HTTP of the answer.
    status: int = 0  #: The status code; 0 when no head came.
    framing: Framing | None = None  #: What marks the end of the body.
    head: float | None = None  #: When the head had come.
    first_byte: float | None = None  #: When the first byte of the body came.
    last_byte: float | None = None  #: When its last byte came.
    end: float = 0.0  #: When the response ended, or the waiting.
    size: int = 0  #: Bytes of the body, without its framing.
    unit: str = "part"  #: What ``pieces`` counts: chunks, items of an app, or what a read gave.
    pieces: int = 0  #: How many of them came whole.
    headers: dict[str, str] = field(
        default_factory=dict
    )  #: Those that say how it is sent, and by whom.
    next: list[str] = field(default_factory=list)  #: What to try next.


def amount(number: int, unit: str = "byte") -> str:
    """Return a number of things in words.

    >>> amount(1, "chunk"), amount(20)
    ('1 chunk', '20 bytes')
    """
    return f"{number} {unit}{'' if number == 1 else 's'}"


class Watch:
    """Follow one response, in little memory however long it is.

    :param asked: what is asked for.
    :param options: how.
    :param show: called with a line of text for each piece.
    """

    def __init__(self, asked: str, options: Options, show: Callable[[str], object]) -> None:
        self.report = Report(f"{options.method} {asked}")
        self.options = options
        self.show = show
        self.over = threading.Event()
        self._start = time.perf_counter()
        self._moments: list[tuple[float, int]] = []
        self._open = self._waiting = self._waiting_size = 0
        self._shown = 0.0
        show(self.report.asked)

    def start(self) -> None:
        """Begin to count the time."""
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Return the time since the start."""
        return round(time.perf_counter() - self._start, 4)

    def head(self, at: float, status: str, headers: Iterable[tuple[str, str]]) -> None:
        """Take the head: when it came, its status in words, its headers."""
        self.report.head, self.report.status = at, int(status[:3])
        for name in TELLING:
            values = [value for key, value in headers if key.lower() == name.lower()]
            if values:
                self.report.headers[name] = ", ".join(values)
        self.show(f"{at:.3f} s  {status}")

    def data(self, at: float, size: int, *, whole: bool = True) -> None:
        """Take bytes of the body: when they came, how many, whether a piece ends with them.

        :raises KeyboardInterrupt: when it is time to leave.
        """
        report = self.report
        report.first_byte = at if report.first_byte is None else report.first_byte
        report.last_byte = at
        report.size += size
        self._moments.append((at, size))
        if len(self._moments) == MOST_MOMENTS:
            pairs = zip(self._moments[::2], self._moments[1::2], strict=True)
            self._moments = [(later, one + other) for (_, one), (later, other) in pairs]
        self._open += size
        if whole:
            report.pieces += 1
            self._show_piece(at)
            self._open = 0
            if report.pieces == self.options.abort_after:
                self.end("left as asked", f"after {amount(report.pieces, report.unit)}", at)
                raise KeyboardInterrupt

    def _show_piece(self, at: float) -> None:
        """Show the piece that has come, or keep it for the line of this second."""
        if self.report.pieces <= OWN_LINES:
            self.show(f"{at:.3f} s  {self.report.unit} {self.report.pieces}: {amount(self._open)}")
            self._shown = at
            return
        self._waiting += 1
        self._waiting_size += self._open
        if at >= self._shown + 1:
            self._show_waiting(at)

    def _show_waiting(self, at: float) -> None:
        """Show in one line the pieces that were kept for it."""
        if self._waiting:
            pieces = amount(self._waiting, self.report.unit)
            self.show(f"{at:.3f} s  {pieces}: {amount(self._waiting_size)}")
        self._waiting = self._waiting_size = 0
        self._shown = at

    def end(self, ending: str, reason: str, at: float | None = None) -> None:
        """Take how the response ended, what says so, and when. Only the first end counts."""
        if not self.report.ending:
            self.report.ending, self.report.reason = ending, reason
            self.report.end = self.seconds() if at is None else at
            self.over.set()

    def finish(self) -> Report:
        """Return the report, with its verdict."""
        report = self.report
        self._show_waiting(report.last_byte or 0)
        if self._open:
            self.show(f"{report.end:.3f} s  {amount(self._open)} of the next {report.unit}")
        report.verdict = self.judge()
        report.ok = report.verdict == "streamed" and report.ending in ("complete", "left as asked")
        report.next = list(advise(report))
        return report

    def judge(self) -> str:
        """Tell from the times how the body came."""
        report = self.report
        if report.first_byte is None or report.last_byte is None:
            return "no body"
        spread, rest = report.last_byte - report.first_byte, report.end - report.last_byte
        seen_end = report.ending not in ("left as asked", "stopped at the time limit")
        together = seen_end and rest < LONG
        if together and report.first_byte >= LONG and spread <= min(LONG, report.end / 10):
            return "buffered until the end"
        if together and report.pieces == 1 and not self._open:
            return "in one piece"
        if spread + rest < QUICK:
            return "at once"
        late = sum(size for at, size in self._moments if at >= 0.9 * report.end)
        return "delayed" if late >= 0.9 * report.size else "streamed"


#: What to try next, by how the response ended.
ADVICE = {
    "no answer": "Look whether the server runs, at this port, and whether it is http or https.",
    "malformed": "Look what listens there, and whether the app sets headers of the framing.",
    "cut short": "Read the server's log: the app raised, a worker was ended, or a proxy gave up.",
    "ended by closing": "Ask with HTTP/1.1, or let the body end with an end marker.",
    "stopped at the time limit": "Leave an endless stream with --abort-after 3, or give a slow"
    " one more --timeout.",
    "the app raised": "The status has left: some servers cut here, and some end the response as"
    " if it were complete.",
}

#: The same, when that was before the head had come.
EARLY_ADVICE = {
    "stopped at the time limit": "Look whether other streams hold every worker, or whether the"
    " first chunk is slow to make.",
    "the app raised": "Nothing was sent yet: a server can still answer with an error page.",
}


def advise(seen: Report) -> Iterator[str]:
    """Yield what to try next."""
    if r"b'\x15\x03" in seen.reason:
        yield "These bytes are TLS: ask with https."
    elif seen.head is None and seen.ending in EARLY_ADVICE:
        yield EARLY_ADVICE[seen.ending]
    elif seen.ending in ADVICE:
        yield ADVICE[seen.ending]
    if seen.ending == "malformed":
        return
    if "Location" in seen.headers and 300 <= seen.status < 400:
        yield f"It is a redirect: ask {seen.headers['Location']}"
    elif seen.status >= 400:
        yield "It is an error page: read the server's log."
    elif seen.asked.startswith("HEAD "):
        yield "HEAD has no body to watch: ask without --head."
    elif seen.verdict == "at once":
        yield "It was too quick to tell: ask for a stream that takes a second or more."
    elif seen.verdict in ("buffered until the end", "delayed", "in one piece"):
        yield from advise_held(seen)


def advise_held(seen: Report) -> Iterator[str]:
    """Yield where to look for what held a response back."""
    if seen.verdict == "in one piece":
        yield "It came as one: let the app yield smaller pieces."
    if "Content-Encoding" in seen.headers:
        yield "Compression may hold it: send this content type without."
    if "Content-Length" in seen.headers:
        yield "Its length was known: a view, a hook or a middleware made all of it first."
    if seen.headers.get("Server", "").startswith("nginx"):
        yield "nginx holds what it can: send X-Accel-Buffering: no, or set proxy_buffering off."
    if seen.unit == "item":
        yield "No server is involved: look at the view, then at hooks and middleware."
    else:
        yield "Ask the server behind each proxy, then the app itself with --app."


def check(url: str, options: Options = PLAIN, show: Callable[[str], object] = str) -> Report:
    """Ask a server once and report how its answer comes.

    :param url: the address, of http or https. A redirect is not followed.
    :param options: how to ask.
    :param show: called with a line of text for each piece, as it comes.
    :raises ValueError: when the URL is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{url!r} is no URL such as http://127.0.0.1:5000/path")
    path, authority = origin_form(url), parts.netloc.encode("idna").decode()
    fields = {"Host": authority, "Accept": "*/*", "Connection": "close"}
    given = {name.title() for name, _ in options.headers}
    lines = [f"{options.method} {path} HTTP/{options.version}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if name not in given]
    lines += [f"{name}: {value}" for name, value in options.headers]
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    watch = Watch(f"{parts.scheme}://{authority}{path}", options, show)
    try:
        with connect(parts.hostname, port, parts.scheme == "https", options.timeout) as connection:
            exchange(connection, "\r\n".join([*lines, "", ""]).encode(), watch)
    except KeyboardInterrupt:
        watch.end("left as asked", "by Ctrl-C")
    except OSError as error:
        watch.end("no answer", f"{type(error).__name__}: {error}")
    return watch.finish()


def origin_form(url: str) -> str:
    """Return the path and query of a URL as a request carries them, in ASCII.

    >>> origin_form("http://127.0.0.1/vols São Paulo?q=é&r=%C3%A9#top")
    '/vols%20S%C3%A3o%20Paulo?q=%C3%A9&r=%C3%A9'
    """
    parts = urlsplit(url)
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path, parts.query))
    return f"/{path.removeprefix('/')}" + (f"?{query}" if query else "")


def connect(host: str, port: int, tls: bool, limit: float) -> socket.socket:
    """Open a connection, in a thread: a resolver knows no time limit, nor do many addresses.

    :param limit: the seconds that this may take.
    :raises OSError: when there is no connection.
    """
    opened: SimpleQueue[socket.socket | Exception] = SimpleQueue()

    def connect_in_thread() -> None:
        try:
            connection = socket.create_connection((host, port), limit)
            if tls:
                wrap = ssl.create_default_context().wrap_socket
                connection = wrap(connection, server_hostname=host)
            opened.put(connection)
        except Exception as error:
            opened.put(error)

    threading.Thread(target=connect_in_thread, daemon=True).start()
    try:
        found = opened.get(timeout=limit)
    except Empty:
        raise TimeoutError(f"no connection within {limit:g} s") from None
    if isinstance(found, Exception):
        raise found
    return found


def exchange(connection: socket.socket, request: bytes, watch: Watch) -> None:
    """Send a request and read its response."""
    response, timeout = Response(watch.options.method), watch.options.timeout
    limit, came, at, closed = timeout, 0, 0.0, "is still open"
    watch.start()
    try:
        connection.sendall(request)
        while not response.excess and (data := receive(connection, limit - watch.seconds())):
            came, at = came + len(data), watch.seconds()
            try:
                response.feed(data)
            finally:
                take(response, at, watch)
            limit = at + LINGER if response.complete else timeout
        closed = "closed"
    except MalformedResponse as error:
        watch.end("malformed", str(error), at)
    except TimeoutError:
        if not response.complete:
            watch.end("stopped at the time limit", f"no end within {timeout:g} s")
    except OSError:
        closed = "was reset"
    if not response.complete:
        at = watch.seconds()
    if closed == "closed":
        response.end()
    watch.end(*ending_of(response, watch.options, closed if came else ""), at)


def ending_of(response: Response, options: Options, closed: str) -> tuple[str, str]:
    """Return how a response ended, and what says so.

    :param closed: how the connection ended; empty when not a byte had come before that.
    """
    _, complete, where = FRAMINGS[response.framing or ""]
    if not closed:
        return "no answer", "the connection ended without a byte"
    if not response.complete:
        return "cut short", f"the connection {closed} {where}"
    if response.framing == "close":
        return "ended by closing", complete
    if response.excess:
        return "malformed", f"{amount(response.excess)} came after the end"
    if response.framing == "chunked" and options.version == "1.0":
        return "malformed", "an answer to HTTP/1.0 can have no chunks"
    return "complete", complete


def receive(connection: socket.socket, left: float) -> bytes:
    """Wait for bytes and return them, or nothing when the connection has closed.

    :param left: the seconds that this may take.
    :raises TimeoutError: when it takes longer.
    """
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    return connection.recv(64 * 1024)


def take(response: Response, at: float, watch: Watch) -> None:
    """Let the watch see what has come of a response."""
    chunked = response.framing == "chunked"
    if response.framing and watch.report.head is None:
        watch.report.unit = "chunk" if chunked else "part"
        watch.report.http, watch.report.framing = response.version, response.framing
        words = f"{response.status} over HTTP/{response.version}, {FRAMINGS[response.framing][0]}"
        watch.head(at, words, response.headers)
    for part in response.parts:
        watch.data(at, len(part.data), whole=not chunked or part.chunk <= response.whole)


def load_app(name: str) -> Callable[..., Iterable[bytes]]:
    """Import an app by a name such as ``module:app``, from the current folder too.

    :raises ValueError: when that is no app.
    """
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        app: Callable[..., Iterable[bytes]] = attrgetter(attribute)(import_module(module))
    except Exception as error:
        raise ValueError(f"cannot import {name!r}: {type(error).__name__}: {error}") from error
    if not callable(app):
        raise ValueError(f"{name!r} is no app, and cannot be called")
    return app


def check_app(
    name: str, path: str = "/", options: Options = PLAIN, show: Callable[[str], object] = str
) -> Report:
    """Call a WSGI app (:pep:`3333`) without a server and report how its items come.

    It runs in a thread, so that it cannot hang the caller.

    :param name: such as ``module:app``.
    :param path: what to ask for, with its query.
    :param options: how to ask.
    :param show: called with a line of text for each item, as it comes.
    :raises ValueError: when there is no such app.
    """
    app, path = load_app(name), origin_form(path)
    watch = Watch(f"{path} of {name}", options, show)
    watch.report.unit = "item"
    thread = threading.Thread(target=call_app, args=[app, path, watch], daemon=True)
    watch.start()
    try:
        thread.start()
        watch.over.wait(options.timeout)
        watch.end("stopped at the time limit", f"no end within {options.timeout:g} s")
    except KeyboardInterrupt:
        watch.end("left as asked", "by Ctrl-C")
    with suppress(KeyboardInterrupt):  # a second one
        thread.join(LINGER)  # until the app is closed, which may be with its next item
    return watch.finish()


def call_app(app: Callable[..., Iterable[bytes]], path: str, watch: Watch) -> None:
    """Call an app as a server does, and let a watch see what it gives.

    >>> def seen(app):
    ...     watch = Watch("an app", Options(headers=(("Accept", "text/csv"),)), str)
    ...     call_app(app, "/", watch)
    ...     return watch.finish().reason
    >>> seen(lambda environ, start_response: [])
    'RuntimeError: start_response was not called'
    >>> seen(lambda environ, start_response: start_response("200 OK", []) and ["text"])
    'TypeError: an item is str, not bytes'
    >>> def late(environ, start_response):
    ...     write = start_response("200 OK", [])
    ...     write(b"text")
    ...     start_response("500 Oh", [], (ValueError, ValueError("too late"), None))
    >>> seen(late)
    'ValueError: too late'
    """
    method = watch.options.method
    environ = {"REQUEST_METHOD": method, "SERVER_PROTOCOL": f"HTTP/{watch.options.version}"}
    environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
    environ["PATH_INFO"] = unquote(environ["PATH_INFO"], "latin-1")
    for key, value in watch.options.headers:
        environ[f"HTTP_{key.upper().replace('-', '_')}"] = value
    setup_testing_defaults(environ)
    head: list[Any] = []

    def start_response(status: str, headers: list[Any], exc_info: Any = None) -> Any:
        if exc_info and watch.report.head is not None:
            raise exc_info[1]
        head[:] = status, headers
        return write

    def send_head(at: float) -> None:
        if not head:
            raise RuntimeError("start_response was not called")
        if watch.report.head is None:
            watch.head(at, *head)

    def write(item: bytes) -> None:
        at = watch.seconds()
        if not isinstance(item, bytes):
            raise TypeError(f"an item is {type(item).__name__}, not bytes")
        if watch.report.ending:
            raise KeyboardInterrupt  # which no ``except Exception`` of the app catches
        if item:
            send_head(at)
        if item and method != "HEAD":
            watch.data(at, len(item))

    try:
        items = app(environ, start_response)
        try:
            for item in items:
                write(item)
            send_head(watch.seconds())
        finally:
            if hasattr(items, "close"):
                items.close()
        watch.end("complete", "the app gave its last item")
    except BaseException as error:
        watch.end("the app raised", f"{type(error).__name__}: {error}")


def read_header(text: str) -> tuple[str, str]:
    """Split a header into its name and its value.

    >>> read_header("Accept: text/event-stream")
    ('Accept', 'text/event-stream')

    :raises argparse.ArgumentTypeError: when it is none, or would be more than one.
    """
    found = HEADER.fullmatch(text.encode())
    if not found or re.search("[\r\0]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no header such as 'Name: value'")
    return found[1].decode(), found[2].decode().strip(" \t")


def read_seconds(text: str) -> float:
    """Return a time limit.

    :raises argparse.ArgumentTypeError: when it is no number of seconds that can be waited.
    """
    with suppress(ValueError):
        if 0 < float(text) < 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def say(line: str) -> None:
    """Print a line at once; what a terminal would not show or would obey is escaped."""
    print(re.sub("[^ -~]", lambda it: it[0].encode("unicode_escape").decode(), line), flush=True)


def conclude(seen: Report) -> Iterator[str]:
    """Yield the lines that sum up a report."""
    verdict = seen.ending if seen.head is None else f"{seen.verdict}, {seen.ending}"
    yield f"verdict: {verdict} ({seen.reason})"
    if seen.first_byte is not None:
        times = f"from {seen.first_byte:.3f} s to {seen.last_byte:.3f} s"
        yield f"body:    {amount(seen.pieces, seen.unit)}, {amount(seen.size)}, {times}"
    yield from (f"header:  {name}: {value}" for name, value in seen.headers.items())
    yield from (f"next:    {advice}" for advice in seen.next)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line says.

    :returns: 0 when it streamed and ended cleanly, otherwise 1.
    :raises SystemExit: with 2 when the command line cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="stream_check",
        description="Tell whether a response streams.",
        epilog="Exit status: 0 when it streamed and ended cleanly, 2 for usage, otherwise 1.",
    )
    add = parser.add_argument
    add("url", help="an address of http or https; with --app, a path")
    add("--app", metavar="MODULE:APP", help="call this WSGI app, without a server")
    add("--head", action="store_true", help="ask with HEAD")
    add("--http1.0", action="store_true", dest="old", help="ask with HTTP/1.0")
    add("--gzip", action="store_true", help="accept gzip, as browsers do")
    add("-H", type=read_header, action="append", metavar="HEADER", help="send 'Name: value' too")
    add("--abort-after", type=int, default=0, metavar="N", help="leave after N chunks")
    add("--timeout", type=read_seconds, default=30.0, metavar="SECONDS", help="30 by default")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    given = parser.parse_args(arguments)
    headers = [*(given.H or []), *[("Accept-Encoding", "gzip")] * given.gzip]
    method, version = "HEAD" if given.head else "GET", "1.0" if given.old else "1.1"
    options = Options(method, version, tuple(headers), given.abort_after, given.timeout)
    show = str if given.json else say
    try:
        if given.app:
            report = check_app(given.app, given.url, options, show)
        else:
            report = check(given.url, options, show)
        lines = json.dumps(asdict(report), indent=2).splitlines()
        for line in lines if given.json else conclude(report):
            say(line)
    except ValueError as error:
        parser.error(str(error))
    except (BrokenPipeError, KeyboardInterrupt):  # nobody reads what this prints any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
