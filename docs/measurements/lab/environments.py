"""What a measurement is made of: programs and packages, and environments for what needs its own."""

import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from docs.measurements.lab.processes import NotStartedError

INSTALLING = 300  # seconds that making an environment may take
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


def versions(programs: Path, packages: Sequence[str]) -> str:
    """Return packages of an environment with their versions, such as ``gunicorn 27.0.1``.

    :param programs: the folder of its programs.
    :raises NotStartedError: when one is not installed.
    """
    ask = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    found = subprocess.run(
        [programs / "python", "-c", ask, *packages], capture_output=True, text=True
    )
    if found.returncode:
        raise NotStartedError(f"not installed: {', '.join(packages)}")
    pairs = zip(packages, found.stdout.split(), strict=True)
    return ", ".join(f"{package} {number}" for package, number in pairs)


def made_of(*packages: str) -> str:
    """Return packages of this environment with their versions.

    :raises NotStartedError: when one is not installed.
    """
    try:
        return ", ".join(f"{package} {version(package)}" for package in packages)
    except PackageNotFoundError as error:
        raise NotStartedError(f"not installed: {error.name}") from error


def printed_version(program: str, *options: str) -> str:
    """Return the version that a program prints, such as ``1.31.3``.

    :param program: its path.
    :param options: with which it does.
    """
    done = subprocess.run([program, *options], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+[\w.]*", (done.stdout + done.stderr).replace(program, ""))
    return found[0] if found else "of no version"
