"""Keep the state of long jobs in a file, and send each change of it to the browser.

A web process adds a job and sends its events. A process of its own runs the job.
"""

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from flask import Response, request
from werkzeug.exceptions import BadRequest, Conflict, NotFound, ServiceUnavailable

from .event_log.feed import Feed
from .event_log.sqlite_log import SqliteLog, insert
from .json_lines import to_json
from .sse import HEADERS, HEARTBEAT, event

#: How much is done and how much there is, again and again.
Steps = Iterable[tuple[int, int]]

#: Seconds after which a job that was added is in the queue.
ADDING = 1.0

TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, key TEXT UNIQUE, state TEXT NOT NULL, done INTEGER NOT NULL,
    total INTEGER NOT NULL, result TEXT NOT NULL, cancelling INTEGER NOT NULL,
    event INTEGER NOT NULL, changed REAL NOT NULL
)
"""


class Job(NamedTuple):
    """A job, as it is now.

    :param id: its name in a URL, which nobody can guess.
    :param key: the ``Idempotency-Key`` of the request that added it.
    :param state: ``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``.
    :param done: how much of the work is done.
    :param total: how much work there is. 0 while it is unknown.
    :param result: what the job returned, as JSON.
    :param cancelling: 1 when a client has cancelled it, and it has not noticed yet.
    :param event: the id of its last event.
    """

    id: str
    key: str | None
    state: str = "waiting"
    done: int = 0
    total: int = 0
    result: str = "null"
    cancelling: int = 0
    event: int = 0

    @property
    def ended(self) -> bool:
        """Whether it changes no more."""
        return self.state not in ("waiting", "running")

    def text(self) -> str:
        """Return what the browser shows, as JSON."""
        shown = {name: getattr(self, name) for name in ("state", "done", "total")}
        return json.dumps(shown | {"result": json.loads(self.result)})


class JobFile(SqliteLog):
    """A log of events that shares its file with the table of jobs."""

    def connect(self) -> sqlite3.Connection:
        """Open the file, and create the table if it is missing."""
        connection = super().connect()
        connection.execute(TABLE)
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, which no other process can change or see in between."""
        connection = self.connection()
        with self.lock:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection


class Jobs:
    r"""Jobs in an SQLite file, with a log of their changes.

    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> jobs = Jobs(f"{folder.name}/jobs.sqlite")
    >>> job = jobs.add(lambda job_id: None)
    >>> jobs.run(job.id, [(1, 2), (2, 2)])
    >>> stream = jobs.listen(job.id)
    >>> next(stream), next(stream)
    (b'retry: 1000\n', b'id: 4\ndata: {"state": "done", "done": 2, "total": 2, "result": null}\n\n')
    >>> stream.close()
    >>> jobs.close()
    >>> folder.cleanup()

    :param path: the file. It is created with its folder.
    :param most: how many jobs may wait.
    :param kept: seconds after which a job is deleted that has ended or that no consumer runs.
    :param pause: seconds between two events of a job, at least.
    :param silence: seconds between two heartbeats of a stream.
    :param wake: starts what runs the jobs. It is called when a job was added, and at each
        heartbeat of a job that has not ended.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        most: int = 20,
        kept: float = 86_400,
        pause: float = 0.25,
        silence: float = 15,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self.most, self.kept, self.pause, self.wake = most, kept, pause, wake
        self.file = JobFile(path, kept=1000)
        self.feed = Feed(self.file, silence=silence)

    def close(self) -> None:
        """Close the connection of this process."""
        self.file.close()

    # In the web process

    def add(self, enqueue: Callable[..., object], *arguments: Any, key: str | None = None) -> Job:
        """Add a job to a queue, and return it.

        :param enqueue: adds it to your queue. It is called with the id of the job.
        :param arguments: its further arguments.
        :param key: a text of the client. The same key again returns the same job.
        :raises werkzeug.exceptions.BadRequest: when the key is not 16 to 64 letters, digits, ``-``
            and ``_``.
        :raises werkzeug.exceptions.ServiceUnavailable: when too many jobs wait.
        """
        if key is not None and re.fullmatch("[A-Za-z0-9_-]{16,64}", key) is None:
            raise BadRequest("a key has 16 to 64 letters, digits, - and _")
        with self.file.writing() as connection:
            old = "DELETE FROM jobs WHERE state <> 'running' AND changed < ?"
            connection.execute(old, [time.time() - self.kept])
            if key and (job := find(connection, "key", key)):
                return job
            if count(connection, "waiting") >= self.most:
                raise ServiceUnavailable("too many jobs wait", retry_after=30)
            job = self.save(connection, Job(secrets.token_urlsafe(16), key))
        try:
            enqueue(job.id, *arguments)
        except BaseException:
            self.change(job.id, ["waiting"], state="failed", key=None)
            raise
        self.wake()
        return job

    def get(self, job_id: str) -> Job:
        """Return a job.

        :raises werkzeug.exceptions.NotFound: when there is no such job.
        """
        connection = self.file.connection()
        with self.file.lock:
            job = find(connection, "id", job_id)
        if job is None:
            raise NotFound("there is no such job")
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a job, and return it. A job that runs ends when it next yields.

        :raises werkzeug.exceptions.NotFound: when there is no such job.
        :raises werkzeug.exceptions.Conflict: when it has ended already.
        """
        job = self.change(job_id, ["waiting"], state="cancelled")
        if job is None:
            job = self.change(job_id, ["running"], cancelling=1)
        if job is None:
            raise Conflict(f"the job is {self.get(job_id).state}")
        return job

    def response(self, job_id: str) -> Response:
        """Return the response with the events of a job, for a view.

        It is 204 when the client has the last event, so that an ``EventSource`` ends.

        :raises werkzeug.exceptions.NotFound: when there is no such job.
        """
        job = self.get(job_id)
        if job.ended and request.headers.get("Last-Event-ID") == str(job.event):
            return Response(status=204)
        return Response(self.stream(job_id), mimetype="text/event-stream", headers=HEADERS)

    def listen(self, job_id: str) -> Generator[bytes, None, None]:
        """Return a stream of events: the state now, and then each change, up to the end.

        :raises werkzeug.exceptions.NotFound: when there is no such job, before the stream starts.
        """
        self.get(job_id)
        return self.stream(job_id)

    def stream(self, job_id: str) -> Generator[bytes, None, None]:
        """Yield the events of a job. What the log sends only wakes this stream."""
        seen = 0
        with closing(self.feed.listen()) as news:
            for chunk in news:
                if not chunk.startswith((b"id:", b"event:")):
                    yield chunk  # its first line, or a heartbeat
                job = self.get(job_id)
                if job.event != seen:
                    seen = job.event
                    yield event(job.text(), id=seen)
                if job.ended:
                    return
                if chunk == HEARTBEAT:
                    self.wake()

    # In the process that runs the jobs

    def task(self, steps: Callable[..., Steps]) -> Callable[..., None]:
        """Decorate a generator function, so that a queue can call it with the id of a job.

        See :meth:`run`. The further arguments are passed to the function.
        """

        @wraps(steps)
        def run(job_id: str, *arguments: Any) -> None:
            self.run(job_id, steps(*arguments))

        return run

    def run(self, job_id: str, steps: Steps) -> None:
        """Run a job to its end.

        :param steps: does the work, and yields how much is done and how much there is. It is
            closed when the job is cancelled. What a generator returns becomes the result of the
            job, by :func:`.json_lines.to_json`.
        """
        if self.change(job_id, ["waiting"], state="running") is None:
            return  # it was cancelled while it waited
        try:
            changes = self.follow(job_id, steps)
        except BaseException:
            self.change(job_id, ["running"], state="failed")
            raise
        self.change(job_id, ["running"], **changes)

    def follow(self, job_id: str, steps: Steps) -> dict[str, Any]:
        """Run the steps of a job, write down how far it is, and return how it ended."""
        written, done, total, iterator = -self.pause, 0, 0, iter(steps)
        try:
            while True:
                try:
                    done, total = next(iterator)
                except StopIteration as end:
                    ended = {"state": "done", "done": done, "total": total}
                    return ended | {"result": to_json(end.value).decode()}
                if (now := time.monotonic()) - written >= self.pause:
                    written = now
                    job = self.change(job_id, ["running"], done=done, total=total)
                    if job is None or job.cancelling:
                        return {"state": "cancelled"}
        finally:
            if isinstance(steps, Generator):
                steps.close()

    def recover(self, queued: Callable[[], Sequence[object]]) -> None:
        """Let the jobs fail that a killed process was running, or had taken from the queue.

        Call it when the only process that runs jobs starts, before it runs one.

        :param queued: returns the ids of the jobs in the queue.
        """
        for job_id in self.ids("running"):
            self.change(job_id, ["running"], state="failed")
        self.fail_lost(queued)

    def fail_lost(self, queued: Callable[[], Sequence[object]]) -> None:
        """Let the jobs fail that wait and are not in the queue, as nothing would ever run them.

        A web process was killed before it added such a job to the queue, or a consumer was killed
        before it ran the job. Other jobs may run meanwhile: each of them is looked for twice, and
        a job that failed here is not run later.

        :param queued: returns the ids of the jobs in the queue.
        """
        if lost := absent(self.ids("waiting"), queued()):
            time.sleep(ADDING)
            for job_id in absent(lost, queued()):
                self.change(job_id, ["waiting"], state="failed")

    def ids(self, state: str) -> list[str]:
        """Return the ids of the jobs in a state."""
        with self.file.writing() as connection:
            rows = connection.execute("SELECT id FROM jobs WHERE state = ?", [state]).fetchall()
        return [job_id for (job_id,) in rows]

    def running(self) -> int:
        """Return how many jobs run."""
        with self.file.writing() as connection:
            return count(connection, "running")

    # In both

    def change(self, job_id: str, states: Sequence[str], **values: Any) -> Job | None:
        """Change a job and append its event, in one transaction.

        :param states: the states in which it may be now.
        :param values: the new values of its fields.
        :returns: the job, or None when it is in another state or unknown.
        """
        with self.file.writing() as connection:
            job = find(connection, "id", job_id)
            if job is None or job.state not in states:
                return None
            return self.save(connection, job._replace(**values))

    def save(self, connection: sqlite3.Connection, job: Job) -> Job:
        """Write a job and its event, and return the job with the id of the event."""
        job = job._replace(event=insert(connection, job.text(), job.id, self.file.kept))
        row = [*job, time.time()]
        connection.execute(f"REPLACE INTO jobs VALUES ({', '.join('?' * len(row))})", row)
        return job


def absent(ids: list[str], queued: Sequence[object]) -> list[str]:
    """Return the ids that are not in a queue."""
    return [job_id for job_id in ids if job_id not in queued]


def find(connection: sqlite3.Connection, column: str, value: str) -> Job | None:
    """Return the job with this value in a column, or None."""
    query = f"SELECT * FROM jobs WHERE {column} = ?"
    row = connection.execute(query, [value]).fetchone()
    return Job(*row[:-1]) if row else None


def count(connection: sqlite3.Connection, state: str) -> int:
    """Return how many jobs are in a state."""
    query = "SELECT count(*) FROM jobs WHERE state = ?"
    return int(connection.execute(query, [state]).fetchone()[0])
