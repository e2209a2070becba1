"""Record when each byte of a response arrives, over a raw socket."""

import socket
import struct
import time
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from examples.stream_check.response import MalformedResponse, Response

#: What makes closing a socket reset the connection: linger, for zero seconds.
RESET = struct.pack("ii", 1, 0)

#: The header of a request that is the last of its connection.
CLOSE = "Connection: close\r\n"

#: What undoes a compression as its bytes arrive. Whoever accepts another one adds it.
DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "deflate": lambda: zlib.decompressobj().decompress,
}


class Arrival(NamedTuple):
    """What one ``recv`` brought, and how many seconds after the request was sent."""

    seconds: float
    data: bytes


def request_bytes(
    port: int, path: str, method: str = "GET", version: str = "1.1", headers: str = CLOSE
) -> bytes:
    """Return a request to 127.0.0.1.

    :param path: what is asked for, in ASCII.
    :param version: of HTTP, ``1.1`` or ``1.0``.
    :param headers: lines of the head, each with its line end.
    """
    host = f"Host: 127.0.0.1:{port}\r\n"
    return f"{method} {path} HTTP/{version}\r\n{host}{headers}\r\n".encode("ascii")


def receive(
    port: int,
    path: str = "/",
    method: str = "GET",
    timeout: float = 30,
    version: str = "1.1",
    headers: str = "",
) -> Generator[Arrival, None, None]:
    """Send one request to 127.0.0.1 and yield what arrives until the server closes.

    The clock is read when bytes have arrived, so take the next arrival without delay.
    Close the generator to leave early: the connection is reset, as by a client that is killed.

    :param timeout: the seconds that the whole exchange may take.
    :param headers: further lines of the head; see :func:`request_bytes`.
    :raises TimeoutError: when the server has not closed the connection by then.
    """
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        sent = time.monotonic()
        connection.sendall(request_bytes(port, path, method, version, CLOSE + headers))
        try:
            while True:
                left = sent + timeout - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{method} {path}: no end after {timeout} s")
                connection.settimeout(left)
                data = connection.recv(65536)
                if not data:
                    return
                yield Arrival(time.monotonic() - sent, data)
        except GeneratorExit:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raise


class Drained(NamedTuple):
    """How long a response took that was thrown away as it came.

    :param first: the seconds until the first byte of the body had come.
    :param seconds: those until the server closed the connection.
    :param size: the bytes that came, head and framing too.
    """

    first: float
    seconds: float
    size: int


def drain(port: int, path: str, timeout: float = 600, headers: str = CLOSE) -> Drained:
    """Send one request to 127.0.0.1 and throw the answer away, as fast as it comes.

    :raises TimeoutError: when nothing came for that many seconds.
    :raises ValueError: when the answer is no success, or was cut where its framing can tell.
    """
    buffer = memoryview(bytearray(1024 * 1024))
    head, last, size, first = b"", b"", 0, 0.0
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        began = time.monotonic()
        connection.sendall(request_bytes(port, path, headers=headers))
        while count := connection.recv_into(buffer):
            if not first:
                head += buffer[:count]
                if head.partition(b"\r\n\r\n")[2]:
                    first = time.monotonic() - began
            size += count
            last = bytes(buffer[max(0, count - 5) : count]) if count >= 5 else last + buffer[:count]
        seconds = time.monotonic() - began
    lines = head.partition(b"\r\n\r\n")[0].lower()
    cut = b"transfer-encoding: chunked" in lines and not last.endswith(b"0\r\n\r\n")
    if b" 200 " not in lines.partition(b"\r\n")[0] or cut:
        status = lines.partition(b"\r\n")[0].decode()
        raise ValueError(f"{path}: {'cut' if cut else status}")
    return Drained(first, seconds, size)


#: How a response ended: as its framing says, before that, by a reset before that, not at all in
#: time, without a status line, or in bytes that are no HTTP.
Ending = Literal["complete", "cut", "reset", "no end", "no answer", "malformed"]


@dataclass
class Exchange:
    """What a client learned from one response.

    :param response: the response, as far as it came.
    :param ended: how it ended.
    :param head: the seconds after which all of the head had come.
    :param parts: what each ``recv`` brought of the body, after any compression was undone.
    :param began: when the request was sent, on the monotonic clock.
    :param seconds: how long the exchange took.
    :param request: the id of the request, if it has one.
    """

    response: Response = field(default_factory=Response)
    ended: Ending = "no answer"
    head: float = 0
    parts: list[Arrival] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0
    request: str = ""
    decode: Callable[[bytes], bytes] = bytes

    @property
    def body(self) -> bytes:
        """The body."""
        return b"".join(part.data for part in self.parts)

    @property
    def ending(self) -> str:
        """How the response ended; of an error page, its status."""
        page = self.ended == "complete" and self.response.status != 200
        return str(self.response.status) if page else self.ended

    def take(self, arrival: Arrival) -> None:
        """Add what arrived.

        :raises MalformedResponse: when it is no HTTP.
        """
        begun = self.response.framing
        data = b"".join(part.data for part in self.response.feed(arrival.data))
        if self.response.framing and not begun:
            self.head = arrival.seconds
            self.decode = DECODERS.get(self.response.header("content-encoding"), lambda: bytes)()
        if data:
            self.parts.append(Arrival(arrival.seconds, self.decode(data)))

    def end(self, otherwise: Ending) -> None:
        """Set how it ended: completely, without an answer, or otherwise."""
        if self.response.complete:
            self.ended = "complete"
        else:
            self.ended = otherwise if self.response.framing else "no answer"


def fetch(
    port: int,
    path: str,
    method: str = "GET",
    *,
    version: str = "1.1",
    timeout: float = 10,
    headers: str = "",
) -> Exchange:
    """Send one request to 127.0.0.1 and return what came of it; see :func:`receive`."""
    answer = Exchange(Response(method))
    try:
        with closing(receive(port, path, method, timeout, version, headers)) as arrivals:
            for arrival in arrivals:
                answer.take(arrival)
        answer.response.end()
        answer.end("cut")
    except TimeoutError:
        answer.end("no end")
    except ConnectionError:
        answer.end("reset")
    except MalformedResponse:
        answer.ended = "malformed"
    answer.seconds = time.monotonic() - answer.began
    return answer


def first_byte(port: int, path: str, timeout: float = 600) -> float:
    """Send one request to 127.0.0.1, leave at the first byte of the body, and return its seconds.

    :raises TimeoutError: when nothing came for that many seconds.
    """
    answer = Exchange()
    with closing(receive(port, path, timeout=timeout)) as arrivals:
        while not answer.parts:
            answer.take(next(arrivals))
    return answer.parts[0].seconds
