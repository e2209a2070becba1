"""The ports of this machine, 127.0.0.1."""

import secrets
import socket
from contextlib import suppress

READY = 20  # seconds that a server may take to answer


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on.

    It is below those that a system gives to clients, so none takes it before a server does.
    """
    while True:
        port = 20000 + secrets.randbelow(12768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Tell whether a server accepts connections on a port of this machine."""
    with socket.socket() as connection:
        return connection.connect_ex((address, port)) == 0
