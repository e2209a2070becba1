"""Keep a log of events in a PostgreSQL table, for processes on any number of machines."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from .log import Entry, EventLog, OncePerProcess

if TYPE_CHECKING:
    from psycopg import Connection

#: Seconds until a connection that cannot be opened is an error, and one whose server is silent on
#: the network (on Linux).
PATIENCE = 5

#: The table, and the row that counts the events. Two processes may create them at the same time.
TABLES = """
BEGIN;
SELECT pg_advisory_xact_lock(6573847);
CREATE TABLE IF NOT EXISTS event_log (
    id bigint PRIMARY KEY, name text NOT NULL, data text NOT NULL
);
CREATE TABLE IF NOT EXISTS event_count (id bigint NOT NULL);
INSERT INTO event_count SELECT 0 WHERE NOT EXISTS (SELECT FROM event_count);
COMMIT
"""

#: An event gets its id from a row that stays locked until COMMIT. So ids are in the order of the
#: commits, and no reader skips an event that is committed late. A sequence promises neither.
INSERT = """
WITH counted AS (UPDATE event_count SET id = id + 1 RETURNING id),
     trimmed AS (DELETE FROM event_log USING counted WHERE event_log.id <= counted.id - %s)
INSERT INTO event_log SELECT id, %s, %s FROM counted RETURNING id, pg_notify('event_log', '')
"""


def insert(connection: "Connection", data: str, name: str, kept: int) -> int:
    """Append an event in a transaction of yours, and return its key.

    It is sent when you commit. Until then every other append waits, so commit soon.

    :param connection: the connection with the transaction, to the database of the log.
    :param data: its text.
    :param name: its ``event``, or ``""``.
    :param kept: how many events the log keeps.
    """
    row = connection.execute(INSERT, (kept, name, data)).fetchone()
    assert row is not None
    return int(row[0])


class PostgresqlLog(EventLog):
    """A log in a PostgreSQL table. ``LISTEN`` wakes the follower, and the table has the events.

    A process has two connections: one for its follower, and one to publish and to catch up.

    :param url: the address, as libpq reads it.
    :param kept: how many events the table keeps.
    """

    def __init__(self, url: str, kept: int) -> None:
        import psycopg

        self.errors = (psycopg.Error, OSError)
        self.kept = kept

        def connect() -> "Connection":
            connection = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=PATIENCE,
                tcp_user_timeout=1000 * PATIENCE,
                application_name="event_log",
            )
            with ExitStack() as failed:
                failed.callback(connection.close)
                found = connection.execute("SELECT to_regclass('event_count')").fetchone()
                if found == (None,):
                    connection.execute(TABLES)
                failed.pop_all()
            return connection

        self.connect = connect
        self.opened = OncePerProcess(connect)

    def connection(self) -> "Connection":
        """Return the connection of this process, a new one if the last one is broken."""
        connection = self.opened()
        if connection.closed:
            self.opened.forget(connection)
            return self.opened()
        return connection

    def insert(self, data: str, name: str) -> int:
        """Append an event in a transaction of its own."""
        return insert(self.connection(), data, name, self.kept)

    def entries(self, first: int, limit: int) -> list[Entry]:
        """Read events in one short query."""
        query = "SELECT id, data, name FROM event_log WHERE id >= %s ORDER BY id LIMIT %s"
        return [Entry(*row) for row in self.connection().execute(query, (first, limit))]

    def newest(self) -> int:
        """Read the greatest key."""
        found = self.connection().execute("SELECT max(id) FROM event_log").fetchone()
        return (found and found[0]) or 0

    @contextmanager
    def watch(self) -> Iterator[Callable[[int, float], None]]:
        """Wait for a notification, on a connection that listens."""
        with closing(self.connect()) as connection:
            connection.execute("LISTEN event_log")

            def wait(_: int, seconds: float) -> None:
                for _notification in connection.notifies(timeout=seconds, stop_after=1):
                    pass

            yield wait

    def close(self) -> None:
        """Close the connection of this process."""
        self.opened.close()
