"""Measure a recorded table, as ``nox -s measure -- servers`` does, or rows of it alone.

A row is named as in the first column of the table's key; the other rows are kept.
"""

import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from docs._system.leftovers import leaving_nothing
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.results import RECORD, record


@leaving_nothing()
def measure(table: str, rows: Sequence[str]) -> None:
    """Measure the rows of a table, and write them into ``results/recorded``."""
    measured = resolve_name(RECORD[table].measured_by)
    if isinstance(measured, Measurement):
        measured.run(rows)
    else:
        record(table, measured(*rows))


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2:])
