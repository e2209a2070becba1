"""Measure how much memory each source takes, and how soon its first byte comes, by rows.

``nox -s measure -- memory`` measures it again and writes ``results/recorded/memory.csv``. It
makes databases of ten million flights, which take three gigabytes for as long as it runs.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from distributed import LocalCluster

from docs.measurements.lab.databases import Databases, databases
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import drain, first_byte
from docs.measurements.lab.results import RECORDED, Cells, write
from docs.measurements.speed.throughput import ALL, Source
from examples.sources.cluster import write_partitions

MEMORY = RECORDED / "memory.csv"

NUMBERS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RUNS = 15  # how often the first byte is asked for
PAUSE = 0.1  # seconds in which a stream that was left ends


def peak(process_id: int) -> int:
    """Return the most memory that a process has taken so far, in KiB, as Linux counts it."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1])


class Found(NamedTuple):
    """What was measured of one source and one number of rows.

    :param peak: of the process, in KiB, after one export.
    :param first: the seconds until the first byte, each time.
    :param whole: the seconds of the export.
    """

    peak: int
    first: list[float]
    whole: float


def measure(source: str, places: dict[int, dict[str, str]]) -> dict[int, Found]:
    """Export all flights once of each number, then ask for the first byte of each, in turn.

    :param source: its name.
    :param places: for each number of rows the environment that says where the flights are.
    """
    found: dict[int, Found] = {}
    with ExitStack() as stack:
        served: dict[int, Gunicorn] = {}
        for number, settings in places.items():
            own = {"FLASK_CSV_SOURCE": source} | settings
            start = gunicorn("examples.large_csv:app", settings=own, ready=("/", 404))
            served[number] = stack.enter_context(start)
            whole = drain(served[number].port, "/large.csv").seconds
            found[number] = Found(peak(served[number].worker.pid), [], whole)
        for _ in range(RUNS):
            for number, server in served.items():
                found[number].first.append(first_byte(server.port, "/large.csv"))
                time.sleep(PAUSE)
    return found


@contextmanager
def cluster(made: dict[int, Databases]) -> Iterator[dict[int, dict[str, str]]]:
    """Run a Dask cluster of two workers, with the flights of some databases in partitions.

    :param made: the databases.
    :returns: for each number of rows the environment of a process that reads from the cluster.
    """
    workers = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    with (
        TemporaryDirectory(prefix="partitions-") as folder,
        LocalCluster(**workers, dashboard_address="127.0.0.1:0") as dask,
    ):
        places = {}
        for number, databases in made.items():
            partitions = Path(folder, str(number))
            with patch.dict(os.environ, DATABASE_URL=f"sqlite:///{databases.file}"):
                write_partitions(partitions)
            places[number] = {
                "DASK_SCHEDULER_ADDRESS": dask.scheduler_address,
                "FLIGHTS_PARQUET": str(partitions),
            }
        yield places


def rows() -> Iterator[list[object]]:
    """Measure every source with every number of rows, and yield the rows of the table."""
    own = measured_on("gunicorn", "psycopg", "pyarrow", "adbc-driver-manager", "distributed")
    columns = ["peak, KiB", "first byte, ms", "export, seconds"]
    yield ["source", "database", "rows", "runs", *columns, *own]
    with ExitStack() as stack:
        made = {number: stack.enter_context(databases(number)) for number in NUMBERS}
        for source in ALL:
            places = {number: {"DATABASE_URL": source.url(each)} for number, each in made.items()}
            yield from cells(source, measure(source.name, places), own)
        places = stack.enter_context(cluster(made))
        yield from cells(Source("cluster", "Parquet"), measure("cluster", places), own)


def cells(source: Source, found: dict[int, Found], own: Cells) -> Iterator[list[object]]:
    """Yield the rows of a source.

    :param own: what every row of results has.
    """
    for number, (memory, first, whole) in found.items():
        milliseconds = round(1000 * median(first), 2)
        row = [*source, number, RUNS, memory, milliseconds, round(whole, 2)]
        print(*row, flush=True)
        yield [*row, *own.values()]


if __name__ == "__main__":
    write(MEMORY, rows())
