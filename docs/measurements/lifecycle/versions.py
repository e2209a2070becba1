"""Record what Flask does on several of its versions.

A virtual environment is made for each version, which needs the network; ``order.py`` and
``resources.py`` run in it.
"""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

from docs._system import ROOT
from docs.measurements.lab.environments import environment
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.results import Cells

#: Two from before the change to ``stream_with_context`` in Flask 3.1.2, and two from after it.
FLASKS = ("3.0.3", "3.1.1", "3.1.2", "3.1.3")

RECORDING = 300  # seconds that a program may take


def with_flask(flask: str, *packages: str) -> Path:
    """Return the folder of the programs of an environment with a version of Flask.

    :param flask: the version to install, with the Werkzeug that is installed here.
    :param packages: what else to install.
    :raises NotStartedError: when something cannot be installed.
    """
    return environment(f"flask=={flask}", f"werkzeug=={version('werkzeug')}", *packages)


def rows_of(program: str) -> Iterator[Cells]:
    """Yield the rows that a program of this folder records, on every version of Flask.

    :raises RuntimeError: when another version was recorded, as a ``PYTHONPATH`` may cause.
    """
    for flask in FLASKS:
        python = str(with_flask(flask) / "python")
        command = [python, "-m", f"docs.measurements.lifecycle.{program}"]
        for row in json.loads(subprocess.check_output(command, cwd=ROOT, timeout=RECORDING)):
            if row["flask"] != flask:
                raise RuntimeError(f"recorded on Flask {row['flask']}, not on {flask}")
            yield measured_on() | row


order_rows = partial(rows_of, "order")
resource_rows = partial(rows_of, "resources")
