"""Send events to every client that listens in this process."""

from collections.abc import Generator
from contextlib import suppress
from queue import Empty, Full, Queue
from time import monotonic

from .sse import HEARTBEAT


class Broadcast:
    r"""The clients that listen, each with a queue of its own.

    Start one worker: an event reaches the clients of the process that sends it. A client that is
    too far behind misses events.

    >>> from examples.kit.sse import event
    >>> news = Broadcast(silence=0.01)
    >>> stream = news.listen()
    >>> next(stream)
    b'retry: 1000\n'
    >>> news.send(event("UA 1545 boards"))
    >>> next(stream), next(stream)
    (b'data: UA 1545 boards\n\n', b':\n')
    >>> stream.close()
    >>> news.clients
    set()

    :param silence: seconds without an event, after which a heartbeat is sent.
    :param lifetime: seconds after which a stream ends. The browser connects again. This ends the
        streams of clients that have disconnected where the server does not notice that.
    :param behind: how many events wait for a client at most.
    """

    def __init__(self, *, silence: float = 15, lifetime: float = 600, behind: int = 100) -> None:
        self.silence, self.lifetime, self.behind = silence, lifetime, behind
        #: The queue of each client.
        self.clients: set[Queue[bytes]] = set()

    def send(self, event: bytes) -> None:
        """Send an event, from :func:`examples.kit.sse.event`, to all who listen now."""
        for news in list(self.clients):
            with suppress(Full):
                news.put_nowait(event)

    def listen(self) -> Generator[bytes, None, None]:
        """Yield the events that are sent from now on, with heartbeats between them."""
        news: Queue[bytes] = Queue(self.behind)
        self.clients.add(news)
        end = monotonic() + self.lifetime
        try:
            yield b"retry: 1000\n"
            while monotonic() < end:
                try:
                    yield news.get(timeout=self.silence)
                except Empty:
                    yield HEARTBEAT
        finally:
            self.clients.discard(news)
