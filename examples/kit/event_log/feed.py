"""Follow a log once in a process, for any number of listeners."""

import json
import os
import re
import time
from collections.abc import Generator
from logging import getLogger
from threading import Event, RLock, Thread
from typing import NamedTuple

from ..sse import HEARTBEAT, event
from .log import PAGE, EventLog, Found

LOGGER = getLogger(__name__)

#: The news that a process keeps for its listeners: so many batches and bytes. A listener that is
#: further behind reads the log.
MOST_BATCHES = 1000
MOST_BYTES = 4_000_000

#: Seconds that the follower waits for the log at most, before it looks whether anyone listens.
WAIT = 2.0

#: Seconds between two attempts to reach a log.
AGAIN = 0.5


class Batch(NamedTuple):
    """Events as they are sent, encoded once for all listeners.

    :param after: the key of the event before them.
    :param last: the key of the last one.
    :param data: what a listener gets whose last event is the one before them.
    :param events: each event with its key.
    :param gap: whether a gap precedes them.
    """

    after: int
    last: int
    data: bytes
    events: list[tuple[int, bytes]]
    gap: bool = False

    def data_after(self, key: int) -> bytes:
        """Return what a listener gets whose last event has this key."""
        if key == self.after:
            return self.data
        return b"".join(data for of, data in self.events if of > key)


def encode(log: EventLog, after: int, found: Found) -> Batch:
    """Return what a log has after a key, as it is sent: a gap first, if there is one."""
    events = [
        (entry.key, event(entry.data, id=log.id(entry.key), **named(entry.name)))
        for entry in found.entries
    ]
    data = b"".join(data for _, data in events)
    if not found.gap:
        return Batch(after, events[-1][0] if events else after, data, events)
    oldest = events[0][0] if events else 0
    text = json.dumps({"after": log.id(after), "oldest": log.id(oldest)})
    if events:
        return Batch(after, events[-1][0], event(text, event="gap") + data, events, gap=True)
    # The log is empty. With this id a client that reconnects continues at the start of the log.
    return Batch(after, 0, event(text, event="gap", id=log.id(0)), events, gap=True)


def named(name: str) -> dict[str, str]:
    r"""Return the field for the name of an event, which another program may have published.

    >>> named("EWR\ndata: forged"), named("")
    ({'event': 'EWR data: forged'}, {})
    """
    return {"event": re.sub(r"[\r\n\0]", " ", name)} if name else {}


class Follower:
    """What the thread that follows a log has read, for all listeners of its process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.listeners = 0
        #: The newest batches by their number, their bytes, and the number of the oldest.
        self.batches: dict[int, Batch] = {}
        self.size = self.oldest = 0
        #: The number of the next batch, and the key of the last event before it.
        self.end: tuple[int, int] | None = None
        #: Set at the next batch, which brings an event of its own.
        self.news = Event()

    def move(self, number: int, key: int) -> None:
        """Set the end, and wake all listeners."""
        self.end = number, key
        news, self.news = self.news, Event()
        news.set()

    def add(self, batch: Batch) -> None:
        """Add a batch for all listeners, and drop the oldest if there are too many."""
        number = self.oldest + len(self.batches)
        self.batches[number] = batch
        self.size += len(batch.data)
        while len(self.batches) > MOST_BATCHES or (self.size > MOST_BYTES and self.oldest < number):
            self.size -= len(self.batches.pop(self.oldest).data)
            self.oldest += 1
        self.move(number + 1, batch.last)


class Listener:
    """The place of one listener.

    :param log: the log that its follower follows.
    :param follower: what its process has read.
    :param key: the key of the last event that the listener has, or None.
    """

    __slots__ = ("failed", "follower", "key", "log", "number")

    def __init__(self, log: EventLog, follower: Follower, key: int | None) -> None:
        self.log, self.follower, self.key = log, follower, key
        #: The number of its next batch. None as long as it reads the log.
        self.number: int | None = None
        #: Whether the log was out of reach when it was last read.
        self.failed = False

    def look(self) -> bytes:
        """Return what there is to send, or ``b""``."""
        if self.follower.end is None:  # the log has been out of reach so far
            return b""
        if self.key is None:
            self.number, self.key = self.follower.end
            # A client that reconnects before its first event continues here.
            return f"id: {self.log.id(self.key)}\n\n".encode()
        if self.number is None or self.number < self.follower.oldest:
            return self.catch_up(self.key, self.follower.end[0])
        while batch := self.follower.batches.get(self.number):
            if batch.gap and batch.after != self.key:  # the log knows what this listener missed
                return self.catch_up(self.key, self.follower.end[0])
            self.number += 1
            if data := batch.data_after(self.key):
                self.key = batch.last
                return data
        return b""

    def catch_up(self, key: int, number: int) -> bytes:
        """Return the next events from the log.

        :param key: the key of the last event that the listener has.
        :param number: the number of the next batch. What is in the log now and not returned is in
            this batch or a later one.
        """
        try:
            found = self.log.after(key)
        except self.log.errors:
            self.number, self.failed = None, True
            return b""
        self.failed = False
        self.number = number if len(found.entries) < PAGE else None
        batch = encode(self.log, key, found)
        self.key = batch.last
        return batch.data


class Feed:
    """Streams of the events in a log, for any number of listeners.

    The first listener of a process starts a thread that follows the log, and the thread ends after
    the last listener. A forked process starts its own. A slow listener delays only itself.

    :param log: the log, from :func:`~examples.kit.event_log.open_log`.
    :param silence: seconds without an event, after which a heartbeat is sent.
    :param lifetime: seconds after which a stream ends. The browser connects again.
    """

    def __init__(self, log: EventLog, *, silence: float = 15, lifetime: float = 600) -> None:
        self.log, self.silence, self.lifetime = log, silence, lifetime
        self.follower: Follower | None = None
        self.lock = RLock()  # the garbage collector may close a stream at any place

    def listen(self, last: str | None = None) -> Generator[bytes, None, None]:
        """Return a stream of the events after an id, with heartbeats between them.

        :param last: the id of the last event that the client has. Without it the stream has the
            events that are appended from now on.
        :raises ValueError: for a text that is no id, before the stream starts.
        """
        return self.stream(self.log.key(last) if last else None)

    def stream(self, key: int | None) -> Generator[bytes, None, None]:
        """Yield the events after a key, or from now on."""
        end = time.monotonic() + self.lifetime
        follower = self.enter()
        try:
            listener = Listener(self.log, follower, key)
            news = follower.news
            if key is None and not follower.end:
                news.wait(AGAIN)  # "now" is before the first byte, if the log is in reach
            begin = listener.look() if key is None else b""
            yield b"retry: 1000\n"
            if begin:
                yield begin
            while (left := end - time.monotonic()) > 0:
                news = follower.news  # before the look, so that no batch is missed
                if data := listener.look():
                    yield data
                elif not news.wait(min(left, AGAIN if listener.failed else self.silence)):
                    yield HEARTBEAT
        finally:
            self.leave(follower)

    def enter(self) -> Follower:
        """Count a listener, and return the follower of this process."""
        with self.lock:
            follower = self.follower
            new = follower is None or follower.process != os.getpid()
            if follower is None or new:
                follower = self.follower = Follower()
            follower.listeners += 1
        if new:  # outside of the lock, in which no greenlet may wait
            try:
                Thread(target=self.follow, args=[follower], daemon=True).start()
            except RuntimeError:  # the system has no thread left
                follower.process = 0  # the next listener tries again
                raise
        return follower

    def leave(self, follower: Follower) -> None:
        """Count one listener less."""
        with self.lock:
            follower.listeners -= 1

    def wanted(self, follower: Follower) -> bool:
        """Tell whether anyone listens. If not, the next listener gets a new follower."""
        with self.lock:
            if not follower.listeners and self.follower is follower:
                self.follower = None
            return follower.listeners > 0

    def follow(self, follower: Follower) -> None:
        """Follow the log as long as anyone listens, also after errors."""
        while self.wanted(follower):
            try:
                self.read(follower)
            except Exception as error:  # without a follower no listener would get an event
                LOGGER.warning("the log of events is out of reach: %r", error)
                time.sleep(AGAIN)

    def read(self, follower: Follower) -> None:
        """Read the log and wait for more, in turns, as long as anyone listens."""
        with self.log.watch() as wait:
            if follower.end is None:
                follower.move(0, self.log.newest())
            assert follower.end  # as long as nothing is new, no listener is woken
            key = follower.end[1]
            while self.wanted(follower):
                found = self.log.after(key)
                if found.gap or found.entries:
                    batch = encode(self.log, key, found)
                    follower.add(batch)
                    key = batch.last
                if len(found.entries) < PAGE:
                    wait(key, WAIT)
