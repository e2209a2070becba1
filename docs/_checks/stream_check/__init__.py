"""What ``stream_check`` is tried on: each fault that it must see, beside its opposite.

The faults are reports from the field. A case is a row: what comes, what the tool is to say of it,
and how to ask. In each list of cases every second one is the opposite of the one before it.
Times are seconds; most cases hand bytes with their times to the tool, and take no time at all.
"""

import errno
import io
import os
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, NamedTuple
from unittest.mock import patch

from examples.stream_check.client import check, exchange
from examples.stream_check.command import main
from examples.stream_check.report import Report
from examples.stream_check.request import FORM, PLAIN, Options
from examples.stream_check.watch import Watch
from examples.stream_check.wsgi import check_app

#: A certificate for ``localhost`` that nobody trusts, and its key, which everybody may know.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7AqcLl6Ts8qg1UHK
za513GcyknIkIX1q6lihtwS5GWChRANCAASjMTaTQCe7WIrKvARw76WMEwNXCTrk
1gagcfnPEjN4beKHbIjfxJR0o7fbLxDntygPGdo/FoD2N/vgPvgjkk5L
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUW26hpGh9hRu6kMxFMZOpLYzZ82IwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzE5MDczNloYDzIxMjYxMTAz
MTkwNzM2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASjMTaTQCe7WIrKvARw76WMEwNXCTrk1gagcfnPEjN4beKHbIjfxJR0
o7fbLxDntygPGdo/FoD2N/vgPvgjkk5Lo2kwZzAdBgNVHQ4EFgQU1iE58sHwQoIi
d55UxgFn1XSgQJowHwYDVR0jBBgwFoAU1iE58sHwQoIid55UxgFn1XSgQJowDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhAKwthsGh4Y0ofyyvhqVHKGBfDL3KMcAERU9gGjMuEzOqAiEAxlGONeSC
EVjiBVtUGN5LPZ9wrceUTTNkTkxe3kYMc4Q=
-----END CERTIFICATE-----
"""


class Case(NamedTuple):
    """One case.

    :param what: what comes, or what is asked.
    :param expected: what the tool has to say.
    :param find: returns what it says.
    """

    what: str
    expected: str
    find: Callable[[], str]


#: What comes: at each time, in seconds, some bytes.
Arrivals = list[tuple[float, bytes]]

ROW = b"UA 1545\n"


def rows(count: int, start: float = 0.0, step: float = 0.0, data: bytes = ROW) -> Arrivals:
    """Return pieces that come one after the other."""
    return [(start + number * step, data) for number in range(count)]


def timeline(
    what: str,
    expected: str,
    *arrivals: Arrivals,
    unit: str = "chunk",
    rest: float = 0.0,
    coding: str = "",
    kind: str = "text/csv",
    server: str = "",
    part: Callable[[Report], str] = lambda report: report.verdict,
) -> Case:
    """Return a case of pieces that come at given times.

    :param arrivals: all that comes.
    :param unit: what the pieces are.
    :param rest: the seconds from the last of them to the end.
    :param coding: the ``Content-Encoding``.
    :param kind: the ``Content-Type``.
    :param server: the ``Server``.
    :param part: what of the report is looked at.
    """

    def find() -> str:
        watch = Watch("a stream", PLAIN, str)
        watch.report.unit = unit
        headers = {"Content-Type": kind, "Content-Encoding": coding, "Server": server}
        watch.head(0, "200 OK", [header for header in headers.items() if header[1]])
        moments = [moment for each in arrivals for moment in each]
        for at, data in moments:
            watch.data(at, data)
        watch.end("complete", "", moments[-1][0] + rest)
        return part(watch.finish())

    return Case(what, expected, find)


def zipped(wbits: int, flushed: bool) -> Arrivals:
    """Return five rows, compressed, as they come: each at once, or a header and then the rest."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    header = {31: 10, 15: 2}[wbits]
    if flushed:
        pieces = [packer.compress(ROW) + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(5)]
        return [*zip([0.0, 0.5, 1.0, 1.5, 2.0], pieces, strict=True), (2.0, packer.flush())]
    data = b"".join([packer.compress(ROW * 40), packer.flush()])
    return [(0.0, data[:header]), (3.0, data[header:])]


LARGE_HEAD = [
    timeline(
        "a large head, ten rows at the end", "delayed", rows(1, 0, 0, b"h" * 16000), rows(10, 4)
    ),
    timeline(
        "a large head, a row now and then",
        "streamed",
        rows(1, 0, 0, b"h" * 16000),
        rows(10, 0.4, 0.4),
    ),
    timeline("a head of 100 pieces, the rows at the end", "delayed", rows(100, 0.05), rows(30, 3)),
    timeline(
        "a head of 100 pieces, the rows apart", "streamed", rows(100, 0.05), rows(30, 0.3, 0.1)
    ),
    timeline(
        "two blocks, 160 blocks at the end",
        "delayed",
        rows(2, 0, 0, b"\0" * 65536),
        rows(160, 2, 0.0001, b"\0" * 65536),
    ),
    timeline("162 blocks apart", "streamed", rows(162, 0, 0.02, b"\0" * 65536)),
    timeline(
        "a head through nginx, ten rows in one chunk",
        "delayed",
        [(0.004, b"h" * 8059), (0.004, b"h" * 4096), (4.0, b"h" * 3845 + ROW * 10)],
    ),
    timeline(
        "the same, and one row",
        "streamed",
        [(0.004, b"h" * 8059), (0.004, b"h" * 4096), (4.0, ROW)],
    ),
    timeline(
        "a head, ten rows in one read",
        "delayed",
        [(0.0, b"h" * 16000), (4.0, ROW * 10)],
        unit="part",
    ),
    timeline(
        "a head, ten rows in ten reads",
        "streamed",
        [(0.0, b"h" * 16000)],
        rows(10, 0.4, 0.4),
        unit="part",
    ),
]

COMPRESSED = [
    timeline("a gzip header, then all", "buffered until the end", zipped(31, False), coding="gzip"),
    timeline("gzip, flushed at each row", "streamed", zipped(31, True), coding="gzip"),
    timeline(
        "a deflate header, then all", "buffered until the end", zipped(15, False), coding="deflate"
    ),
    timeline("deflate, flushed at each row", "streamed", zipped(15, True), coding="deflate"),
    timeline(
        "a zstd header, then all",
        "buffered until the end",
        [(0.0, b"\x28\xb5\x2f\xfd\0\x58"), (2.0, b"z" * 90)],
        coding="zstd",
    ),
    timeline(
        "zstd, flushed at each row", "streamed", rows(5, 0, 0.5, b"zstd block"), coding="zstd"
    ),
    timeline(
        "a Brotli header, then all",
        "buffered until the end",
        [(0.0, b"\x1b"), (2.0, b"b" * 90)],
        coding="br",
    ),
    timeline("Brotli, flushed at each row", "streamed", rows(5, 0, 0.5, b"br block"), coding="br"),
    timeline(
        "a Brotli header, and no more", "in one piece", [(0.0, b"\x1b")], coding="br", rest=0.05
    ),
    timeline(
        "a gzip header twice, two streams apart",
        "streamed",
        [(at + late, data) for late in (0.0, 2.5) for at, data in zipped(31, True)],
        coding="gzip",
    ),
]

NGINX = [(0.433, 3964), *((0.81 + 0.37 * number, 4096) for number in range(7)), (3.299, 3254)]
TEXT = b"0,UA 1545,2013-01-01,EWR,IAH,517,830,2,11,1400,227,N14228\n" * 1000

LUMPS = [
    timeline(
        "rows through nginx, as recorded", "in lumps", [(at, TEXT[:size]) for at, size in NGINX]
    ),
    timeline(
        "blocks that end with a line", "streamed", [(at, ROW * (size // 8)) for at, size in NGINX]
    ),
    timeline(
        "the same through nginx, read until it closes",
        "in lumps",
        [(at, TEXT[:size]) for at, size in NGINX],
        unit="part",
    ),
    timeline("rows read until it closes", "streamed", rows(60, 0.4, 0.05), unit="part"),
    timeline("buffers of 8000 bytes", "in lumps", rows(4, 0.5, 0.5, TEXT[:8000])),
    timeline("pieces of 7999 bytes", "streamed", rows(4, 0.5, 0.5, TEXT[:7999])),
    timeline(
        "HAProxy: two ticks, two ticks, one",
        "in lumps",
        rows(2, 0.21),
        rows(2, 0.615),
        rows(1, 0.81),
    ),
    timeline("five ticks", "streamed", rows(5, 0.01, 0.2)),
    timeline("five rows each second", "in lumps", *(rows(5, second) for second in range(5))),
    timeline("a row five times a second", "streamed", rows(25, 0.0, 0.2)),
    timeline(
        "two events each second",
        "in lumps",
        *(rows(2, second, 0, b"data: 1\n\n") for second in range(5)),
        kind="text/event-stream",
    ),
    timeline(
        "an event each second, in two pieces",
        "streamed",
        *(
            [(second, b"event: tick\n"), (second, b"data: 1\r\n\r\n")]
            for second in (0.0, 1.0, 2.0, 3.0)
        ),
        kind="text/event-stream",
    ),
    timeline("a lump of 500 rows, and one more", "in lumps", rows(500, 4), rows(1, 4.3)),
    timeline("500 rows apart, and one more", "streamed", rows(500, 4, 0.004), rows(1, 6.3)),
    timeline(
        "a piece of 16 KiB in buffers of 8 KiB",
        "streamed",
        *(rows(2, at, 0, b"t" * 8192) for at in (0.0, 0.7, 1.4)),
    ),
    timeline(
        "the same, two pieces of 100 bytes",
        "in lumps",
        *(rows(2, at, 0, b"t" * 100) for at in (0.0, 0.7, 1.4)),
    ),
]

SLOW_QUERY = [
    timeline("four seconds, 40 rows at 40 times", "streamed", rows(40, 4, 0.009)),
    timeline("four seconds, 40 rows at once", "buffered until the end", rows(40, 4)),
    timeline("two seconds, 12 rows within 60 ms", "streamed", rows(12, 2, 0.005)),
    timeline("two seconds, 12 rows within 1 ms", "buffered until the end", rows(12, 2, 0.0001)),
    timeline("four seconds, two rows apart", "streamed", rows(2, 4, 0.3)),
    timeline("four seconds, two rows together", "buffered until the end", rows(2, 4)),
    timeline("three seconds, rows for a second without a gap", "streamed", rows(1000, 3, 0.001)),
    timeline(
        "three seconds, rows for 0.2 s without a gap",
        "buffered until the end",
        rows(1000, 3, 0.0002),
    ),
    timeline("a second, rows until it closes", "streamed", rows(60, 1, 0.01), unit="part"),
    timeline(
        "a second, a file until it closes",
        "buffered until the end",
        rows(60, 1, 0.0001, b"f" * 65536),
        unit="part",
    ),
    timeline("two seconds, items apart", "streamed", rows(20, 2, 0.01), unit="item"),
    timeline("two seconds, items together", "buffered until the end", rows(20, 2), unit="item"),
    timeline(
        "a megabyte a second, from the start", "streamed", rows(64, 0.01, 0.016, b"f" * 16384)
    ),
    timeline("a megabyte in one chunk", "in one piece", rows(1, 0.01, 0, b"f" * 1_000_000)),
    timeline("six pieces in a hurry", "at once", rows(6, 0.01, 0.004)),
    timeline("a piece, and the end two seconds later", "streamed", rows(1, 0.01), rest=2),
]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def answered(wire: bytes, options: Options = PLAIN, *, closes: bool = True) -> Report:
    """Return what is reported of a server that sends some bytes.

    :param closes: whether it closes the connection then.
    """
    watch = Watch("http://127.0.0.1/dir/page", options, str)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire)
        if closes:
            theirs.shutdown(socket.SHUT_WR)
        exchange(ours, b"GET", watch)
    return watch.finish()


def wire(what: str, expected: str, sent: bytes, options: Options = PLAIN) -> Case:
    """Return a case of bytes that a server sends: how the response ends."""
    return Case(what, expected, lambda: answered(sent, options).ending)


TWICE = [
    wire(
        "chunked twice in a header",
        "malformed",
        OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS,
    ),
    wire("chunked once", "complete", OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS),
    wire(
        "chunked in two headers",
        "malformed",
        OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + CHUNKS,
    ),
    wire(
        "gzip and chunked in two headers",
        "complete",
        OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    ),
    wire(
        "chunked beside a length",
        "malformed",
        OK + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    ),
    wire("a length", "complete", OK + b"Content-Length: 6\r\n\r\nonetwo"),
    wire(
        "CHUNKED , Chunked",
        "malformed",
        OK + b"Transfer-Encoding: CHUNKED , Chunked\r\n\r\n" + CHUNKS,
    ),
    wire("CHUNKED", "complete", OK + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKS),
]


class Seen(NamedTuple):
    """What a server saw of a request."""

    head: str
    body: bytes


@cache
def certified() -> ssl.SSLContext:
    """Return what a server of TLS needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "certificate.pem"
        file.write_text(CERTIFICATE)
        context.load_cert_chain(file)
    return context


@contextmanager
def serving(answer: bytes, seen: list[Seen], path: str = "", *, tls: bool = False) -> Iterator[str]:
    """Run a server that answers each request with the same bytes, and yield its port.

    :param seen: takes what was asked.
    :param path: of a Unix socket; without it the server listens on 127.0.0.1.
    :param tls: it speaks TLS.
    """
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(path or ("127.0.0.1", 0))
    listener.listen()

    def serve() -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    if tls:
                        connection = certified().wrap_socket(connection, server_side=True)
                    take(connection)

    def take(connection: socket.socket) -> None:
        with connection:
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            seen.append(Seen(head.decode("latin-1"), body))
            if head.startswith(b"CONNECT") and b"Authorization" not in head:
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                take(certified().wrap_socket(connection, server_side=True))
            else:
                connection.sendall(answer)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield path or str(listener.getsockname()[1])
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def hint(what: str, expected: str, sent: bytes, options: Options = PLAIN) -> Case:
    """Return a case of bytes that a server sends: whether a hint has some words.

    :param expected: the words, or ``without ...`` for words that no hint has.
    """
    words = expected.removeprefix("without ")

    def find() -> str:
        said = " ".join(answered(sent, options).next)
        return words if words in said else f"without {words}"

    return Case(what, expected, find)


def page(status: str, body: bytes = b"page", **headers: str) -> bytes:
    """Return an answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def silent(what: str, expected: str, sent: bytes) -> Case:
    """Return a case of a server that sends some bytes and then none."""
    words = expected.removeprefix("without ")

    def find() -> str:
        said = " ".join(answered(sent, Options(timeout=0.02), closes=False).next)
        return words if words in said else f"without {words}"

    return Case(what, expected, find)


def uwsgi(seen: Report) -> str:
    """Tell whether a hint has nginx's setting for uwsgi_pass."""
    return "uwsgi_buffering" if "uwsgi_buffering" in " ".join(seen.next) else "no such hint"


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BEHIND = "behind each proxy: one that collects"
PLAIN_TO_TLS = b"<h1>400 Bad Request</h1> The plain HTTP request was sent to HTTPS port"

HINTS = [
    silent("an endless stream behind nginx", BEHIND, b""),
    silent("an endless stream that comes", f"without {BEHIND}", CHUNKED + CHUNKS[:8]),
    silent("a head, and no body", BEHIND, CHUNKED),
    silent("a head and a byte", f"without {BEHIND}", CHUNKED + b"3\r\no"),
    timeline("held behind nginx", "uwsgi_buffering", rows(4, 2), server="nginx/1.29", part=uwsgi),
    timeline("held behind Apache", "no such hint", rows(4, 2), server="Apache", part=uwsgi),
    hint("401", "-u USER:PASSWORD", page("401 Unauthorized")),
    hint("407", "without -u USER:PASSWORD", page("407 Proxy Authentication Required")),
    hint("403", "refuses you", page("403 Forbidden")),
    hint("404", "without refuses you", page("404 Not Found")),
    hint("405", "-X, with one of GET, PUT", page("405 Method Not Allowed", Allow="GET, PUT")),
    hint("500", "without -X, with one of", page("500 Internal Server Error")),
    hint("429", "too often", page("429 Too Many Requests")),
    hint("418", "without too often", page("418 I'm a teapot")),
    hint("502", "no valid answer", page("502 Bad Gateway")),
    hint("504", "without no valid answer", page("504 Gateway Timeout")),
    hint("504", "gave up waiting", page("504 Gateway Timeout")),
    hint("503", "without gave up waiting", page("503 Service Unavailable")),
    hint(
        "a plain request to nginx's TLS port",
        "ask with https",
        page("400 Bad Request", PLAIN_TO_TLS),
    ),
    hint(
        "a bad request", "without ask with https", page("400 Bad Request", b"<h1>Bad Request</h1>")
    ),
    hint("an alert of TLS", "ask with https", b"\x15\x03\x03\0\x02\x02\x50"),
    hint("bytes of SSH", "without ask with https", b"SSH-2.0-OpenSSH_9.2\r\n"),
    hint("HTTP/2 sets up", "speaks HTTP/1", b"\0\0\x12\x04\0\0\0\0\0" + b"\0" * 18),
    hint("HTTP/1.1", "without speaks HTTP/1", page("200 OK")),
    hint("HTTP/2 goes away", "speaks HTTP/1", b"\0\0\x08\x07\0\0\0\0\0" + b"\0" * 8),
    hint("zeros", "without speaks HTTP/1", b"\0" * 40),
    hint("an empty 200", "It is empty", page("200 OK", b"")),
    hint("204", "without It is empty", b"HTTP/1.1 204 No Content\r\n\r\n"),
    hint("an empty chunked 200", "It is empty", CHUNKED + b"0\r\n\r\n"),
    hint("a page", "without It is empty", page("200 OK")),
    hint(
        "a redirect to a path", "ask http://127.0.0.1/ticks", page("302 Found", Location="/ticks")
    ),
    hint("a redirect to FTP", "without ask http", page("302 Found", Location="ftp://127.0.0.1/")),
    hint(
        "a redirect to a neighbour",
        "ask http://127.0.0.1/dir/a",
        page("308 Permanent", Location="a"),
    ),
    hint("a redirect without a target", "without ask http", page("304 Not Modified", b"")),
    hint(
        "a redirect with a password",
        "without secret",
        page("302 Found", Location="//ada:secret@a/"),
    ),
    hint("a redirect to /@secret", "secret", page("302 Found", Location="/@secret")),
]


def raised(what: str, expected: str, call: Callable[[], object]) -> Case:
    """Return a case of a call: what it raises, or returns."""

    def find() -> str:
        try:
            said = str(call())
        except (OSError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
        return expected if said.startswith(expected) else said

    return Case(what, expected, find)


def asked(
    what: str,
    expected: str,
    *arguments: str,
    answer: bytes = page("200 OK"),
    unix: bool = False,
    tls: bool = False,
    environment: Mapping[str, str] = {},
) -> Case:
    """Return a case of a command line: what is printed, sent and returned has some words.

    :param expected: the words, or ``without ...`` for words that are not there.
    :param arguments: of the command; ``PORT`` and ``SOCKET`` in them are those of the server.
    :param answer: what the server sends.
    """
    words = expected.removeprefix("without ")

    def find() -> str:
        seen: list[Seen] = []
        printed = io.StringIO()
        with TemporaryDirectory() as folder:
            path = f"{folder}/socket" if unix else ""
            with (
                serving(answer, seen, path, tls=tls) as port,
                redirect_stdout(printed),
                redirect_stderr(printed),
                patch.dict(os.environ, environment),
            ):
                line = [each.replace("PORT", port).replace("SOCKET", port) for each in arguments]
                try:
                    status: object = main(line)
                except SystemExit as left:
                    status = left.code
        said = f"{printed.getvalue()}\n{seen}\nexit {status}"
        return words if words in said else f"without {words}"

    return Case(what, expected, find)


URL = "http://127.0.0.1:PORT/"
LOCAL = "https://localhost:PORT/"
AWAY = "http://away.example:PORT/"
HERE = "away.example:PORT:127.0.0.1"
KNOWN = "http://ada:secret@127.0.0.1:PORT"
PROXY = {"http_proxy": "http://ada:secret@127.0.0.1:9", "no_proxy": "no.example"}
SLOW = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + b"x" * 300

SECRETS = [
    asked("a password in the URL", "without secret", "http://ada:secret@127.0.0.1:PORT/"),
    asked("that password is sent", "Basic YWRhOnNlY3JldA==", "http://ada:secret@127.0.0.1:PORT/"),
    asked("a password in a wrong URL", "without secret", "ftp://ada:secret@127.0.0.1:PORT/"),
    asked("-u sends it", "Basic YWRhOnNlY3JldA==", URL, "-u", "ada:secret"),
    asked("a password in a URL without a scheme", "without secret", "ada:secret@127.0.0.1"),
    asked("an @ in the path", "/@secret", URL + "@secret"),
    asked(
        "a password of the environment's proxy",
        "without secret",
        AWAY,
        "-m",
        "0.1",
        environment=PROXY,
    ),
    asked("no password", "without Authorization", URL),
    asked("CR LF in a header", "without exit 1", URL, "-H", "A: b\r\nX: y"),
    asked("a header", "A: b", URL, "-H", "A: b"),
    raised(
        "CR LF in a header of a program",
        "ValueError: 'A: b\\r\\nX: y' is no header",
        lambda: check("http://127.0.0.1/", Options(headers=(("A", "b\r\nX: y"),))),
    ),
    raised(
        "CR LF in a method of a program",
        "ValueError: 'GET\\r\\nX: y' is no method",
        lambda: check("http://127.0.0.1/", Options(method="GET\r\nX: y")),
    ),
    asked("a line feed at the end of a header", "exit 2", URL, "-H", "A: b\n"),
    asked("a header without a value", "A: ", URL, "-H", "A:"),
    asked("port 0", "exit 2", "http://127.0.0.1:0/"),
    asked("no port", "without exit 2", "http://127.0.0.1/", "--resolve", "127.0.0.1:80:127.0.0.9"),
]

QUESTIONS = [
    asked("-X", "DELETE / HTTP/1.1", URL, "-X", "DELETE"),
    asked("a method that is two", "exit 2", URL, "-X", "GET / HTTP/1.1"),
    asked("-d", "POST / HTTP/1.1", URL, "-d", "a=1"),
    asked("no -d", "GET / HTTP/1.1", URL),
    asked("two of -d, with -X", "body=b'a=1&b=2'", URL, "-X", "PUT", "-d", "a=1", "-d", "b=2"),
    asked("a file of -d that is none", "exit 2", URL, "-d", "@/no/such/file"),
    asked(
        "-d with a type",
        "Content-Type: application/json",
        URL,
        "-d",
        "{}",
        "-H",
        "Content-Type: application/json",
    ),
    asked("-d without", "x-www-form-urlencoded", URL, "-d", "a=1"),
    asked(
        "--unix-socket",
        "in one piece, complete",
        "http://app/",
        "--unix-socket",
        "SOCKET",
        unix=True,
    ),
    asked(
        "no such socket",
        "no answer (FileNotFoundError",
        "http://app/",
        "--unix-socket",
        "SOCKET.no",
        unix=True,
    ),
    asked("-k", "in one piece, complete", LOCAL, "-k", tls=True),
    asked("no -k", "-k asks all the same", LOCAL, tls=True),
    asked("https where nobody speaks TLS", "ask with http.", LOCAL),
    asked("HTTP/2 alone", "speaks HTTP/1", LOCAL, answer=b"\x15\x03\x03\0\x02\x02\x78"),
    asked("TLS 1.0 alone", "refuses such TLS", LOCAL, answer=b"\x15\x03\x03\0\x02\x02\x46"),
    asked("http where TLS is spoken", "https", "http://localhost:PORT/", tls=True),
    asked("--resolve", "Host: away.example:", AWAY, "--resolve", HERE),
    asked(
        "--resolve of another port",
        "no answer",
        AWAY,
        "--resolve",
        "away.example:1:127.0.0.1",
        "-m",
        "0.2",
    ),
    asked("--resolve that is none", "exit 2", AWAY, "--resolve", "127.0.0.1"),
    asked("--resolve of another host", "in one piece", URL, "--resolve", "a.example:80:127.0.0.9"),
    asked("--limit-rate", "read slowly, complete", URL, "--limit-rate", "2k", answer=SLOW),
    asked("no --limit-rate", "without read slowly", URL, answer=SLOW),
    asked("--pause", "read slowly, complete", URL, "--pause", "0.05", answer=SLOW),
    asked("a pause of a word", "exit 2", URL, "--pause", "long"),
    asked(
        "a slow reader of a cut body",
        "read slowly, cut short",
        URL,
        "--limit-rate",
        "10k",
        answer=SLOW[:-1],
    ),
    asked("a rate of nothing", "exit 2", URL, "--limit-rate", "0"),
    asked(
        "a proxy of the environment",
        "-x http://127.0.0.1:9",
        AWAY,
        "--resolve",
        HERE,
        environment=PROXY,
    ),
    asked(
        "a host without a proxy",
        "without -x http",
        "http://no.example:PORT/",
        "-m",
        "0.1",
        environment=PROXY,
    ),
    asked("-x", "GET http://away.example/ HTTP/1.1", "http://away.example/", "-x", URL),
    asked("no -x", "GET / HTTP/1.1", URL),
    asked(
        "-x with a password",
        "Proxy-Authorization: Basic",
        "http://a.example/",
        "-x",
        "http://ada:pw@127.0.0.1:PORT",
    ),
    asked("-x to a proxy of https", "exit 2", "http://a.example/", "-x", "https://127.0.0.1:PORT"),
    asked("-x for https", "in one piece", LOCAL, "-x", URL, "-k"),
    asked("-x for https, refused", "-x refused", LOCAL, "-x", KNOWN, answer=page("407 No")),
    asked("-x for https, cut", "closed the connection", LOCAL, "-x", KNOWN, answer=b""),
    asked("-x for https, of another certificate", "-k asks all", LOCAL, "-x", URL),
    asked("--http2", "exit 2", URL, "--http2"),
    asked("-0", "GET / HTTP/1.0", URL, "-0"),
    asked("-0, until it closes", "Ask with HTTP/1.1", URL, "-0", answer=OK + b"\r\nall"),
    asked("until it closes", "without Ask with HTTP/1.1", URL, answer=OK + b"\r\nall"),
    asked("--compressed", "Accept-Encoding: gzip", URL, "--compressed"),
    asked("-I", "HEAD / HTTP/1.1", URL, "-I"),
    asked("--app with a socket", "exit 2", "/", "--app", "a:b", "--unix-socket", "s"),
    asked("an abbreviation", "unrecognized arguments: --unix", URL, "--unix", "s"),
]


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str) -> int:  # noqa: ARG002 -- as its base has it
        """Write nothing."""
        raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self) -> int:
        """Return a file that nobody needs."""
        return os.open(os.devnull, os.O_WRONLY)


def refusing() -> Callable[[str], object]:
    """Return what fails at the first line about a piece, and then no more, as a log may."""
    failed: list[str] = []

    def refuse(line: str) -> None:
        if not failed and ("part" in line or "item" in line):
            failed.append(line)
            raise OSError(errno.EIO, "the caller's disk")

    return refuse


def run(answer: bytes, output: io.StringIO, *options: str) -> int:
    """Run the command against a server, and return its exit status."""
    with serving(answer, []) as port, redirect_stdout(output), redirect_stderr(io.StringIO()):
        return main([f"http://127.0.0.1:{port}/", *options])


def shown(answer: bytes, show: Callable[[str], object]) -> str:
    """Ask a server, and return how its response ended."""
    with serving(answer, []) as port:
        return check(f"http://127.0.0.1:{port}/", PLAIN, show).ending


def called(
    name: str, show: Callable[[str], object] = str, options: Options = PLAIN, path: str = "/"
) -> str:
    """Call an app of this module, and return how it ended, why, and what to do next."""
    seen = check_app(f"{__name__}:{name}", path, options, show)
    return " ".join([seen.ending, seen.reason, *seen.next])


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[Any]:
    """Answer as an app does, or break the rules of :pep:`3333` as the path says."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] == "/never":
        return []
    if environ["PATH_INFO"] == "/moved":
        start_response("302 Found", [("Location", "/here")])
        return [b""]
    write = start_response("200 OK", [])
    if environ["PATH_INFO"] == "/text":
        return ["text"]
    if environ["PATH_INFO"] == "/late":
        write(b"text")
        start_response("500 Oh", [], (ValueError, ValueError("too late"), None))
    if body and (environ["CONTENT_TYPE"], environ.get("HTTP_ACCEPT")) != (FORM, "text/csv"):
        raise ValueError("this is not what was sent")
    return [body or environ["REQUEST_METHOD"].encode()]


SENT = Options(method="POST", data=b"a=1", headers=(("Accept", "text/csv"),))


def create_app(fails: bool = False) -> Callable[..., Iterator[bytes]]:
    """Return an app, as a factory does, which may fail at its second item."""

    def made(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        yield from app(environ, start_response)
        if fails:
            raise OSError(errno.EIO, "the app's disk")

    return made


CRASHES = [
    raised("a full disk", "2", lambda: run(page("200 OK"), Full())),
    raised("a disk with room", "1", lambda: run(page("200 OK"), io.StringIO())),
    raised("a full disk for JSON", "2", lambda: run(page("200 OK"), Full(), "--report-json")),
    raised(
        "JSON on a disk with room", "1", lambda: run(page("200 OK"), io.StringIO(), "--report-json")
    ),
    raised(
        "show raises",
        "OSError: [Errno 5] the caller's disk",
        lambda: shown(page("200 OK"), refusing()),
    ),
    raised("show does not", "complete", lambda: shown(page("200 OK"), str)),
    raised(
        "show raises, of an app",
        "OSError: [Errno 5] the caller's disk",
        lambda: called("app", refusing()),
    ),
    raised("the app raises", "the app raised", lambda: called("create_app(True)")),
    raised("a server that says nothing", "no answer", lambda: shown(b"", refusing())),
    raised("a server that stops", "cut short", lambda: shown(SLOW[:-1], str)),
]

FACTORIES = [
    raised("module:create_app()", "complete", lambda: called("create_app()")),
    raised("an app that fails", "the app raised", lambda: called("create_app(True)")),
    raised("an app, and data", "complete", lambda: called("app", options=SENT)),
    raised(
        "an app, and data of another type",
        "the app raised ValueError: this is not",
        lambda: called("app", options=SENT._replace(headers=(("Content-Type", "text/csv"),))),
    ),
    raised(
        "an app that moved",
        "complete the app gave its last item It is a redirect: ask for /here",
        lambda: called("app", path="/moved"),
    ),
    raised(
        "an app that never starts",
        "the app raised RuntimeError: start_response was not called Nothing was sent",
        lambda: called("app", path="/never"),
    ),
    raised(
        "an app of text",
        "the app raised TypeError: an item is str, not bytes",
        lambda: called("app", path="/text"),
    ),
    raised(
        "an app that starts again",
        "the app raised ValueError: too late The status has left",
        lambda: called("app", path="/late"),
    ),
    raised("module:app", "complete", lambda: called("app")),
    raised("module:app()", "ValueError", lambda: called("app()")),
]

#: Each fault that the field reported, and its cases.
FAULTS = {
    "a large first part, and then all the rest held": LARGE_HEAD,
    "a header of compression, and then all the rest held": COMPRESSED,
    "chunked twice, or a length beside it": TWICE,
    "lumps of a proxy's buffer": LUMPS,
    "a slow query, and then quick rows": SLOW_QUERY,
    "hints that lead astray": HINTS,
    "secrets, and what a request must not carry": SECRETS,
    "crashes": CRASHES,
    "what it could not ask": [*QUESTIONS, *FACTORIES],
}


def failures() -> list[str]:
    """Try all cases, and return those in which the tool says something else."""
    return [
        f"{fault}: {case.what}: {found!r} is not {case.expected!r}"
        for fault, cases in FAULTS.items()
        for case in cases
        if (found := case.find()) != case.expected
    ]
