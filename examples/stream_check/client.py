"""Connect to a server, ask it once, and follow its answer."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import Optional, Union

from .report import Report, amount
from .request import (
    PLAIN,
    Address,
    Options,
    basic,
    origin_form,
    read_url,
    request_bytes,
    without_password,
)
from .response import MalformedResponse, Response
from .watch import LINGER, Watch

#: What a time limit raises: two classes before Python 3.10.
TIMEOUTS = (TimeoutError, socket.timeout)

#: How a framing is called, what completes it, and where it is cut.
FRAMINGS = {
    "chunked": ("in chunks", "a chunk of length zero said so", "before the chunk of length zero"),
    "length": ("with a length", "as long as its Content-Length", "before all of the length came"),
    "close": ("until it closes", "the connection closed: a cut looks the same", "in the body"),
    "none": ("without a body", "the head is all of it", ""),
    "": ("", "", "before the head had come"),
}


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
    local = re.fullmatch(r"localhost|127\..*|::1", address.host)
    if options.proxy or options.unix_socket or local:
        return
    from urllib.request import getproxies, proxy_bypass  # a quarter of the start of the program

    named = getproxies().get(address.scheme, "")
    if named and not proxy_bypass(address.host):
        yield f"The environment names a proxy, which was not asked: -x {without_password(named)}"


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
    with ExitStack() as failing:  # closes the connection, unless all that follows works
        if options.unix_socket:
            connection = failing.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(options.timeout)
            connection.connect(options.unix_socket)
        else:
            host, port = (proxy or address).host, (proxy or address).port
            for entry in options.resolve:
                name, number, found = entry.split(":", 2)
                if (name.lower(), number) == (host, str(port)):
                    host = found.strip("[]")
            opened = socket.create_connection((host, port), options.timeout)
            connection = failing.enter_context(opened)
        if options.limit_rate or options.pause:  # or the system reads in our place
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        if address.scheme == "https":
            if proxy:
                tunnel(connection, f"{address.host}:{address.port}", proxy.user)
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            if options.insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection, server_hostname=address.host)
        failing.pop_all()
        return connection


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
