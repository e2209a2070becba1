"""Measure how fast the examples stream, by chunk size, source, template and number of streams.

``nox -s measure -- throughput`` measures it all again and writes ``results/recorded/yields.csv``,
``chunk_sizes.csv``, ``pages.csv``, ``streams.csv`` and ``sources.csv``.
"""

from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from docs.measurements.lab.databases import FIVE, Databases, databases
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import Drained, drain
from docs.measurements.lab.results import RECORDED, write
from docs.measurements.speed import pages, streams, yields

SOURCES = RECORDED / "sources.csv"

ROWS = 300_000
RUNS = 5

#: What makes a source neutralise formulas.
SPREADSHEET = "for=spreadsheet"


class Source(NamedTuple):
    """A source of lines, and the database that it reads."""

    name: str
    database: str

    def url(self, made: Databases) -> str:
        """Return the address of its database."""
        return made.url if self.database == "PostgreSQL" else f"sqlite:///{made.file}"


ALL = [
    Source("cursor", "SQLite"),
    Source("arrow", "SQLite"),
    Source("format", "SQLite"),
    Source("cursor", "PostgreSQL"),
    Source("arrow", "PostgreSQL"),
    Source("copy", "PostgreSQL"),
]
COLUMNS = {"all": "", "5": f"columns={','.join(FIVE)}"}


def measure_sources() -> None:
    """Measure every source, plain and with formulas neutralised, and write the rows."""
    found: dict[tuple[Source, str, str], list[Drained]] = {}
    with databases(ROWS) as made, ExitStack() as stack:
        served: dict[Source, Gunicorn] = {}
        for source in ALL:
            settings = {"DATABASE_URL": source.url(made), "FLASK_CSV_SOURCE": source.name}
            start = gunicorn("examples.large_csv:app", settings=settings, ready=("/", 404))
            served[source] = stack.enter_context(start)
        for _ in range(RUNS):
            for source, server in served.items():
                for columns, query in COLUMNS.items():
                    for formulas in ("", SPREADSHEET):
                        path = f"/large.csv?{'&'.join(filter(None, [query, formulas]))}"
                        runs = found.setdefault((source, columns, formulas), [])
                        runs.append(drain(server.port, path))
    own = measured_on("gunicorn", "psycopg", "pyarrow", "adbc-driver-manager")
    names = ["source", "database", "columns", "rows", "runs", "rows per second"]
    rows: list[list[object]] = [[*names, "neutralised, rows per second", "takes longer by", *own]]
    for source in ALL:
        for columns in COLUMNS:
            plain, safe = (
                median(run.seconds for run in found[source, columns, formulas])
                for formulas in ("", SPREADSHEET)
            )
            rates = [f"{ROWS / taken:.3g}" for taken in (plain, safe)]
            cells = [columns, ROWS, RUNS, *(int(float(rate)) for rate in rates)]
            rows.append([*source, *cells, f"{safe / plain - 1:.0%}", *own.values()])
    write(SOURCES, rows)


def main() -> None:
    """Measure all, one after the other."""
    for measure in (yields.main, pages.main, streams.main, measure_sources):
        print(measure.__module__, flush=True)
        measure()


if __name__ == "__main__":
    main()
