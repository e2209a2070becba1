"""Measure how much memory each source takes, and how soon its first byte comes, by rows.

``python -m docs.measurements.memory`` measures it again and writes ``results/memory.csv``. It
makes databases of ten million flights, which take four gigabytes for as long as it runs.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from docs.measurements.flights import databases
from docs.measurements.processes import gunicorn
from docs.measurements.recorder import drain, first_byte
from docs.measurements.results import RESULTS, write
from docs.measurements.servers import measured_on
from docs.measurements.throughput import ALL, Source

MEMORY = RESULTS / "memory.csv"

NUMBERS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RUNS = 15  # how often the first byte is asked for
PAUSE = 0.1  # seconds in which a stream that was left ends


def peak(process_id: int) -> int:
    """Return the most memory that a process has taken so far, in KiB, as Linux counts it."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1])


def measure(source: Source, url: str) -> tuple[int, float, float]:
    """Export all flights once, then ask for the first byte again and again.

    :param url: of the database.
    :returns: the peak of the process in KiB, the seconds until the first byte, those of the export.
    """
    settings = {"DATABASE_URL": url, "FLASK_CSV_SOURCE": source.name}
    with gunicorn("examples.large_csv:app", settings=settings, ready=("/", 404)) as served:
        whole = drain(served.port, "/large.csv")
        memory = peak(served.worker.pid)
        first = []
        for _ in range(RUNS):
            first.append(first_byte(served.port, "/large.csv"))
            time.sleep(PAUSE)
    return memory, median(first), whole.seconds


def rows() -> Iterator[list[object]]:
    """Measure every source with every number of rows, and yield the rows of the table."""
    own = measured_on("gunicorn", "psycopg", "pyarrow", "adbc-driver-manager")
    columns = ["peak, KiB", "first byte, ms", "export, seconds"]
    yield ["source", "database", "rows", "runs", *columns, *own]
    for number in NUMBERS:
        with databases(number) as made:
            urls = {"SQLite": f"sqlite:///{made.file}", "PostgreSQL": made.url}
            for source in ALL:
                memory, first, whole = measure(source, urls[source.database])
                cells = [memory, round(1000 * first, 2), round(whole, 2)]
                print(*source, number, *cells, flush=True)
                yield [*source, number, RUNS, *cells, *own.values()]


if __name__ == "__main__":
    write(MEMORY, rows())
