"""Notice that a client has disconnected while your code waits and writes nothing."""

import logging
import select
import sys
import time
from collections.abc import Callable, Mapping
from threading import RLock, Thread
from typing import Any, ClassVar

LOGGER = logging.getLogger(__name__)

#: Seconds between two looks at the connections.
SECONDS = 0.5

#: What the kernel reports about a connection that its client closed. Without this event, as on
#: macOS, the kernel reports POLLHUP.
CLOSED = getattr(select, "POLLRDHUP", 0)


class DisconnectWatch:
    """Watch the connection of one request, and call a function when its client disconnects.

    One thread watches all connections of the process. It ends when the last watch is closed.

    >>> from socket import socketpair
    >>> from threading import Event
    >>> server, client = socketpair()
    >>> noticed = Event()
    >>> watch = DisconnectWatch({"gunicorn.socket": server}, noticed.set)
    >>> watch.disconnected
    False
    >>> client.close()
    >>> noticed.wait(10), watch.disconnected
    (True, True)
    >>> watch.close()
    >>> server.close()

    A client that closes only its own half of the connection counts as disconnected too.

    :param environ: the WSGI environment of the request. gunicorn and Werkzeug put the connection
        in it. On other servers, and on Windows, the watch notices no disconnect.
    :param call: called once, in the thread of the watch. It must return at once: shut down the
        socket of an upstream, cancel a query or set an event.
    """

    lock = RLock()  # the garbage collector may close a watch at any place
    open: ClassVar[set["DisconnectWatch"]] = set()
    thread: ClassVar[Thread | None] = None

    def __init__(self, environ: Mapping[str, Any], call: Callable[[], object]) -> None:
        self.connection: Any = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
        self.call = call
        #: Whether the client has disconnected.
        self.disconnected = False
        if self.connection and hasattr(select, "poll"):
            with self.lock:
                self.open.add(self)
                if not self.thread or not self.thread.is_alive():  # such as after a fork
                    DisconnectWatch.thread = Thread(target=self.work, daemon=True)
                    DisconnectWatch.thread.start()

    def close(self) -> None:
        """End the watch. From then on its function is not called."""
        with self.lock:
            self.open.discard(self)

    @classmethod
    def work(cls) -> None:
        """Look at the connections until every watch is closed."""
        while True:
            time.sleep(SECONDS)
            with cls.lock:
                if not cls.open:
                    cls.thread = None
                    return
                for watch in closed(set(cls.open)):
                    cls.open.discard(watch)
                    watch.disconnected = True
                    try:
                        watch.call()
                    except Exception:  # the other watches go on
                        LOGGER.exception("a call at a disconnect failed")


def closed(watches: set[DisconnectWatch]) -> list[DisconnectWatch]:
    """Return the watches whose connection is closed, by the client or by the server."""
    gevent = sys.modules.get("gevent.monkey")  # its own poll reports less, and waits
    poller = gevent.get_original("select", "poll")() if gevent else select.poll()
    numbers = {watch: watch.connection.fileno() for watch in watches}
    for number in set(numbers.values()) - {-1}:
        poller.register(number, CLOSED)
    ended = {-1, *dict(poller.poll(0))}
    return [watch for watch, number in numbers.items() if number in ended]
