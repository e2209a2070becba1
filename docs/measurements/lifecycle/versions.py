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

from docs.measurements.lab.environments import environment
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import ROOT
from docs.measurements.lab.results import Cells, record

#: Two from before the change to ``stream_with_context`` in Flask 3.1.2, and two from after it.
FLASKS = ("3.0.3", "3.1.1", "3.1.2", "3.1.3")

#: What records on the installed Flask, by the table that it fills.
PROGRAMS = {"lifecycle": "order", "lifecycle_resources": "resources"}

RECORDING = 300  # seconds that a program may take


def with_flask(flask: str, *packages: str) -> Path:
    """Return the folder of the programs of an environment with a version of Flask.

    :param flask: the version to install, with the Werkzeug that is installed here.
    :param packages: what else to install.
    :raises NotStartedError: when something cannot be installed.
    """
    return environment(f"flask=={flask}", f"werkzeug=={version('werkzeug')}", *packages)


def rows_of(program: str, flask: str, programs: Path) -> Iterator[Cells]:
    """Yield the rows that a program records in an environment.

    :param program: of :data:`PROGRAMS`.
    :param flask: the version there.
    :param programs: where the programs of the environment are.
    :raises RuntimeError: when another version was recorded, as a ``PYTHONPATH`` may cause.
    """
    command = [str(programs / "python"), "-m", f"docs.measurements.lifecycle.{program}"]
    printed = subprocess.check_output(command, cwd=ROOT, timeout=RECORDING)
    for row in json.loads(printed):
        if row["flask"] != flask:
            raise RuntimeError(f"recorded on Flask {row['flask']}, not on {flask}")
        yield measured_on() | row


def main() -> None:
    """Record on every version, and write the rows."""
    rows: dict[str, list[Cells]] = {table: [] for table in PROGRAMS}
    for flask in FLASKS:
        programs = with_flask(flask)
        for table, program in PROGRAMS.items():
            rows[table] += rows_of(program, flask, programs)
    for table, found in rows.items():
        record(table, found)


if __name__ == "__main__":
    main()
