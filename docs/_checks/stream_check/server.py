"""A server of a Unix socket, of TLS, or a proxy, that answers each request with the same bytes."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import NamedTuple

#: For ``localhost``, from nobody that is trusted, with its key, which everybody may know.
CERTIFICATE = Path(__file__).with_name("certificate.pem")


class Seen(NamedTuple):
    """What a server saw of a request."""

    head: str
    body: bytes


@cache
def certified() -> ssl.SSLContext:
    """Return what a server of TLS needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


@contextmanager
def serving(answer: bytes, seen: list[Seen], path: str = "", *, tls: bool = False) -> Iterator[str]:
    """Run the server until the block ends, and yield its port, or its path.

    :param answer: what it sends.
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
