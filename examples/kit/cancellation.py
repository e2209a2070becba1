"""Cancel a request to an upstream from another thread, also before its first byte."""

from contextlib import suppress
from socket import SHUT_RDWR, socket
from threading import Lock
from typing import Any


class Cancellation:
    """Know the connection of one request, and shut it down.

    A thread that waits for an upstream ends its wait only when bytes arrive, at a timeout, or when
    the connection is shut down. Closing the response from another thread does not wake it. This
    works for threads and for the greenlets of gevent alike.

    With HTTPX 2 each request needs a new connection, because a connection that is used again is
    not reported. Give each stream a client of its own:

    - ``client.stream(..., extensions={"trace": cancellation.trace})``
    - ``Client(event_hooks={"request": [cancellation.watch]})`` as the ``http_client`` of
      ``openai`` and other libraries on top of HTTPX 2.

    >>> from socket import socketpair
    >>> upstream, model = socketpair()
    >>> cancellation = Cancellation()
    >>> cancellation.use(upstream)
    >>> cancellation.cancel()
    >>> upstream.recv(100)
    b''
    >>> upstream.close(), model.close()
    (None, None)
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.connection: socket | None = None
        #: Whether the request is cancelled.
        self.cancelled = False

    def use(self, connection: socket) -> None:
        """Remember the connection of the request. A cancelled request loses it at once.

        :param connection: the socket, which the TLS layer may replace by its own.
        """
        with self.lock:
            self.connection = connection
            if self.cancelled:
                shut_down(connection)

    def cancel(self) -> None:
        """Shut the connection down, or the next one if there is none yet."""
        with self.lock:
            self.cancelled = True
            if self.connection is not None:
                shut_down(self.connection)

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """Remember the connection of HTTPX 2, as its extension ``trace``.

        :param name: what happened, such as ``connection.connect_tcp.complete``.
        :param info: what belongs to it, such as the stream over the network.
        """
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self.use(info["return_value"].get_extra_info("socket"))

    def watch(self, request: Any) -> None:
        """Trace a request of HTTPX 2, as an event hook of its client.

        :param request: the request, before it is sent.
        """
        request.extensions = {**request.extensions, "trace": self.trace}


def shut_down(connection: socket) -> None:
    """End both directions of a connection, which wakes whoever waits for it."""
    with suppress(OSError):  # it may have ended by itself
        connection.shutdown(SHUT_RDWR)
