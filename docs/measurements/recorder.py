"""Record when each byte of a response arrives, over a raw socket."""

import re
import socket
import struct
import time
from collections.abc import Generator, Iterable, Iterator
from itertools import compress
from typing import NamedTuple

#: What makes closing a socket reset the connection: linger, for zero seconds.
RESET = struct.pack("ii", 1, 0)


class Arrival(NamedTuple):
    """What one ``recv`` brought, and how many seconds after the request was sent."""

    seconds: float
    data: bytes


def receive(
    port: int, path: str = "/", method: str = "GET", timeout: float = 30
) -> Generator[Arrival, None, None]:
    """Send one request to 127.0.0.1 and yield what arrives until the server closes.

    The clock is read when bytes have arrived, so take the next arrival without delay.
    Close the generator to leave early: the connection is reset, as by a client that is killed.

    :param port: the server's port.
    :param path: what is asked for, in ASCII.
    :param method: ``GET`` or ``HEAD``.
    :param timeout: the seconds that the whole exchange may take.
    :raises TimeoutError: when the server has not closed the connection by then.
    """
    request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        sent = time.perf_counter()
        connection.sendall(request.encode("ascii"))
        try:
            while True:
                left = sent + timeout - time.perf_counter()
                if left <= 0:
                    raise TimeoutError(f"{method} {path}: no end after {timeout} s")
                connection.settimeout(left)
                data = connection.recv(65536)
                if not data:
                    return
                yield Arrival(time.perf_counter() - sent, data)
        except GeneratorExit:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raise


def body_spans(response: bytes) -> Iterator[slice]:
    """Yield where the body stands in a response to GET, one slice for each chunk.

    :param response: all of its bytes.
    :raises ValueError: when the response ends before its framing says so.
    """
    start = response.index(b"\r\n\r\n") + 4
    head = response[:start].lower()
    if b"\r\ntransfer-encoding: chunked\r\n" not in head:
        length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head)
        if length and int(length[1]) != len(response) - start:
            raise ValueError("the response was cut")
        yield slice(start, len(response))
        return
    while True:  # RFC 9112, section 7.1
        line_end = response.index(b"\r\n", start)
        size = int(response[start:line_end].partition(b";")[0], 16)
        end = line_end + 2 + size
        if response[end : end + 2] != b"\r\n":
            raise ValueError("the response was cut")
        if size == 0:
            return
        yield slice(line_end + 2, end)
        start = end + 2


def body_arrivals(arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Return the bytes of the body alone, without the head and the framing of chunks.

    :param arrivals: all that :func:`receive` yields for a GET request.
    :returns: when each part of the body arrived; a ``recv`` that brought none of it is left out.
    :raises ValueError: when the response was cut.
    """
    arrivals = list(arrivals)
    response = b"".join(arrival.data for arrival in arrivals)
    in_body = bytearray(len(response))
    for span in body_spans(response):
        in_body[span] = b"\1" * (span.stop - span.start)
    parts = []
    start = 0
    for seconds, data in arrivals:
        part = bytes(compress(data, in_body[start : start + len(data)]))
        start += len(data)
        if part:
            parts.append(Arrival(seconds, part))
    return parts
