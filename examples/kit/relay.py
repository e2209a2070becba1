"""Relay the headers of another server's response."""

from collections.abc import Iterable

from werkzeug.datastructures import Headers
from werkzeug.http import is_hop_by_hop_header, parse_set_header

#: The headers that describe the content of a response.
ALLOWED = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "Content-Language",
    "Last-Modified",
    "ETag",
)


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
