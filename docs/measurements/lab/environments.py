"""What a measurement is made of: programs and packages, and environments for what needs its own."""

import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from docs._system.packaged import search_path
from docs.measurements.lab.processes import NotStartedError

HERE = Path(sys.executable).parent  # the programs of this environment
INSTALLING = 600  # seconds that pip or npm may take
ONE_AT_A_TIME = Lock()  # two that need the same environment would each make one


@cache
def made(python: Path, packages: tuple[str, ...]) -> TemporaryDirectory[str]:
    """Make an environment, which goes when this program ends; see :func:`environment`."""
    folder = TemporaryDirectory(prefix="environment-")
    Path(folder.name).chmod(0o755)  # some servers change their user
    commands = [
        [str(python), "-m", "venv", folder.name],
        [f"{folder.name}/bin/pip", "install", "-q", "--no-cache-dir", *packages],
    ]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALLING)
        except (OSError, subprocess.SubprocessError) as error:
            output = str(getattr(error, "stderr", None) or error).split()
            raise NotStartedError(f"cannot be installed: {' '.join(output[-30:])}") from error
    return folder


def environment(*packages: str, python: Path = Path(sys.executable)) -> Path:
    """Return the folder of the programs of an environment, which is made once for all who ask.

    :param packages: what to install, such as ``flask==3.1.3``.
    :param python: the interpreter to make it with.
    :raises NotStartedError: when something cannot be installed.
    """
    with ONE_AT_A_TIME:
        return Path(made(python, packages).name, "bin")


def made_of(*packages: str, programs: Path = HERE) -> str:
    """Return packages with their versions, such as ``gunicorn 27.0.1, gevent 26.9.0``.

    :param programs: the folder of the programs of their environment, this one otherwise.
    :raises NotStartedError: when one is not installed.
    """
    theirs = [str(folder) for folder in programs.parent.glob("lib/python*/site-packages")]
    parts = []
    for package in packages:
        path = sys.path if programs == HERE else theirs
        found = next(iter(distributions(name=package, path=path)), None)
        if found is None:
            raise NotStartedError(f"not installed: {package}")
        parts.append(f"{package} {found.version}")
    return ", ".join(parts)


def find_program(name: str, path: str = "") -> str:
    """Return the path of a program.

    :param path: where it is searched, otherwise where this environment has its programs and
        :func:`~docs._system.packaged.search_path` leads.
    :raises NotStartedError: when it is not installed.
    """
    found = shutil.which(name, path=path or search_path())
    if not found:
        raise NotStartedError(f"{name} is not installed")
    return found


def printed_version(program: str, *options: str) -> str:
    """Return the version that a program prints, such as ``1.31.3``.

    :param program: its path.
    :param options: with which it does.
    """
    done = subprocess.run([program, *options], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+[\w.]*", (done.stdout + done.stderr).replace(program, ""))
    return found[0] if found else "of no version"


def version_of(program: str) -> str:
    """Return the name and the version of a program, such as ``curl 8.14.1``.

    :raises NotStartedError: when it is not installed.
    """
    options = [] if program == "busybox" else ["--version"]
    return f"{program} {printed_version(find_program(program), *options)}"
