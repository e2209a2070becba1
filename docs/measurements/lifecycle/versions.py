"""Record what Flask does on several of its versions.

``nox -s measure -- lifecycle`` makes a virtual environment for each version, runs ``order.py`` and
``resources.py`` in it, and writes ``results/recorded/lifecycle.csv`` and
``results/recorded/lifecycle_resources.csv``. It needs the network.
"""

import json
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from docs._system import ROOT
from docs.measurements.lab.environments import environment
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.results import Cells, record

#: Two from before the change to ``stream_with_context`` in Flask 3.1.2, and two from after it.
FLASKS = ("3.0.3", "3.1.1", "3.1.2", "3.1.3")

#: What records on the installed Flask, by the table that it fills.
RECORDERS = {"lifecycle": "order", "lifecycle_resources": "resources"}

RECORDING = 300  # seconds that a program may take


def with_flask(flask: str, *packages: str) -> Path:
    """Return the folder of the programs of an environment with a version of Flask.

    :param flask: the version to install, with the Werkzeug that is installed here.
    :param packages: what else to install.
    :raises NotStartedError: when something cannot be installed.
    """
    return environment(f"flask=={flask}", f"werkzeug=={version('werkzeug')}", *packages)


def rows_of(program: str, flask: str) -> Iterator[Cells]:
    """Yield the rows that a program records on a version of Flask.

    :param program: of :data:`RECORDERS`.
    :param flask: the version.
    :raises RuntimeError: when another version was recorded, as a ``PYTHONPATH`` may cause.
    """
    python = str(with_flask(flask) / "python")
    command = [python, "-m", f"docs.measurements.lifecycle.{program}"]
    for row in json.loads(subprocess.check_output(command, cwd=ROOT, timeout=RECORDING)):
        if row["flask"] != flask:
            raise RuntimeError(f"recorded on Flask {row['flask']}, not on {flask}")
        yield measured_on() | row


def main() -> None:
    """Record on every version, and write the rows."""
    for table, program in RECORDERS.items():
        record(table, [row for flask in FLASKS for row in rows_of(program, flask)])


if __name__ == "__main__":
    main()
