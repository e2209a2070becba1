"""Measure how much memory each source takes, and how soon its first byte comes, by rows.

``python -m docs.measurements.memory`` measures it again and writes ``results/memory.csv``. It
makes databases of ten million flights, which take four gigabytes for as long as it runs.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

from distributed import LocalCluster

from docs.measurements.flights import databases
from docs.measurements.processes import gunicorn
from docs.measurements.recorder import drain, first_byte
from docs.measurements.results import RESULTS, write
from docs.measurements.servers import measured_on
from docs.measurements.throughput import ALL, Source
from examples.sources.cluster import write_partitions

MEMORY = RESULTS / "memory.csv"

NUMBERS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RUNS = 15  # how often the first byte is asked for
PAUSE = 0.1  # seconds in which a stream that was left ends


def peak(process_id: int) -> int:
    """Return the most memory that a process has taken so far, in KiB, as Linux counts it."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1])


def measure(source: Source, settings: dict[str, str]) -> tuple[int, float, float]:
    """Export all flights once, then ask for the first byte again and again.

    :param settings: the environment of the process, which says where the flights are.
    :returns: the peak of the process in KiB, the seconds until the first byte, those of the export.
    """
    settings = {"FLASK_CSV_SOURCE": source.name} | settings
    with gunicorn("examples.large_csv:app", settings=settings, ready=("/", 404)) as served:
        whole = drain(served.port, "/large.csv")
        memory = peak(served.worker.pid)
        first = []
        for _ in range(RUNS):
            first.append(first_byte(served.port, "/large.csv"))
            time.sleep(PAUSE)
    return memory, median(first), whole.seconds


@contextmanager
def cluster(url: str) -> Iterator[dict[str, str]]:
    """Run a Dask cluster of two workers, with the flights of a database in partitions.

    :param url: of the database.
    :returns: the environment of a process that reads from the cluster.
    """
    workers = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1"}
    with (
        TemporaryDirectory(prefix="partitions-") as folder,
        LocalCluster(**workers, dashboard_address="127.0.0.1:0") as dask,
    ):
        partitions = Path(folder, "flights")
        with patch.dict(os.environ, DATABASE_URL=url):
            write_partitions(partitions)
        yield {
            "DASK_SCHEDULER_ADDRESS": dask.scheduler_address,
            "FLIGHTS_PARQUET": str(partitions),
        }


def rows() -> Iterator[list[object]]:
    """Measure every source with every number of rows, and yield the rows of the table."""
    own = measured_on("gunicorn", "psycopg", "pyarrow", "adbc-driver-manager", "distributed")
    columns = ["peak, KiB", "first byte, ms", "export, seconds"]
    yield ["source", "database", "rows", "runs", *columns, *own]
    for number in NUMBERS:
        with databases(number) as made:
            sqlite = f"sqlite:///{made.file}"
            urls = {"SQLite": sqlite, "PostgreSQL": made.url}
            for source in ALL:
                print(*source, number, flush=True)
                found = measure(source, {"DATABASE_URL": urls[source.database]})
                yield [*source, number, RUNS, *cells(*found), *own.values()]
            with cluster(sqlite) as settings:
                source = Source("cluster", "Parquet")
                found = measure(source, settings)
                yield [*source, number, RUNS, *cells(*found), *own.values()]


def cells(memory: int, first: float, whole: float) -> tuple[int, float, float]:
    """Return what was measured, in the units of the table."""
    return memory, round(1000 * first, 2), round(whole, 2)


if __name__ == "__main__":
    write(MEMORY, rows())
