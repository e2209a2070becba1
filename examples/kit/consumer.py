"""Run the jobs of a queue in one process, however many web processes start it (huey, POSIX).

In a terminal: ``python -m examples.kit.consumer long_jobs:queue long_jobs:jobs``.
"""

import fcntl
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from threading import Thread
from typing import IO, Any

from .jobs import Jobs

#: Seconds between two looks for jobs that wait and are not in the queue.
LOOK = 10.0

#: The environment variable with the descriptor of a lock file that the parent has locked.
INHERITED = "CONSUMER_LOCK"


def lock(path: Path) -> IO[bytes] | None:
    """Lock a file until it is closed, also when the process is killed.

    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name) / "consumer.lock"
    >>> held = lock(path)
    >>> print(lock(path))
    None
    >>> held.close()
    >>> folder.cleanup()

    :param path: the file. It is created if it is missing.
    :returns: the file, or None while another process has it locked.
    """
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def start(command: Sequence[str], path: Path) -> None:
    """Start a consumer as a process of its own, which outlives its parent, unless one runs.

    The lock is passed to the new process. If several processes call this at the same time, one of
    them starts a consumer.

    :param command: a program that calls :func:`consume`.
    :param path: the lock file. The output of the consumer is appended to it.
    """
    file = lock(path)
    if file is None:
        return
    with file, path.open("ab") as output:  # a copy of the locked file would keep the lock
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {INHERITED: str(file.fileno())},
            pass_fds=[file.fileno()],
            start_new_session=True,  # CTRL+C in the terminal of the web process does not reach it
        )
    Thread(target=process.wait, daemon=True).start()  # without a wait it is a zombie


def consume(queue: Any, jobs: Jobs, path: Path, *, idle: float = math.inf, **options: Any) -> bool:
    """Run the jobs of a queue, and be the only process that runs them.

    SIGTERM ends it. It waits for the jobs that run, at most ``shutdown_timeout`` seconds.

    :param queue: a queue of huey, whose tasks call :meth:`~examples.kit.jobs.Jobs.run`.
    :param jobs: their states. Jobs that ran in a killed consumer fail now. Waiting jobs that are
        not in the queue fail within some seconds.
    :param path: the lock file.
    :param idle: seconds without a job after which it ends.
    :param options: options of huey's ``Consumer``.
    :returns: False when another process runs the jobs.
    """
    descriptor = os.environ.pop(INHERITED, None)
    while file := os.fdopen(int(descriptor), "ab") if descriptor else lock(path):
        descriptor = None
        with file:
            jobs.recover(partial(queued, queue))
            consumer = queue.create_consumer(
                **{"workers": 2, "periodic": False, "max_delay": 0.2, "shutdown_timeout": 25}
                | {"graceful_signal": "TERM"}
                | options
            )
            watch = Watch(consumer, jobs, idle)
            watch.start()
            consumer.run()
            watch.join()
        # A job that was added in the last moment found the file locked, and no consumer.
        if not watch.idle_too_long or not queue.pending_count():
            return True
    return False


def queued(queue: Any) -> list[object]:
    """Return the ids of the jobs in a queue of huey, also of jobs that run later."""
    return [task.args[0] for task in [*queue.pending(), *queue.scheduled()] if task.args]


class Watch(Thread):
    """End a consumer that has had no job for some time, and let lost jobs fail."""

    def __init__(self, consumer: Any, jobs: Jobs, idle: float) -> None:
        super().__init__(daemon=True)
        self.consumer, self.jobs, self.idle = consumer, jobs, idle
        #: Whether it has ended the consumer.
        self.idle_too_long = False

    def run(self) -> None:
        """Look at the jobs until the consumer ends."""
        since = looked = time.monotonic()
        while not self.consumer.stop_flag.wait(0.2):
            if self.consumer.huey.pending_count() or self.jobs.running():
                since = time.monotonic()
            if time.monotonic() - looked > LOOK:
                looked = time.monotonic()
                self.jobs.fail_lost(partial(queued, self.consumer.huey))
            if time.monotonic() - since > self.idle:
                self.idle_too_long = True
                self.consumer.stop(graceful=True)


def main(queue: str, jobs: str) -> bool:
    """Run the jobs of a queue, with a lock file next to the file of their states.

    :param queue: the name of the queue, such as ``long_jobs:queue``.
    :param jobs: the name of the states, such as ``long_jobs:jobs``.
    :returns: False when another process runs the jobs.
    """
    states = resolve_name(jobs)
    states.file.path.parent.mkdir(parents=True, exist_ok=True)
    return consume(resolve_name(queue), states, Path(f"{states.file.path}.lock"))


if __name__ == "__main__":
    sys.exit(None if main(*sys.argv[1:]) else "another process runs the jobs")
