r"""Send events from many processes: one log, which every process follows once for all listeners.

Publish with the log, from any process. Listen with a :class:`~examples.kit.event_log.feed.Feed`:

>>> from tempfile import TemporaryDirectory
>>> folder = TemporaryDirectory()
>>> log = open_log(f"sqlite:///{folder.name}/events.sqlite")
>>> log.append("UA 1545 boards", "EWR"), log.append("UA 1714 boards")
('1', '2')
>>> stream = Feed(log).listen("1")
>>> next(stream), next(stream)
(b'retry: 1000\n', b'id: 2\ndata: UA 1714 boards\n\n')
>>> stream.close()
>>> log.close()
>>> folder.cleanup()
"""

from .feed import Feed
from .log import Entry, EventLog

__all__ = ["Entry", "EventLog", "Feed", "open_log"]


def open_log(url: str, kept: int = 10_000) -> EventLog:
    """Return the log of an address. It connects when it is first used.

    >>> open_log("mysql://127.0.0.1/events")
    Traceback (most recent call last):
    ValueError: a log is sqlite:///PATH, redis://… or postgresql://…, not mysql://…

    :param url: ``sqlite:///PATH``, ``redis://…`` or ``postgresql://…``.
    :param kept: how many events the log keeps at least. A Redis stream keeps a few more.
    :raises ValueError: for another address.
    :raises ImportError: when ``redis`` or ``psycopg`` is not installed.
    """
    scheme, _, place = url.partition("://")
    if scheme == "sqlite" and place[:1] == "/" and place[1:]:
        from .sqlite_log import SqliteLog

        return SqliteLog(place[1:], kept)
    if scheme in ("redis", "rediss", "unix"):
        from .redis_log import RedisLog

        return RedisLog(url, kept)
    if scheme in ("postgresql", "postgres"):
        from .postgresql_log import PostgresqlLog

        return PostgresqlLog(url, kept)
    raise ValueError(f"a log is sqlite:///PATH, redis://… or postgresql://…, not {scheme}://…")
