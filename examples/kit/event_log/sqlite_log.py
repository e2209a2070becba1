"""Keep a log of events in an SQLite file, for several processes on one machine."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Lock

from .log import Entry, EventLog, OncePerProcess

#: Seconds between two looks at the file, as SQLite cannot wake another process.
PAUSE = 0.05

#: Seconds that an append waits for another writer.
PATIENCE = 10

TABLE = """
CREATE TABLE IF NOT EXISTS event_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, data TEXT NOT NULL
)
"""


def insert(connection: sqlite3.Connection, data: str, name: str, kept: int) -> int:
    """Append an event in a transaction of yours, and return its key.

    :param connection: the connection with the transaction, to the file of the log.
    :param data: its text.
    :param name: its ``event``, or ``""``.
    :param kept: how many events the log keeps.
    """
    insertion = "INSERT INTO event_log (name, data) VALUES (?, ?)"
    key = connection.execute(insertion, (name, data)).lastrowid
    assert key is not None
    connection.execute("DELETE FROM event_log WHERE id <= ?", (key - kept,))
    return key


def use_wal(connection: sqlite3.Connection) -> None:
    """Set the WAL mode of a file.

    While another process sets it too, SQLite does not wait, but fails.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(PAUSE)
        else:
            return


class SqliteLog(EventLog):
    """A log in an SQLite file, in WAL mode, so that a reader never waits for a writer.

    :param path: the file. It is created with its folder.
    :param kept: how many events it keeps.
    """

    errors = (sqlite3.Error, OSError)

    def __init__(self, path: str | Path, kept: int) -> None:
        self.path, self.kept, self.lock = Path(path), kept, Lock()
        self.connection = OncePerProcess(self.connect)

    def connect(self) -> sqlite3.Connection:
        """Open the file, and create it if it is missing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = lambda text: text.decode(errors="replace")
        with ExitStack() as failed:
            failed.callback(connection.close)
            use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(TABLE)
            failed.pop_all()
        return connection

    def insert(self, data: str, name: str) -> int:
        """Append an event in a transaction of its own."""
        connection = self.connection()
        with self.lock:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                return insert(connection, data, name, self.kept)

    def entries(self, first: int, limit: int) -> list[Entry]:
        """Read events in one short query."""
        query = "SELECT id, data, name FROM event_log WHERE id >= ? ORDER BY id LIMIT ?"
        with self.lock:
            return [Entry(*row) for row in self.connection().execute(query, (first, limit))]

    def newest(self) -> int:
        """Read the greatest key."""
        with self.lock:
            newest = self.connection().execute("SELECT max(id) FROM event_log").fetchone()[0]
        return newest or 0

    @contextmanager
    def watch(self) -> Iterator[Callable[[int, float], None]]:
        """Look at the version of the file, which changes when another connection commits."""
        with closing(self.connect()) as connection:

            def version() -> int:
                return int(connection.execute("PRAGMA data_version").fetchone()[0])

            seen = version()

            def wait(_: int, seconds: float) -> None:
                nonlocal seen
                end = time.monotonic() + seconds
                while (now := version()) == seen and time.monotonic() < end:
                    time.sleep(PAUSE)
                seen = now

            yield wait

    def close(self) -> None:
        """Close the connection of this process."""
        self.connection.close()
