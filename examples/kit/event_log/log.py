"""What every log of events can do: append, read after an id, and tell when an id is too old."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, NamedTuple, Protocol, TypeVar

from ..sse import event

#: The largest event, in bytes of UTF-8. Send a link to anything larger.
MOST_BYTES = 1_000_000

#: How many events are read at a time.
PAGE = 100


class Entry(NamedTuple):
    """An event in a log.

    :param key: its place in the log. A later event has a greater key.
    :param data: its text.
    :param name: its ``event``, or ``""``.
    """

    key: int
    data: str
    name: str


class Found(NamedTuple):
    """What a log contains after a key.

    :param gap: whether events are lost between the key and the first of these events.
    :param entries: the next events, at most :data:`PAGE`.
    """

    gap: bool
    entries: list[Entry]


class Closes(Protocol):
    """A connection."""

    def close(self) -> None:
        """Close it."""


Connection = TypeVar("Connection", bound=Closes)


class OncePerProcess(Generic[Connection]):
    """A connection that each process opens for itself, also when it was forked.

    >>> import io
    >>> connection = OncePerProcess(io.StringIO)
    >>> connection() is connection()
    True
    >>> connection.close()

    :param connect: opens it.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self.connect = connect
        # What another process opened stays here unused: to close it would disturb that process.
        self.opened: dict[int, Connection] = {}
        self.lock = Lock()

    def __call__(self) -> Connection:
        """Return the connection of this process, and open it if there is none."""
        if opened := self.opened.get(os.getpid()):
            return opened
        new = self.connect()
        opened = self.opened.setdefault(os.getpid(), new)
        if opened is not new:  # another thread was faster
            new.close()
        return opened

    def forget(self, broken: Connection) -> None:
        """Open a new connection next time, unless another thread has opened one already."""
        with self.lock:
            if self.opened.get(os.getpid()) is broken:
                del self.opened[os.getpid()]

    def close(self) -> None:
        """Close the connection of this process."""
        if opened := self.opened.pop(os.getpid(), None):
            opened.close()


class EventLog(ABC):
    """A log of events, which any number of processes append to and read.

    A key is an integer, and an id is its text in the stream. Key 0 is the start of every log.
    """

    #: The exceptions of a log that is out of reach.
    errors: tuple[type[Exception], ...]

    def append(self, data: str, event: str | None = None) -> str:
        """Append an event and return its id.

        :param data: its text.
        :param event: its name. ``gap`` is reserved.
        :raises ValueError: for CR, LF or NUL in the name, NUL in the text, half of a surrogate
            pair, and more than :data:`MOST_BYTES`.
        """
        return self.id(self.insert(*checked(data, event)))

    @abstractmethod
    def insert(self, data: str, name: str) -> int:
        """Append an event that was checked, and return its key."""

    @abstractmethod
    def entries(self, first: int, limit: int) -> list[Entry]:
        """Return so many events, from a key on."""

    @abstractmethod
    def newest(self) -> int:
        """Return the key of the newest event, or 0."""

    @abstractmethod
    @contextmanager
    def watch(self) -> Iterator[Callable[[int, float], None]]:
        """Open the connection of a follower, which waits for events on it.

        It is called with a key and seconds. It returns when there may be events after the key, at
        the latest after these seconds.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections of this process."""

    def key(self, event_id: str) -> int:
        """Return the key of an id.

        :raises ValueError: for a text that is no id of this log.
        """
        if re.fullmatch("0|[1-9][0-9]{0,17}", event_id) is None:
            raise ValueError(f"no id of an event: {event_id[:50]!r}")
        return int(event_id)

    def id(self, key: int) -> str:
        """Return the id of a key."""
        return str(key)

    def untrimmed(self, oldest: list[Entry]) -> bool:
        """Tell whether the log lacks none of its events, where its oldest one has not key 1.

        :param oldest: that event, or none where the log was empty a moment ago.
        """
        return not oldest

    def after(self, key: int) -> Found:
        """Return the events after a key.

        If the log does not know the key, or has trimmed events after it, there is a gap. Then
        these are the oldest events that the log has.
        """
        entries = self.entries(key, PAGE + 1)
        if entries and entries[0].key == key:
            return Found(False, entries[1:])
        oldest = self.entries(0, 1)
        # An empty log may get its first event between two queries, and after both of them.
        known = oldest and oldest[0].key <= key + 1 and (entries or oldest[0].key > key)
        if known or (key == 0 and self.untrimmed(oldest)):
            return Found(False, entries[:PAGE])
        return Found(True, self.entries(0, PAGE))


def checked(data: str, name: str | None) -> tuple[str, str]:
    r"""Return the text and the name of an event, if they can be sent.

    >>> checked("UA 1545 boards", None)
    ('UA 1545 boards', '')
    >>> checked("UA 1545 boards", "EWR\ndata: UA 1714 boards")
    Traceback (most recent call last):
    ValueError: no field of an event: 'event': 'EWR\ndata: UA 1714 boards'
    >>> checked("", "gap")
    Traceback (most recent call last):
    ValueError: an event named gap is sent by the log alone
    >>> checked("\0", None)
    Traceback (most recent call last):
    ValueError: an event has at most 1000000 bytes, without NUL

    :raises ValueError: when they cannot.
    """
    if name == "gap":
        raise ValueError("an event named gap is sent by the log alone")
    if len(event(data, event=name or "")) > MOST_BYTES or "\0" in data:
        raise ValueError(f"an event has at most {MOST_BYTES} bytes, without NUL")
    return data, name or ""
