"""Relay the response of another server while it arrives."""

import errno
import logging
import re
import socket
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import (
    BadGateway,
    BadRequest,
    ClientDisconnected,
    GatewayTimeout,
    HTTPException,
    RequestURITooLarge,
    ServiceUnavailable,
)
from werkzeug.http import is_hop_by_hop_header, parse_set_header

from .disconnect import DisconnectWatch

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

#: The headers that describe the content of a response.
ALLOWED = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "Content-Language",
    "Last-Modified",
    "ETag",
)

#: The headers that a relay passes to the client, with the raw bytes of the body.
RESPONSE_HEADERS = (
    *ALLOWED,
    "Accept-Ranges",
    "Age",
    "Allow",
    "Cache-Control",
    "Content-Encoding",
    "Content-Range",
    "Expires",
    "Retry-After",
    "Vary",
)

#: The headers that a relay passes to the upstream.
REQUEST_HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Last-Event-ID",
    "Range",
    "User-Agent",
)

#: Headers for every relayed response. A page from the upstream then runs no script in your site.
SANDBOX = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}

#: What a query string may contain next to letters and digits (:rfc:`3986#section-3.4`).
QUERY = "!$%&'()*+,/:;=?@"

#: Bytes of a request body that are read at once.
SIZE = 64 * 1024


def end_to_end(
    headers: Iterable[tuple[str, str]], only: Iterable[str] | None = ALLOWED
) -> list[tuple[str, str]]:
    """Return the headers that a relay may pass on.

    These are left out: the headers of one connection (:rfc:`9110#section-7.6.1`), ``Date`` and
    ``Server``, which your own server writes, and a ``Content-Length`` that may not be the length
    of the body (:rfc:`9112#section-6.3`).

    >>> upstream = [("Content-Type", "text/csv"), ("Set-Cookie", "a=1"), ("Connection", "X-Trace")]
    >>> upstream += [("X-Trace", "1"), ("Content-Length", "7"), ("Transfer-Encoding", "chunked")]
    >>> end_to_end(upstream)
    [('Content-Type', 'text/csv')]
    >>> end_to_end(upstream, only=None)
    [('Content-Type', 'text/csv'), ('Set-Cookie', 'a=1')]

    :param headers: the names and values that the upstream sent, each as often as it was sent.
    :param only: the names that may pass, :data:`ALLOWED` by default. With ``None`` all may pass.
    """
    received = Headers(list(headers))
    left_out = parse_set_header(", ".join(received.getlist("Connection")))
    left_out.update(["Proxy-Connection", "Date", "Server"])
    lengths = received.getlist("Content-Length")
    if "Transfer-Encoding" in received or len(lengths) != 1 or not lengths[0].encode().isdigit():
        left_out.add("Content-Length")
    allowed = None if only is None else {name.lower() for name in only}
    return [
        (name, value)
        for name, value in received
        if not is_hop_by_hop_header(name)
        and name not in left_out
        and (allowed is None or name.lower() in allowed)
    ]


def url_below(base: str, path: str, query: bytes = b"") -> str:
    """Return the URL of a path below a base URL, which no path can leave.

    >>> url_below("https://reports.example/v2", "New York/EWR.csv", b"day=1&sign=%2B")
    'https://reports.example/v2/New%20York/EWR.csv?day=1&sign=%2B'
    >>> url_below("https://reports.example", "@evil.example/?#")
    'https://reports.example/%40evil.example/%3F%23'
    >>> url_below("https://reports.example/v2", "../users")
    Traceback (most recent call last):
    werkzeug.exceptions.BadRequest: 400 Bad Request: this path cannot be relayed

    :param base: an absolute URL.
    :param path: the decoded path that the client requested, such as a view gets it from
        ``<path:path>``.
    :param query: what follows the question mark, as it was received.
    :raises werkzeug.exceptions.BadRequest: for ``..``, also encoded twice, for a backslash, a
        control character, and for bytes that are no UTF-8.
    """
    plain = unquote(path)
    if re.search(r"[\x00-\x1f\x7f\\\ufffd]", plain) or {".", ".."} & set(plain.split("/")):
        raise BadRequest("this path cannot be relayed")
    url = f"{base.rstrip('/')}/{quote(path)}"
    return f"{url}?{quote(query, safe=QUERY)}" if query else url


class Upstream:
    """Another server, whose responses a view passes on.

    One object serves all threads of a process. It opens a connection for each response, keeps no
    cookies and follows no redirects. It needs the package httpx2.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> reports = Upstream("http://127.0.0.1:1/reports")  # where no server listens
    >>> @app.get("/relay/<path:path>")
    ... def relay(path):
    ...     return reports.relay(path)
    >>> app.test_client().get("/relay/2013.csv").status
    '502 BAD GATEWAY'

    :param url: the address of the server, with the path below which clients may request.
    :param connections: how many responses may be open at once in this process: as many as it has
        threads, or more.
    :param connect: seconds in which the upstream must accept a connection.
    :param silence: seconds that the upstream may send or read no byte.
    :param to_upstream: headers for every request to the upstream, such as your key.
    :param to_client: headers for every relayed response.
    :raises ValueError: for a URL without a host, or with a port that is no number.

    >>> Upstream("reports.example")
    Traceback (most recent call last):
    ValueError: the URL of an upstream is such as https://host/path, not reports.example
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 100,
        connect: float = 3,
        silence: float = 60,
        to_upstream: Mapping[str, str] = {},
        to_client: Mapping[str, str] = SANDBOX,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(f"the URL of an upstream is such as https://host/path, not {url}")
        self.url, self.connections = url.rstrip("/"), connections
        self.to_upstream, self.to_client = to_upstream, to_client
        self.timeout = {"connect": connect, "read": silence, "write": silence, "pool": 1}

    @cached_property
    def transport(self) -> "httpx2.HTTPTransport":
        """The transport of this process, which is created at its first request."""
        import httpx2

        limits = httpx2.Limits(max_connections=self.connections, max_keepalive_connections=0)
        return httpx2.HTTPTransport(limits=limits, trust_env=False)

    def relay(self, path: str) -> Response:
        """Return the response of the upstream to the request of the view.

        :param path: the end of the requested path. It is requested below the URL.
        :raises werkzeug.exceptions.HTTPException: 400 for a request that cannot be relayed. 413
            for a body above ``MAX_CONTENT_LENGTH``. 414 for a URL that is too long. 502
            for an upstream that refuses, breaks the protocol or redirects to another place. 503
            when too many responses are open. 504 for an upstream that is silent.
        """
        import httpx2

        url, connection = url_below(self.url, path, request.query_string), Connection()
        with ExitStack() as ending:
            watch = DisconnectWatch(request.environ, connection.end)
            ending.callback(watch.close)
            try:
                sent = httpx2.Request(
                    request.method,
                    url,
                    headers=self.sent_headers(),
                    content=sent_body(),
                    extensions={"timeout": self.timeout, "trace": connection.trace},
                )
                upstream = self.transport.handle_request(sent)
            except httpx2.InvalidURL as error:  # of more than 65,536 characters
                raise RequestURITooLarge from error
            except httpx2.TransportError as error:
                if watch.disconnected:
                    raise ClientDisconnected from error
                logger.warning("%s: %s: %s", self.url, type(error).__name__, error)
                raise refusal(error) from error
            ending.callback(upstream.close)
            headers = self.received_headers(upstream.headers.raw)
            if location := upstream.headers.get("Location"):
                headers["Location"] = self.location(url, location, path)
            if not 200 <= upstream.status_code < 600:
                raise BadGateway
            response = Response(relayed(upstream, watch), upstream.status_code, headers)
            if response.status_code in (204, 304):
                response.headers.remove("Content-Type")  # there is no content
            response.call_on_close(ending.pop_all().close)
            return response

    def sent_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of this request that may pass, and those for every request."""
        headers = Headers(end_to_end(request.headers, REQUEST_HEADERS))
        headers["Via"] = "1.1 relay"
        headers["X-Forwarded-For"] = request.remote_addr or "unknown"
        headers["X-Forwarded-Proto"] = request.scheme
        headers.update(self.to_upstream)
        return [(name.encode(), value.encode("latin-1")) for name, value in headers]

    def received_headers(self, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return the headers of the upstream that may pass, and those for every response."""
        received = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
        headers = Headers(end_to_end(received, RESPONSE_HEADERS))
        headers["Content-Type"] = headers.get("Content-Type") or "application/octet-stream"
        if re.search(r"[\x00-\x08\n-\x1f\x7f]", "".join(headers.values())):
            raise BadGateway
        if headers["Content-Type"].startswith("text/event-stream"):
            headers["X-Accel-Buffering"] = "no"  # of nginx
        headers.update(self.to_client)
        return headers

    def location(self, url: str, location: str, path: str) -> str:
        """Return the place in this app that relays a URL.

        :param url: the URL that was requested.
        :param location: where the upstream redirects to.
        :param path: the end of the requested path.
        :raises werkzeug.exceptions.BadGateway: when it is not below the URL of the upstream.
        """
        try:
            target = urljoin(url, location)
            rest = target.removeprefix(f"{self.url}/")
            url_below(self.url, unquote(rest.partition("?")[0]))
        except (BadRequest, ValueError) as error:
            raise BadGateway from error
        if rest == target:
            raise BadGateway
        here = (request.script_root + request.path).removesuffix(path)
        return quote(here) + quote(rest, safe=QUERY + "#")


class Connection:
    """The connection to an upstream, which another thread can end at any time."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.ended = False

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Receive the events of httpx2, and keep the socket when it is connected."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):  # also by a proxy
            self.socket = info["return_value"].get_extra_info("socket")
            if self.ended:
                self.end()

    def end(self) -> None:
        """End the connection, so that who waits for a byte of it waits no longer."""
        self.ended = True
        if self.socket:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def sent_body() -> Generator[bytes, None, None] | None:
    """Return the body of this request as it arrives, or ``None`` if there is none.

    :raises werkzeug.exceptions.RequestEntityTooLarge: for a body above ``MAX_CONTENT_LENGTH``.
    """
    if "Content-Length" not in request.headers and "Transfer-Encoding" not in request.headers:
        return None
    stream, expected = request.stream, request.content_length

    def pieces() -> Generator[bytes, None, None]:
        received = 0
        try:
            while piece := stream.read(SIZE):
                received += len(piece)
                yield piece
        except OSError as error:  # as gunicorn reports it
            raise ClientDisconnected from error
        if expected and received < expected:
            raise ClientDisconnected

    return pieces()


def refusal(error: "httpx2.TransportError") -> HTTPException:
    """Return the response for an upstream that did not respond."""
    import httpx2

    if isinstance(error, httpx2.PoolTimeout):
        return ServiceUnavailable(retry_after=1)
    if isinstance(error, httpx2.TimeoutException):
        return GatewayTimeout()
    if isinstance(error, httpx2.LocalProtocolError):
        return BadRequest()
    return BadGateway()


def relayed(upstream: "httpx2.Response", watch: DisconnectWatch) -> Generator[bytes, None, None]:
    """Yield the body as it arrives, in its coding.

    :raises ConnectionResetError: when the client disconnects while the upstream is silent.
    :raises httpx2.TransportError: when the body is not complete, so that the server cuts it too.
    """
    import httpx2

    yield b""  # now the server sends the status
    try:
        yield from upstream.iter_raw()
    except httpx2.TransportError:
        if not watch.disconnected:
            raise
    if watch.disconnected:
        raise ConnectionResetError(errno.ECONNRESET, "the client disconnected")
