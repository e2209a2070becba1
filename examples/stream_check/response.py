"""Read a response to an HTTP/1 request from its bytes, as they arrive."""

import re
from collections.abc import Generator
from typing import Literal, NamedTuple, Optional

#: What marks the end of a body (:rfc:`9112#section-6.3`): a chunk of length zero, a
#: Content-Length, the end of the connection; or there is no body.
Framing = Literal["chunked", "length", "close", "none"]

#: The longest line of a head or of a chunked body that is read, in bytes.
LONGEST_LINE = 16 * 1024

#: The most headers that are read.
MOST_HEADERS = 200

STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) ([1-9]\d\d)(?: .*)?")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\0]*)")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?")

#: What else may come: an alert, a frame that sets a connection up or refuses it, anything.
OTHERS = [
    ("TLS, not HTTP", re.compile(b"\x15\x03")),
    ("HTTP/2, not HTTP/1", re.compile(b"\0..[\x04\x07].\0{4}", re.DOTALL)),
    ("not HTTP", re.compile(b"")),
]


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
