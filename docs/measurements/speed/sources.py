"""Measure how fast each source of the shipped export is, by columns, plain and neutralised."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from typing import NamedTuple

from docs.measurements.lab.databases import FIVE, Databases, databases
from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.results import Cells
from docs.measurements.speed.in_turn import RUNS, in_turn

FLIGHTS_EXPORTED = 300_000

EXPORT = "examples.large_csv:app"
PATHS = {"all": "/large.csv?", "5": f"/large.csv?columns={','.join(FIVE)}&"}

#: What makes a source neutralise formulas.
SPREADSHEET = "for=spreadsheet"


class Source(NamedTuple):
    """A source of lines, and the database that it reads."""

    name: str
    database: str

    def settings(self, made: Databases) -> dict[str, str]:
        """Return what makes the export read this source."""
        url = made.url if self.database == "PostgreSQL" else f"sqlite:///{made.file}"
        return {"DATABASE_URL": url, "FLASK_CSV_SOURCE": self.name}

    def cells(self) -> Cells:
        """Return the cells of a row that name it."""
        return {"source": self.name, "database": self.database}


SOURCES = [
    Source("cursor", "SQLite"),
    Source("arrow", "SQLite"),
    Source("format", "SQLite"),
    Source("cursor", "PostgreSQL"),
    Source("arrow", "PostgreSQL"),
    Source("copy", "PostgreSQL"),
]


def source_rows() -> Iterator[Cells]:
    """Measure every source, plain and with formulas neutralised, and yield the rows."""
    with databases(FLIGHTS_EXPORTED) as made, ExitStack() as stack:
        ports = {
            source: stack.enter_context(gunicorn(EXPORT, settings=source.settings(made))).port
            for source in SOURCES
        }
        asked = product(SOURCES, PATHS, ("", SPREADSHEET))
        found = in_turn({each: (ports[each[0]], PATHS[each[1]] + each[2]) for each in asked}, RUNS)
    for source, columns in product(SOURCES, PATHS):
        plain = found[source, columns, ""].seconds
        safe = found[source, columns, SPREADSHEET].seconds
        yield source.cells() | {
            "columns": columns,
            "rows": FLIGHTS_EXPORTED,
            "runs": RUNS,
            "rows per second": int(float(f"{FLIGHTS_EXPORTED / plain:.3g}")),
            "neutralised, rows per second": int(float(f"{FLIGHTS_EXPORTED / safe:.3g}")),
            "takes longer by": f"{safe / plain - 1:.0%}",
            **measured_on("gunicorn", "psycopg", "pyarrow", "adbc-driver-manager"),
        }
