"""Tell whether a response streams: when each chunk arrives, how it ends, what to try next.

``python -m examples.stream_check URL`` asks any server, of any framework.
It is one file, and needs nothing but Python 3.9 or later: copy it to where the trouble is.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 -- the rest can be read by Python 3.6, and not run
    sys.exit(f"stream_check needs Python 3.9 or later, and this is {sys.version.split()[0]}")

import argparse
import ast
import base64
import io
import json
import os
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple, Optional, Union
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass
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
    *("Content-Encoding", "Cache-Control", "X-Accel-Buffering", "Allow", "Retry-After"),
]

#: How many pieces get a line each. Those after them share a line a second.
OWN_LINES = 20

#: Seconds: what comes within TOGETHER came at one time, a pause of QUICK is a silence, a silence
#: of LONG may be somebody who holds the body, and what follows the end is awaited for LINGER.
TOGETHER, QUICK, LONG, LINGER = 0.002, 0.1, 0.5, 0.5

#: How many times prove a stream that is over within QUICK, and how many lines are a table's.
MANY_TIMES, MANY_LINES = 10, 5

#: The bytes of a piece that may be a part of one: proxies cut large ones to their buffers.
LARGE = 2048

#: What a time limit raises: two classes before Python 3.10.
TIMEOUTS = (TimeoutError, socket.timeout)

#: The type of what ``-d`` sends.
FORM = "application/x-www-form-urlencoded"

STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) ([1-9]\d\d)(?: .*)?")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")

#: What else may come: an alert, a frame that sets a connection up or refuses it, anything.
OTHERS = [
    ("TLS, not HTTP", re.compile(b"\x15\x03")),
    ("HTTP/2, not HTTP/1", re.compile(b"\0..[\x04\x07].\0{4}", re.DOTALL)),
    ("not HTTP", re.compile(b"")),
]

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
    >>> response = Response()
    >>> response.feed(head + b"Transfer-Encoding: chunked, chunked\r\n\r\n"), response.fault
    ([], 'Transfer-Encoding names chunked twice')

    :param method: what was asked with; the answer to ``HEAD`` has no body.
    """

    def __init__(self, method: str = "GET") -> None:
        self.version = ""  #: ``1.0`` or ``1.1``; empty before the status line has come.
        self.status = 0  #: The status code.
        self.headers: list[tuple[str, str]] = []  #: Names in lower case, and values.
        self.framing: Optional[Framing] = None  #: Known when the head has come.
        self.fault = ""  #: How its head contradicts itself; the body is read all the same.
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
        if [coding.strip() for coding in codings.split(",")].count("chunked") > 1:
            self.fault = "Transfer-Encoding names chunked twice"
        elif codings and length:
            self.fault = "it has a Transfer-Encoding and a Content-Length"
        if self._method == "HEAD" or status in (204, 304):
            self.framing = "none"
        elif codings:
            self.framing = "chunked" if codings.split(",")[-1].strip() == "chunked" else "close"
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
        while True:
            line = yield from self._read_line()
            if not line:
                return self.status
            header = HEADER.fullmatch(line)
            if not header:
                raise MalformedResponse(f"not a header: {line[:60]!r}")
            if len(self.headers) == MOST_HEADERS:
                raise MalformedResponse(f"more than {MOST_HEADERS} headers")
            value = header[2].strip(b" \t").decode("latin-1")
            self.headers.append((header[1].decode().lower(), value))

    def _read_line(self, start: bytes = b"") -> Generator[None, None, bytes]:
        """Read to the next line end and return the line without it.

        :param start: what the line must begin with.
        """
        while True:
            begun = min(len(start), len(self._held))
            if self._held[:begun] != start[:begun]:
                what = next(name for name, begin in OTHERS if begin.match(self._held))
                raise MalformedResponse(f"{what}: it begins with {bytes(self._held[:60])!r}")
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

    method: str = "GET"  #: Of the request.
    version: str = "1.1"  #: The version of HTTP: ``1.1`` or ``1.0``.
    headers: tuple[tuple[str, str], ...] = ()  #: More headers to send, or others.
    abort_after: int = 0  #: Leave after so many pieces; 0 is never.
    timeout: float = 30.0  #: The seconds that connecting, and then the exchange, may take.
    data: Optional[bytes] = None  #: The body of the request.
    insecure: bool = False  #: Accept any certificate.
    resolve: tuple[str, ...] = ()  #: ``host:port:address``: where to connect instead.
    unix_socket: str = ""  #: Connect to this path instead.
    proxy: str = ""  #: The address of a proxy, of http, to ask through.
    limit_rate: float = 0.0  #: Read no more bytes a second than these; 0 is all.
    pause: float = 0.0  #: Seconds without reading after the first bytes; they extend ``timeout``.


PLAIN = Options()


@dataclass
class Report:
    """What was seen of a response. Times are seconds since the request was sent."""

    asked: str  #: The method and the URL without its password, or the path and the app.
    verdict: str = ""  #: How the body came: ``streamed``, ``delayed`` ...
    proof: str = ""  #: The times that say so.
    ending: str = ""  #: How the response ended: ``complete``, ``cut short`` ...
    reason: str = ""  #: What says that it ended so.
    ok: bool = False  #: It is no error page, streamed and ended cleanly.
    http: str = ""  #: The version of HTTP of the answer.
    status: int = 0  #: The status code; 0 when no head came.
    framing: Optional[Framing] = None  #: What marks the end of the body.
    head: Optional[float] = None  #: When the head had come.
    first_byte: Optional[float] = None  #: When the first byte of the body came.
    last_byte: Optional[float] = None  #: When its last byte came.
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


@dataclass
class Flow:
    """What came between two silences."""

    silence: float  #: The seconds without a byte before it.
    begin: float  #: When its first byte came.
    last: float  #: When its last byte came.
    pieces: int = 0  #: How many pieces began in it.
    small: int = 0  #: The same, where what follows a large one at once belongs to it.
    times: int = 0  #: At how many times they began.
    size: int = 0  #: Its bytes.
    lines: int = 0  #: Its line ends.

    def apart(self, reads: bool) -> bool:
        """Tell whether most pieces came at times of their own, so that nothing holds them.

        :param reads: a piece is what one read gave: large ones may be parts of one.
        """
        return self.size < 1024 * self.times if reads else 2 * self.times > self.small

    def flowed(self, reads: bool) -> bool:
        """Tell whether it took its time: its pieces came apart, or for long."""
        lasted = self.last - self.begin
        if self.apart(reads) and (self.times >= MANY_TIMES or (self.times > 1 and lasted >= QUICK)):
            return True
        return self.pieces > 1 and lasted >= max(QUICK, self.silence / 4)

    def lump(self, reads: bool) -> bool:
        """Tell whether several pieces came together: held until then, or made so."""
        one = reads and self.last - self.begin < QUICK
        return not (one or self.apart(reads) or self.flowed(reads))


class Timeline:
    """When the pieces of a body came, in little memory however many they are.

    :param unit: what a piece is: ``chunk``, ``item``, or ``part``, which is what a read gave.
    :param events: it is made of server-sent events, and a blank line ends one.
    """

    def __init__(self, unit: str, events: bool = False) -> None:
        self.unit, self.reads, self.events = unit, unit == "part", events
        self.pieces = self.times = self.lines = self.flows = self.lumps = self.lumped = 0
        self.first = self.flow = Flow(0, 0, 0)
        self.silence = 0.0  #: The longest before a lump.
        self._even = self._cut = self._size = self._piece = 0
        self._tail = b""

    def add(self, at: float, data: bytes, pieces: int = 1) -> None:
        """Take bytes that came, and how many pieces begin with them."""
        gap = at - self.flow.last
        if not self.flows or (pieces and gap >= QUICK):
            self._end_flow()
            self.flow = Flow(gap, at, at)
            self.first = self.first if self.flows else self.flow
            self.flows += 1
        if not self.flow.times or (pieces and gap >= TOGETHER):
            if self.times > 1:  # the first one has a head before it
                self._even += self._size % 1000 == 0 or self._size % 1024 == 0
            self._cut += self.times > 0 and self._tail[-1:] != b"\n"
            self._size = 0
            self.times += 1
            self.flow.times += 1
        open_event = self.events and not self._tail.endswith((b"\n\n", b"\r\r", b"\r\n\r\n"))
        part = self._size and (self._piece >= LARGE or open_event)
        self.flow.small += pieces and not part
        self._piece = len(data) + (0 if pieces else self._piece)
        self._size += len(data)
        self._tail = (self._tail + data[-4:])[-4:]
        self.pieces += pieces
        self.lines += data.count(b"\n")
        self.flow.last = at
        self.flow.pieces += pieces
        self.flow.size += len(data)
        self.flow.lines += data.count(b"\n")

    def _end_flow(self) -> None:
        """Count a flow that is over; the first is looked at by itself."""
        if self.flows > 1 and self.flow.lump(self.reads):
            self.lumps += 1
            self.lumped += self.flow.pieces
            self.silence = max(self.silence, self.flow.silence)

    def judge(self, end: float, over: bool, text: bool = True) -> tuple[str, str]:
        """Return how the body came, and the times that say so. Call it once, after all bytes.

        :param end: when the response ended, or the waiting.
        :param over: it ended by itself.
        :param text: a line end in it is one.
        """
        if not self.pieces:
            return "no body", ""
        self._end_flow()
        first, last = self.first, self.flow
        came = f"{amount(self.pieces, self.unit)} at {amount(self.times, 'time')}"
        held = f"at once, after {last.silence:.1f} s of silence: held, or made so"
        together = f"{amount(last.pieces, self.unit)} {held}"
        rest = end - last.last
        over = over and rest < LONG  # it ended with its last piece
        if self.flows == 1:
            waited = first.silence >= LONG
            if first.flowed(self.reads):
                return "streamed", came
            if rest >= LONG and not (waited and self.pieces > 1):
                return "streamed", f"{came}, {rest:.1f} s before the end"
            if waited and (over or self.pieces > 1):
                return "buffered until the end" if over else "in lumps", together
            return "in one piece" if over and self.pieces == 1 else "at once", came
        if first.silence >= LONG and first.lump(self.reads) and 10 * first.pieces > 9 * self.pieces:
            return "in lumps", f"{first.pieces} of {came}: held, or made so"
        most = 2 * self.lumped > self.pieces - first.pieces
        if most and (self.silence >= LONG or 4 * self.lumped > self.pieces):
            if self.lumps == 1 and over and last.lump(self.reads):
                return "delayed", together
            return "in lumps", f"{came}, several at once after a silence: held, or made so"
        if over and last.silence >= LONG and not last.flowed(self.reads):
            if not self.reads and last.pieces > 1 + 2 * (self.pieces - last.pieces):
                return "delayed", together
            if self.flows == 2 and text and last.lines >= MANY_LINES:
                return "delayed", f"{last.lines} lines {held}"
        whole = 0 < self._even == self.times - 2 and 2 * self.flows > self.times
        if whole and text and self.lines and self._cut:
            return "in lumps", f"{came}, sized as a buffer and cut within lines: held, or made so"
        return "streamed", came


def inflate(wbits: int) -> Callable[[bytes], bytes]:
    """Return what decompresses as bytes come, so that a header alone counts for nothing.

    :param wbits: as :func:`zlib.decompressobj` takes it.
    """
    working = [zlib.decompressobj(wbits)]

    def decode(data: bytes) -> bytes:
        found = b""
        try:
            while data:
                part = working[0].decompress(data, 65536)
                found += part if len(found) < 1_000_000 else b""
                data = working[0].unconsumed_tail
                if working[0].eof:
                    data = working[0].unused_data
                    working[0] = zlib.decompressobj(wbits)
        except zlib.error:
            return data
        return found

    return decode


def keep_header() -> Callable[[bytes], bytes]:
    """Return what keeps back the first few bytes, where a compression tells what it is."""
    kept: list[bytes] = []

    def decode(data: bytes) -> bytes:
        if kept or len(data) > 32:
            data, kept[:] = b"".join(kept) + data, [b""]
            return data
        kept.append(data)
        return b""

    return decode


class Watch:
    """Follow one response.

    :param asked: what is asked for.
    :param options: how.
    :param show: called with a line of text for each piece.
    """

    def __init__(self, asked: str, options: Options, show: Callable[[str], object]) -> None:
        self.report = Report(f"{options.method} {asked}")
        self.options = options
        self.over = threading.Event()
        self.broken: Optional[BaseException] = None  #: What ``show`` raised.
        self.opening = b""  #: The first bytes of the body.
        self._show = show
        self._start = time.perf_counter()
        self._timeline: Optional[Timeline] = None
        self._decode: Callable[[bytes], bytes] = bytes
        self._begun = False  # a piece has, whose content has not come
        self._open = self._waiting = self._waiting_size = 0
        self.chunk = 0  #: The number of the last chunk that has begun.
        self._shown = 0.0
        self.show(self.report.asked)

    def show(self, line: str) -> None:
        """Show a line, and keep what that raises: it is no fault of the response."""
        try:
            self._show(line)
        except BaseException as error:
            self.broken = error
            raise

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
                self.report.headers[name] = without_password(", ".join(values))
        coding = self.report.headers.get("Content-Encoding", "identity").lower()
        wbits = {"gzip": 31, "x-gzip": 31, "deflate": 15}.get(coding)
        if coding != "identity":
            self._decode = inflate(wbits) if wbits else keep_header()
        self.show(f"{at:.3f} s  {status}")

    def data(self, at: float, data: bytes, *, begins: bool = True, whole: bool = True) -> None:
        """Take bytes of the body: when they came, whether a piece begins or ends with them.

        :raises KeyboardInterrupt: when it is time to leave.
        """
        report = self.report
        report.first_byte = at if report.first_byte is None else report.first_byte
        report.last_byte = at
        report.size += len(data)
        self.opening += data[: 512 - len(self.opening)]
        events = report.headers.get("Content-Type", "").startswith("text/event-stream")
        self._timeline = self._timeline or Timeline(report.unit, events)
        self._begun = self._begun or begins
        content = self._decode(data)
        if content:
            self._timeline.add(at, content, int(self._begun))
            self._begun = False
        self._open += len(data)
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

    def end(self, ending: str, reason: str, at: Optional[float] = None) -> None:
        """Take how the response ended, what says so, and when. Only the first end counts."""
        if not self.report.ending:
            self.report.ending, self.report.reason = ending, reason
            self.report.end = self.seconds() if at is None else at
            self.over.set()

    def finish(self) -> Report:
        """Return the report, with its verdict."""
        report, options = self.report, self.options
        self._show_waiting(report.last_byte or 0)
        if self._open:
            self.show(f"{report.end:.3f} s  {amount(self._open)} of the next {report.unit}")
        text = TEXT.match(report.headers.get("Content-Type", ""))
        left = report.ending in ("left as asked", "stopped at the time limit")
        timeline = self._timeline or Timeline(report.unit)
        if report.last_byte is not None and not timeline.pieces:  # nothing but such a header
            timeline.add(report.last_byte, b"")
        report.verdict, report.proof = timeline.judge(report.end, not left, bool(text))
        if timeline.pieces and (options.limit_rate or options.pause):
            report.verdict, report.proof = "read slowly", "the times are those of the reader"
        clean = report.ending in ("complete", "left as asked") and report.status < 300
        report.ok = clean and report.verdict in ("streamed", "read slowly")
        report.next = list(advise(report, options, self.opening))
        return report


#: Types whose line ends are lines.
TEXT = re.compile("text/|.*(?:json|xml|csv)|$")

BEHIND = "Ask the server behind each proxy, then the app itself with --app."
FRAMED = "The server frames the body: take Transfer-Encoding and Content-Length out of the app."

#: What to try next, by a part of the reason.
BY_REASON = {
    "^TLS": "These bytes are TLS: ask with https.",
    "^HTTP/2": "This tool speaks HTTP/1: ask another port, or look with curl --http2 -N.",
    "^Transfer-Enc|^it has a|after the end|than it said": FRAMED,
    "^SSLCert": "The certificate is not trusted here, or is another's: -k asks all the same.",
    "^SSL.*alert no application": "The server wants HTTP/2, and this tool speaks HTTP/1.",
    "^SSL.*alert": "The server refuses such TLS: look at its versions and client certificates.",
    "^SSL": "This port may speak no TLS: ask with http.",
    "^gaierror": "The name has no address: check it, or give an address with --resolve.",
    "CONNECT": "The proxy of -x refused: ask without it, or with its password.",
    "without a byte": "It may want https; otherwise read the server's log, for a worker that died.",
}

#: The same, by how the response ended.
BY_ENDING = {
    "no answer": "Look whether the server runs, at this port, and whether it is http or https.",
    "malformed": "Look what listens there, and whether the app sets headers of the framing.",
    "cut short": "Read the server's log: the app raised, a worker was ended, or a proxy gave up.",
    "ended by closing": "Nothing marks the end: let the body end with an end marker.",
    "stopped at the time limit": "Leave an endless stream with --abort-after 3, or give a slow"
    " one more with -m.",
    "the app raised": "The status has left: some servers cut here, and some end the response as"
    " if it were complete.",
}

#: The same, by the status of an error page.
BY_STATUS = {
    400: "The server refuses the request: compare it with what your client sends.",
    401: "It wants to know who asks: -u USER:PASSWORD, or a cookie or token with -H.",
    403: "It refuses you: send the cookie, the token or the headers of your client with -H.",
    404: "Nothing is at this address: check the path, and the prefix that a proxy adds.",
    407: "The proxy of -x wants to know who asks: -x http://USER:PASSWORD@HOST:PORT.",
    429: "You have asked too often: wait, and ask again.",
    502: "A proxy got no valid answer: look whether the server behind it runs, and ask that.",
    503: "It is too busy, or a proxy has no server to ask: ask again, then behind the proxy.",
    504: "A proxy gave up waiting: send a first piece earlier, or raise the proxy's time limit.",
}


def advise(seen: Report, options: Options, opening: bytes) -> Iterator[str]:
    """Yield what to try next.

    :param opening: the first bytes of the body.
    """
    unanswered = [text for part, text in BY_REASON.items() if re.search(part, seen.reason)]
    if unanswered and seen.ending in ("no answer", "malformed"):
        yield unanswered[0]
    elif seen.ending == "stopped at the time limit" and seen.first_byte is None:
        yield "Ask the server behind each proxy: one that collects sends no small endless stream."
        yield "Is that silent too? Other streams hold every worker, or the first chunk is slow."
    elif seen.ending == "the app raised" and seen.head is None:
        yield "Nothing was sent yet: a server can still answer with an error page."
    elif seen.ending in BY_ENDING:
        yield BY_ENDING[seen.ending]
    if seen.ending == "ended by closing" and options.version == "1.0":
        yield "Ask with HTTP/1.1, which can mark the end."
    if seen.ending == "malformed":
        return
    if 300 <= seen.status < 400 and "Location" in seen.headers:
        yield from advise_redirected(seen)
    elif seen.status == 400 and re.search(b"(?i)https|ssl|tls", opening):
        yield "It wants TLS: ask with https."
    elif seen.status == 405:
        yield f"It wants another method: -X, with one of {seen.headers.get('Allow', 'its own')}."
    elif seen.status >= 400:
        yield BY_STATUS.get(seen.status, "It is an error page: read the server's log.")
    elif options.method == "HEAD":
        yield "HEAD has no body to watch: ask without -I."
    elif seen.verdict == "no body" and 200 <= seen.status < 300 and seen.status != 204:
        yield "It is empty: some servers end so when the app raises early. Ask the app with --app."
    elif seen.verdict == "at once":
        yield "It was too quick to tell: ask for a stream that takes a second or more."
    elif seen.verdict not in ("streamed", "read slowly", "no body"):
        yield from advise_held(seen)


def advise_redirected(seen: Report) -> Iterator[str]:
    """Yield where a redirect leads."""
    target = urljoin(seen.asked.partition(" ")[2], seen.headers["Location"])
    if seen.unit == "item":
        yield f"It is a redirect: ask for {seen.headers['Location']}"
    elif re.match("https?://", target):
        yield f"It is a redirect: ask {target}"
    else:
        yield f"It is a redirect to {target}, which this tool cannot ask."


def advise_held(seen: Report) -> Iterator[str]:
    """Yield where to look for what held a response back, or made it so."""
    if seen.verdict == "in one piece":
        yield "It came as one: let the app yield smaller pieces."
    if "Content-Encoding" in seen.headers:
        yield "Compression may hold it: send this content type without."
    if "Content-Length" in seen.headers:
        yield "Its length was known: a view, a hook or a middleware made all of it first."
    if seen.headers.get("Server", "").startswith("nginx"):
        yield "nginx holds what it can: send X-Accel-Buffering: no, or set proxy_buffering off."
        yield "Where nginx uses uwsgi_pass, it is uwsgi_buffering off."
    if seen.unit == "item":
        yield "No server is involved: look at the view, then at hooks and middleware."
    else:
        yield BEHIND
        yield "If the app shows the same times, it made them so: let it yield earlier."


def without_password(text: str) -> str:
    """Return a text with an address in it without the user and password of that.

    >>> without_password("http://ada:secret@127.0.0.1/@home")
    'http://127.0.0.1/@home'
    """
    return re.sub("(//|^)[^/?#]*@", r"\1", text)


class Address(NamedTuple):
    """Where to ask, as a URL says it."""

    scheme: str  #: ``http`` or ``https``.
    host: str
    port: int
    authority: str  #: Host and port as a request names them.
    user: str  #: What stands before the host, as ``user:password``.


def read_url(url: str, schemes: Sequence[str] = ("http", "https")) -> Address:
    """Read where to ask.

    :raises ValueError: when the URL is none, with its password left out.
    """
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
        known = f"{schemes[-1].rstrip('s')}://127.0.0.1:5000/path"
        raise ValueError(f"{without_password(url)!r} is no URL such as {known}")
    user, _, authority = parts.netloc.rpartition("@")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    authority = authority.encode("idna").decode()
    return Address(parts.scheme, parts.hostname, port, authority, unquote(user))


def check(url: str, options: Options = PLAIN, show: Callable[[str], object] = str) -> Report:
    """Ask a server once and report how its answer comes.

    :param url: the address, of http or https. A redirect is not followed.
    :param options: how to ask.
    :param show: called with a line of text for each piece, as it comes. What it raises is raised.
    :raises ValueError: when the URL, or an option, is none.
    """
    address, path = read_url(url), origin_form(url)
    proxy = read_url(options.proxy, ["http"]) if options.proxy else None
    request = request_bytes(address, path, options)
    watch = Watch(f"{address.scheme}://{address.authority}{path}", options, show)
    try:
        with suppress(KeyboardInterrupt), connect(address, proxy, options) as connection:
            exchange(connection, request, watch)
    except OSError as error:
        if error is watch.broken:
            raise
        watch.end("no answer", f"{type(error).__name__}: {error}")
    watch.end("left as asked", "by Ctrl-C")
    report = watch.finish()
    report.next += advise_proxy(address, options)
    return report


def advise_proxy(address: Address, options: Options) -> Iterator[str]:
    """Yield that the environment names a proxy, which was not asked."""
    named = getproxies().get(address.scheme, "")
    local = re.fullmatch(r"localhost|127\..*|::1", address.host)
    if named and not (options.proxy or options.unix_socket or local or proxy_bypass(address.host)):
        yield f"The environment names a proxy, which was not asked: -x {without_password(named)}"


def origin_form(url: str) -> str:
    """Return the path and query of a URL as a request carries them, in ASCII.

    >>> origin_form("http://127.0.0.1/vols São Paulo?q=é&r=%C3%A9#top")
    '/vols%20S%C3%A3o%20Paulo?q=%C3%A9&r=%C3%A9'
    """
    parts = urlsplit(url)
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path, parts.query))
    return f"/{path.removeprefix('/')}" + (f"?{query}" if query else "")


def basic(user: str) -> str:
    """Return the value of a header that signs in with ``user:password`` (:rfc:`7617`)."""
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def request_bytes(address: Address, path: str, options: Options) -> bytes:
    """Return a request.

    :raises ValueError: when a method or a header would be more than one.
    """
    fields = {"Host": address.authority, "Accept": "*/*", "Connection": "close"}
    if address.user:
        fields["Authorization"] = basic(address.user)
    if options.data is not None:
        fields["Content-Type"] = FORM
        fields["Content-Length"] = str(len(options.data))
    if options.proxy and address.scheme == "http":
        proxy = read_url(options.proxy, ["http"])
        path = f"http://{address.authority}{path}"
        if proxy.user:
            fields["Proxy-Authorization"] = basic(proxy.user)
    given = {name.title() for name, _ in options.headers}
    sent = [(name, value) for name, value in fields.items() if name not in given]
    lines = [f"{name}: {value}" for name, value in [*sent, *options.headers]]
    for line in lines:
        if not HEADER.fullmatch(line.encode("utf-8", "surrogateescape")):
            raise ValueError(f"{line!r} is no header such as 'Name: value'")
    if not re.fullmatch("[!#$%&'*+.^_`|~0-9A-Za-z-]+", options.method):
        raise ValueError(f"{options.method!r} is no method such as POST")
    lines.insert(0, f"{options.method} {path} HTTP/{options.version}")
    text = "\r\n".join([*lines, "", ""])
    return text.encode("utf-8", "surrogateescape") + (options.data or b"")


def connect(address: Address, proxy: Optional[Address], options: Options) -> socket.socket:
    """Open a connection, in a thread: a resolver knows no time limit, nor do many addresses.

    :param proxy: where to connect instead.
    :raises OSError: when there is no connection.
    :raises ValueError: when this system has no Unix sockets.
    """
    opened: SimpleQueue[Union[socket.socket, Exception]] = SimpleQueue()
    if options.unix_socket and not hasattr(socket, "AF_UNIX"):
        raise ValueError("this system has no Unix sockets")

    def connect_in_thread() -> None:
        try:
            opened.put(open_connection(address, proxy, options))
        except Exception as error:
            opened.put(error)

    threading.Thread(target=connect_in_thread, daemon=True).start()
    try:
        found = opened.get(timeout=options.timeout)
    except Empty:
        found = TimeoutError(f"no connection within {options.timeout:g} s")
    if isinstance(found, Exception):
        raise found
    return found


def open_connection(address: Address, proxy: Optional[Address], options: Options) -> socket.socket:
    """Open a connection as the options say.

    :raises OSError: when there is none.
    """
    if options.unix_socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(options.timeout)
        connection.connect(options.unix_socket)
    else:
        host, port = (proxy or address).host, (proxy or address).port
        for entry in options.resolve:
            name, number, found = entry.split(":", 2)
            if (name.lower(), number) == (host, str(port)):
                host = found.strip("[]")
        connection = socket.create_connection((host, port), options.timeout)
    if options.limit_rate or options.pause:  # or the system reads in our place
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    if address.scheme == "http":
        return connection
    if proxy:
        tunnel(connection, f"{address.host}:{address.port}", proxy.user)
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if options.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=address.host)


def tunnel(connection: socket.socket, authority: str, user: str) -> None:
    """Let a proxy connect to a server.

    :raises OSError: when it does not.
    """
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"Proxy-Authorization: {basic(user)}"] if user else []
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = Response("HEAD")
    while not answer.complete:
        data = connection.recv(1024)
        if not data:
            raise OSError("the proxy closed the connection at CONNECT")
        answer.feed(data)
    if answer.status != 200:
        raise OSError(f"the proxy answers CONNECT with {answer.status}")


def exchange(connection: socket.socket, request: bytes, watch: Watch) -> None:
    """Send a request and read its response."""
    options = watch.options
    response, limit, came, at = Response(options.method), options.timeout, 0, 0.0
    closed = fault = ""
    watch.start()
    with suppress(OSError):  # it may answer without having read all; what is wrong, reading tells
        connection.sendall(request)
    while not (response.excess or fault):
        try:
            data = receive(connection, limit - watch.seconds(), options)
        except TIMEOUTS:
            closed = "is still open"
            break
        except OSError:
            data, closed = b"", "was reset"
        if not data:
            closed = closed or "closed"
            break
        came, at = came + len(data), watch.seconds()
        try:
            response.feed(data)
        except MalformedResponse as error:
            fault = str(error)
        take(response, at, watch)
        if options.pause and watch.report.first_byte == at:
            time.sleep(options.pause)
            limit += options.pause
        if response.complete:
            limit = min(limit, at + LINGER)
    if fault or (response.fault and response.complete):
        watch.end("malformed", fault or response.fault, at)
    if closed == "is still open" and not response.complete:
        watch.end("stopped at the time limit", f"no end within {options.timeout:g} s")
    if not response.complete:
        at = watch.seconds()
    if closed == "closed":
        response.end()
    watch.end(*ending_of(response, options, closed if came else ""), at)


def ending_of(response: Response, options: Options, closed: str) -> tuple[str, str]:
    """Return how a response ended, and what says so.

    :param closed: how the connection ended; empty when not a byte had come before that.
    """
    _, complete, where = FRAMINGS[response.framing or ""]
    if not closed and not response.complete:
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


def receive(connection: socket.socket, left: float, options: Options) -> bytes:
    """Wait for bytes and return them, or nothing when the connection has closed.

    :param left: the seconds that this may take.
    :raises OSError: one of :data:`TIMEOUTS` when it takes longer.
    """
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    most = min(64 * 1024, int(options.limit_rate / 10) + 1) if options.limit_rate else 64 * 1024
    data = connection.recv(most)
    if options.limit_rate:
        time.sleep(len(data) / options.limit_rate)
    return data


def take(response: Response, at: float, watch: Watch) -> None:
    """Let the watch see what has come of a response."""
    chunked = response.framing == "chunked"
    if response.framing and watch.report.head is None:
        watch.report.unit = "chunk" if chunked else "part"
        watch.report.http, watch.report.framing = response.version, response.framing
        words = f"{response.status} over HTTP/{response.version}, {FRAMINGS[response.framing][0]}"
        watch.head(at, words, response.headers)
    for part in response.parts:
        begins = not chunked or part.chunk > watch.chunk
        watch.chunk = part.chunk
        whole = not chunked or part.chunk <= response.whole
        watch.data(at, part.data, begins=begins, whole=whole)


def load_app(name: str) -> Callable[..., Iterable[bytes]]:
    """Import an app by a name such as ``module:app`` or ``module:create_app()``.

    The current folder is searched too.

    :raises ValueError: when that is no app.
    """
    module, _, attribute = name.partition(":")
    attribute, called, values = attribute.partition("(")
    sys.path.insert(0, str(Path.cwd()))
    try:
        app: Any = attrgetter(attribute)(import_module(module))
        if called:
            app = app(*ast.literal_eval(f"[{values.rstrip()[:-1]}]"))
    except Exception as error:
        raise ValueError(f"cannot import {name!r}: {type(error).__name__}: {error}") from error
    if not callable(app):
        raise ValueError(f"{name!r} is no app, and cannot be called")
    found: Callable[..., Iterable[bytes]] = app
    return found


def check_app(
    name: str, path: str = "/", options: Options = PLAIN, show: Callable[[str], object] = str
) -> Report:
    """Call a WSGI app (:pep:`3333`) without a server and report how its items come.

    It runs in a thread, so that it cannot hang the caller.

    :param name: such as ``module:app``.
    :param path: what to ask for, with its query.
    :param options: how to ask.
    :param show: called with a line of text for each item, as it comes. What it raises is raised.
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
    if watch.broken:
        raise watch.broken
    return watch.finish()


def environ_of(path: str, options: Options) -> dict[str, Any]:
    """Return what a server hands to an app for a request."""
    environ: dict[str, Any] = {"REQUEST_METHOD": options.method}
    environ["SERVER_PROTOCOL"] = f"HTTP/{options.version}"
    environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
    environ["PATH_INFO"] = unquote(environ["PATH_INFO"], "latin-1")
    environ["wsgi.input"] = io.BytesIO(options.data or b"")
    if options.data is not None:
        environ["CONTENT_TYPE"] = FORM
        environ["CONTENT_LENGTH"] = str(len(options.data))
    for name, value in options.headers:
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    setup_testing_defaults(environ)
    return environ


def call_app(app: Callable[..., Iterable[bytes]], path: str, watch: Watch) -> None:
    """Call an app as a server does, and let a watch see what it gives."""
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
        if item and watch.options.method != "HEAD":
            watch.data(at, item)

    try:
        items = app(environ_of(path, watch.options), start_response)
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
    found = HEADER.fullmatch(text.encode("utf-8", "surrogateescape"))
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no header such as 'Name: value'")
    return found[1].decode(), found[2].decode("utf-8", "surrogateescape").strip(" \t")


def read_seconds(text: str) -> float:
    """Return a number of seconds.

    :raises argparse.ArgumentTypeError: when it is none that can be waited.
    """
    with suppress(ValueError):
        if 0 < float(text) < 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def read_rate(text: str) -> float:
    """Return bytes a second, which may be given as ``10k`` or ``1M``.

    :raises argparse.ArgumentTypeError: when it is no such number.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)([kKmMgG]?)", text)
    rate = float(found[1]) * 1024 ** " kmg".index(found[2].lower() or " ") if found else 0.0
    if not rate:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes a second such as 10k")
    return rate


def read_resolve(text: str) -> str:
    """Return where to connect instead, as ``host:port:address``.

    :raises argparse.ArgumentTypeError: when it is no such thing.
    """
    if not re.fullmatch(r"[^:]+:[0-9]+:[^,]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT:ADDRESS")
    return text


def read_data(values: Sequence[str]) -> bytes:
    """Return the body of a request: the texts, or the files named after ``@``, joined by ``&``.

    :raises ValueError: when a file cannot be read.
    """
    parts = []
    for value in values:
        try:
            part = Path(value[1:]).read_bytes() if value.startswith("@") else value.encode()
        except OSError as error:
            raise ValueError(f"cannot read the file of -d: {error}") from error
        parts.append(re.sub(b"[\r\n\0]", b"", part) if value.startswith("@") else part)
    return b"&".join(parts)


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
    if seen.proof:
        yield f"times:   {seen.proof}"
    yield from (f"header:  {name}: {value}" for name, value in seen.headers.items())
    yield from (f"next:    {advice}" for advice in seen.next)


def command_line() -> argparse.ArgumentParser:
    """Return what reads the command line. Where curl has an option, it has the same name."""
    parser = argparse.ArgumentParser(
        prog="stream_check",
        description="Tell whether a response streams.",
        epilog="Exit status: 0 when it streamed and ended cleanly, 1 when not, 2 when it could"
        " not ask or print.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("url", help="an address of http or https; with --app, a path")
    add("--app", metavar="MODULE:APP", help="call this WSGI app, or MODULE:create_app()")
    add("--abort-after", type=int, default=0, metavar="N", help="leave after N chunks")
    add("--pause", type=read_seconds, default=0.0, metavar="SECONDS", help="stop reading so long")
    add("--report-json", action="store_true", help="print one JSON object and nothing else")
    add("-X", "--request", metavar="METHOD", help="ask with this method")
    add("-I", "--head", action="store_true", help="ask with HEAD")
    add("-0", "--http1.0", action="store_true", dest="old", help="ask with HTTP/1.0")
    add("--http2", "--http3", action="store_true", help="is refused: it speaks HTTP/1")
    add("-H", "--header", type=read_header, action="append", default=[], help="'Name: value'")
    add("-d", "--data", action="append", metavar="DATA", help="send it with POST; @FILE is a file")
    add("-u", "--user", metavar="USER:PASSWORD", help="sign in")
    add("--compressed", action="store_true", help="accept gzip, as browsers do")
    add("-m", "--max-time", type=read_seconds, default=30.0, metavar="SECONDS", help="30 if unset")
    add("--limit-rate", type=read_rate, default=0.0, metavar="BYTES", help="read so many a second")
    add("-k", "--insecure", action="store_true", help="accept any certificate")
    add("--resolve", type=read_resolve, action="append", default=[], metavar="HOST:PORT:ADDRESS")
    add("--unix-socket", default="", metavar="PATH", help="connect to this socket")
    add("-x", "--proxy", default="", metavar="URL", help="ask through this proxy")
    return parser


def options_of(given: argparse.Namespace) -> Options:
    """Return how the command line says to ask.

    :raises ValueError: when it cannot be done.
    """
    if given.http2:
        raise ValueError("it speaks HTTP/1 alone: look at HTTP/2 and 3 with curl -N")
    network = [given.insecure, given.resolve, given.unix_socket, given.proxy]
    if given.app and any([*network, given.limit_rate, given.pause]):
        raise ValueError("with --app there is no connection to set")
    data = read_data(given.data) if given.data else None
    method = "HEAD" if given.head else "GET" if data is None else "POST"
    headers = [*given.header, *[("Accept-Encoding", "gzip")] * given.compressed]
    if given.user:
        headers.append(("Authorization", basic(given.user)))
    return Options(
        given.request or method,
        "1.0" if given.old else "1.1",
        tuple(headers),
        given.abort_after,
        given.max_time,
        data,
        given.insecure,
        tuple(given.resolve),
        given.unix_socket,
        given.proxy,
        given.limit_rate,
        given.pause,
    )


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Check what the command line says.

    :returns: 0 when it streamed and ended cleanly; 2 when what it prints cannot be written;
        otherwise 1.
    :raises SystemExit: with 2 when the command line cannot be read.
    """
    parser = command_line()
    given = parser.parse_args(arguments)
    show = str if given.report_json else say
    try:
        options = options_of(given)
        if given.app:
            report = check_app(given.app, given.url, options, show)
        else:
            report = check(given.url, options, show)
        lines = json.dumps(asdict(report), indent=2).splitlines()
        for line in lines if given.report_json else conclude(report):
            say(line)
    except ValueError as error:
        parser.error(str(error))
    except (OSError, KeyboardInterrupt) as error:  # nobody reads what this prints any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, (BrokenPipeError, KeyboardInterrupt)):
            return 1
        print(f"stream_check: error: cannot print: {error}", file=sys.stderr)
        return 2
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
