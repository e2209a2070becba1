"""Measure how much memory each source takes, and how soon its first byte comes, by rows.

It makes databases of ten million flights, which take three gigabytes for as long as it runs.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

from distributed import LocalCluster

from docs.measurements.lab.databases import Databases, databases
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import drain, first_byte
from docs.measurements.lab.results import Cells
from docs.measurements.speed.sources import EXPORT, SOURCES, Source
from examples.sources.cluster import write_partitions

ROW_COUNTS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
FIRST_BYTES = 15  # how often the first byte is asked for
CLOSES_WITHIN = 0.1  # seconds in which a stream that was left ends


def peak(served: Gunicorn) -> int:
    """Return the most memory that a worker has taken so far, in KiB, as Linux counts it."""
    status = Path(f"/proc/{served.worker.pid}/status").read_text("ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1])


def memory_rows(source: Source, settings: dict[int, dict[str, str]]) -> Iterator[Cells]:
    """Export all flights once of each number, then ask for the first byte of each, in turn.

    :param settings: for each number of rows the environment of the process that reads them.
    """
    served: dict[int, Gunicorn] = {}
    peaks: dict[int, int] = {}
    exports: dict[int, float] = {}
    first: dict[int, list[float]] = {number: [] for number in settings}
    with ExitStack() as stack:
        for number, own in settings.items():
            served[number] = stack.enter_context(gunicorn(EXPORT, settings=own))
            exports[number] = drain(served[number].port, "/large.csv").seconds
            peaks[number] = peak(served[number])
        for _ in range(FIRST_BYTES):
            for number, found in first.items():
                found.append(first_byte(served[number].port, "/large.csv"))
                time.sleep(CLOSES_WITHIN)
    for number in settings:
        yield source.cells() | {
            "rows": number,
            "runs": FIRST_BYTES,
            "peak, KiB": peaks[number],
            "first byte, ms": round(1000 * median(first[number]), 2),
            "export, seconds": round(exports[number], 2),
            **measured_on("gunicorn", "psycopg", "pyarrow", "adbc-driver-manager", "distributed"),
        }


@contextmanager
def cluster(made: dict[int, Databases]) -> Iterator[dict[int, dict[str, str]]]:
    """Run a Dask cluster of two workers, with the flights of some databases in partitions.

    :param made: the databases, by their numbers of rows.
    :returns: for each number of rows the environment of a process that reads from the cluster.
    """
    workers = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    with (
        TemporaryDirectory(prefix="partitions-") as folder,
        LocalCluster(**workers, dashboard_address="127.0.0.1:0") as dask,
    ):
        settings = {}
        for number, databases in made.items():
            partitions = Path(folder, str(number))
            with patch.dict(os.environ, DATABASE_URL=f"sqlite:///{databases.file}"):
                write_partitions(partitions)
            settings[number] = {
                "FLASK_CSV_SOURCE": "cluster",
                "DASK_SCHEDULER_ADDRESS": dask.scheduler_address,
                "FLIGHTS_PARQUET": str(partitions),
            }
        yield settings


def all_rows() -> Iterator[Cells]:
    """Measure every source with every number of rows, and yield the rows of the table."""
    with ExitStack() as stack:
        made = {number: stack.enter_context(databases(number)) for number in ROW_COUNTS}
        for source in SOURCES:
            settings = {number: source.settings(each) for number, each in made.items()}
            yield from memory_rows(source, settings)
        settings = stack.enter_context(cluster(made))
        yield from memory_rows(Source("cluster", "Parquet"), settings)
