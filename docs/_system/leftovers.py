"""Leave nothing behind: a run has one folder for all that it writes, and ends all that it starts.

A guardian, which is this module run as a program, waits for the end of the run.
So a run that is killed leaves nothing either.
"""

import fcntl
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import IO

import psutil

#: How the name of a run's folder starts. It is short, for the path of a socket has 107 characters.
PREFIX = "guide-"

#: Where Linux keeps semaphores.
SHARED_MEMORY = Path("/dev/shm")

#: Seconds after SIGTERM that a program has to end, before it gets SIGKILL.
GRACE = 2


def start_program(
    command: Sequence[str], output: int | IO[str], *, settings: Mapping[str, str], folder: Path
) -> subprocess.Popen[str]:
    """Start a program in a session of its own, so that :func:`end_program` ends it.

    :param command: the program and its arguments.
    :param output: where it prints, errors included.
    :param settings: what its environment has beside this one's.
    :param folder: where it runs.
    """
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | dict(settings),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
    )


def terminate(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM to a program that was started in a session of its own, and to all in its group.

    It lets PostgreSQL and Python's resource tracker remove what they have in shared memory.
    """
    with suppress(ProcessLookupError):  # when the last of the group has ended
        os.killpg(process.pid, signal.SIGTERM)


def end_program(process: subprocess.Popen[str], grace: float = GRACE) -> None:
    """End a program that was started in a session of its own, and all in its process group.

    :param grace: seconds from SIGTERM to SIGKILL.
    """
    kill_from = time.monotonic() + grace
    terminate(process)
    with suppress(ProcessLookupError):
        while time.monotonic() < kill_from:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running_program(
    command: Sequence[str], output: int | IO[str], *, settings: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends; see :func:`start_program`."""
    process = start_program(command, output, settings=settings, folder=folder)
    try:
        yield process
    finally:
        end_program(process)


def name_semaphores(folder: Path) -> None:
    """Let the semaphores that multiprocessing makes have the name of a run's folder.

    Its resource tracker does not know one that was made in the moment of a signal.
    """
    vars(multiprocessing.current_process())["_config"]["semprefix"] = f"/{folder.name}"


def started_in(folder: Path) -> set[psutil.Process]:
    """Return what runs with a folder, or one inside it, for temporary files or to work in.

    Neither a process group nor a parent leads to all: PostgreSQL and Chromium leave both.
    nginx and PostgreSQL write over their environment, and stay in the folder in which they work.
    """
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # another user's is not ours
            places = [process.environ().get("TMPDIR", ""), process.cwd()]
            if any(Path(place).is_relative_to(folder) for place in places):
                found.add(process)
    return found - {psutil.Process()}


def tracks(process: psutil.Process) -> bool:
    """Tell whether a process is the resource tracker of Python's multiprocessing."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def clear(folder: Path) -> None:
    """End all that was started with a folder for its temporary files, then remove the folder."""
    kill_from = time.monotonic() + GRACE
    waits_until = kill_from
    terminated: set[psutil.Process] = set()
    while processes := started_in(folder):
        # A tracker removes the semaphores of the others when they have ended, and then ends.
        if others := {process for process in processes if not tracks(process)}:
            processes = others
            waits_until = time.monotonic() + GRACE
        elif time.monotonic() < waits_until:
            time.sleep(0.05)
            continue
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
                if time.monotonic() > kill_from:
                    process.kill()
                elif process not in terminated:
                    process.terminate()
        terminated |= processes
        psutil.wait_procs(processes, timeout=0.1)
    rmtree(folder, ignore_errors=True)  # another run may remove it at the same time
    for semaphore in SHARED_MEMORY.glob(f"sem.{folder.name}-*"):
        semaphore.unlink(missing_ok=True)


def clear_abandoned(place: Path) -> None:
    """Remove the folders of runs that ended together with their guardian.

    :param place: where the folders are.
    """
    for folder in place.glob(f"{PREFIX}*"):
        if folder.stat().st_uid == os.geteuid():
            descriptor = os.open(folder, os.O_RDONLY)
            with suppress(BlockingIOError):  # its run goes on
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clear(folder)
            os.close(descriptor)


def locked_folder(place: Path) -> tuple[Path, int]:
    """Make a folder in which all users may write, and return it with what locks it while open.

    :param place: where to make it.
    """
    folder = Path(tempfile.mkdtemp("", f"new-{PREFIX}", place))  # no other run removes this name
    folder.chmod(0o1777)  # as /tmp is, for servers that change their user
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder.rename(folder.with_name(folder.name.removeprefix("new-"))), lock


@contextmanager
def leaving_nothing() -> Iterator[Path]:
    """Keep the temporary files of the block in one folder; at its end, remove it and end programs.

    All programs that the block starts are ended, and if this process or its nox is killed as well.
    """
    place = Path(tempfile.gettempdir())
    clear_abandoned(place)
    folder, lock = locked_folder(place)
    runs = [os.pidfd_open(os.getpid())]
    if "NOX_CURRENT_SESSION" in os.environ:  # nox leaves pytest running when it is terminated
        runs.append(os.pidfd_open(os.getppid()))
    guardian = subprocess.Popen(
        [sys.executable, "-I", __file__, str(folder), *map(str, runs)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[*runs, lock],
        start_new_session=True,
    )
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    name_semaphores(folder)
    try:
        yield folder
    finally:
        os.environ.pop("TMPDIR")
        if before[0]:
            os.environ["TMPDIR"] = before[0]
        tempfile.tempdir = before[1]
        clear(folder)
        guardian.kill()
        guardian.wait()
        for descriptor in (*runs, lock):
            os.close(descriptor)


def guard(folder: Path, run: int, *others: int) -> None:
    """Wait until a run ends or its nox does, then end the run too and clear its folder.

    :param run: the file descriptor of the process of the run.
    :param others: of its nox, if it has one.
    """
    ended, _, _ = select.select([run, *others], [], [])
    for ending in (signal.SIGTERM, signal.SIGKILL):
        if run not in ended:
            signal.pidfd_send_signal(run, ending)
            ended, _, _ = select.select([run], [], [], GRACE)
    clear(folder)


if __name__ == "__main__":
    guard(Path(sys.argv[1]), *map(int, sys.argv[2:]))
