"""Keep a log of events in a Redis stream, for processes on any number of machines."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .log import Entry, EventLog, OncePerProcess

if TYPE_CHECKING:
    from redis import Redis

#: The stream. ``redis-cli XADD events '*' data 'UA 1545 boards' event EWR`` appends to it too.
STREAM = "events"

#: Connections of a process at most: its follower, and those that publish and catch up.
MOST_CONNECTIONS = 8

#: Seconds until an answer counts as lost.
PATIENCE = 5

#: Each half of an id is an unsigned integer of 64 bits.
HALF = 1 << 64


class RedisLog(EventLog):
    """A log in a Redis stream, 5.0 or newer.

    A process has a few connections, however many listeners it has. A command is sent once: an
    append that is repeated after a timeout could append the event twice.

    :param url: the address, as ``redis.Redis.from_url`` reads it.
    :param kept: how many events the stream keeps. Redis trims it in steps of about a hundred.
    """

    def __init__(self, url: str, kept: int) -> None:
        from redis import BlockingConnectionPool, Redis, RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.errors = (RedisError, OSError)
        self.kept = kept

        def connect() -> "Redis":
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=MOST_CONNECTIONS,
                timeout=PATIENCE,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
                encoding_errors="replace",
            )
            return Redis.from_pool(pool)

        self.client = OncePerProcess(connect)

    def key(self, event_id: str) -> int:
        """Return the key of an id such as ``1764300000000-0``. ``0`` is the start."""
        found = re.fullmatch("([0-9]{1,20})(?:-([0-9]{1,20}))?", event_id)
        halves = [int(half or 0) for half in found.groups()] if found else [HALF]
        if max(halves) >= HALF:
            raise ValueError(f"no id of an event: {event_id[:50]!r}")
        return halves[0] * HALF + halves[1]

    def id(self, key: int) -> str:
        """Return the id of a key."""
        return f"{key // HALF}-{key % HALF}"

    def insert(self, data: str, name: str) -> int:
        """Append an event with ``XADD``, which trims the stream."""
        fields: Any = {"data": data, "event": name}
        added = self.client().xadd(STREAM, fields, maxlen=self.kept, approximate=True)
        return self.key(str(added))

    def entries(self, first: int, limit: int) -> list[Entry]:
        """Read events with ``XRANGE``."""
        found: Any = self.client().xrange(STREAM, min=self.id(first), count=limit)
        return [
            Entry(self.key(event_id), fields.get("data", ""), fields.get("event", ""))
            for event_id, fields in found
        ]

    def newest(self) -> int:
        """Read the last event."""
        found: Any = self.client().xrevrange(STREAM, count=1)
        return self.key(found[0][0]) if found else 0

    def untrimmed(self, oldest: list[Entry]) -> bool:
        """Compare how many events were added with how many there are.

        Redis counts them since version 7. An older stream is trimmed when it is full.
        """
        if not oldest and not self.client().exists(STREAM):
            return True
        stream: Any = self.client().xinfo_stream(STREAM)
        full = stream["length"] >= self.kept
        return bool(stream.get("entries-added", stream["length"] + full) == stream["length"])

    @contextmanager
    def watch(self) -> Iterator[Callable[[int, float], None]]:
        """Wait with ``XREAD``, which returns at the first event after a key."""

        def wait(key: int, seconds: float) -> None:
            block = int(1000 * min(seconds, PATIENCE - 1))
            self.client().xread({STREAM: self.id(key)}, block=block, count=1)

        yield wait

    def close(self) -> None:
        """Close the connections of this process."""
        self.client.close()
