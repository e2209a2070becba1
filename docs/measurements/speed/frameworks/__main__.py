"""Measure how fast each contender sends a million flights.

``nox -s measure -- frameworks`` times them all in turn and writes ``results/recorded/peers.csv``;
with a smaller number of flights it prints the rows and writes nothing.
"""

import csv
import platform
import sys
from collections.abc import Iterator
from datetime import date
from statistics import median

from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.recorder import Drained
from docs.measurements.lab.results import RECORDED, write
from docs.measurements.speed.frameworks.contenders import (
    CONTENDERS,
    MORE,
    PROGRAMS,
    SEED,
    SQLITE,
    Contender,
    Program,
    Served,
    check,
    serve,
)
from docs.measurements.speed.frameworks.export import COLUMNS

PEERS_CSV = RECORDED / "peers.csv"
ROWS = 1_000_000

Cells = dict[str, object]

#: What each contender took at a width, run by run, and why one took nothing.
Times = dict[Contender, list[Drained]]
Failures = dict[Contender, str]


def measure(served: Served, width: str) -> tuple[Times, Failures]:
    """Time every contender in turn, as often as each is to run.

    :param width: how many columns they send.
    """
    times: Times = {contender: [] for contender in CONTENDERS}
    failures: Failures = {}
    for run in range(1, MORE + 1):
        for contender in CONTENDERS:
            if run > contender.runs or contender in failures:
                continue
            try:
                drained = served.time(contender, width)
            except (NotStartedError, OSError, ValueError) as error:
                failures[contender] = str(error)
                said = f"not measured: {error}"
            else:
                times[contender].append(drained)
                said = f"{drained.seconds:.2f} s, first byte after {drained.first * 1000:.0f} ms"
            print(f"{width} columns, run {run}: {contender}: {said}", file=sys.stderr, flush=True)
    return times, failures


def ratio(reference: list[Drained], runs: list[Drained]) -> str:
    """Return how many times as fast as a reference the median of some runs is, if both ran."""
    if not reference or not runs:
        return ""
    seconds = [median(run.seconds for run in each) for each in (reference, runs)]
    return f"{seconds[0] / seconds[1]:.2f}"


def row(served: Served, contender: Contender, rows: int, width: str, times: Times) -> Cells:
    """Return the row of a contender at a width, without what says why it was not measured.

    :param rows: how many flights there are.
    :param times: what all contenders took.
    """
    runs = times[contender]
    database = contender.by.database
    cells: Cells = {
        "contender": contender.name,
        "way": contender.way,
        "database": database,
        "server": "" if isinstance(contender.by, Program) else contender.by.server,
        "columns": width,
        "rows": rows,
        "runs": len(runs),
    }
    if runs:
        seconds = [run.seconds for run in runs]
        middle = median(seconds)
        seed = times[SEED] if database == SQLITE else []
        cells |= {
            "seconds": round(middle, 3),
            "fastest, seconds": round(min(seconds), 3),
            "slowest, seconds": round(max(seconds), 3),
            "first byte, ms": round(median(run.first for run in runs) * 1000, 1),
            "rows per second": int(float(f"{rows / middle:.3g}")),
            "MB": round(runs[0].size / 1e6, 1),
            "against the seed's loop": ratio(seed, runs),
            "against the database's own program": ratio(times[PROGRAMS[database]], runs),
        }
    return cells | {
        "versions": served.versions(contender.by) if runs else "",
        "python": platform.python_version(),
        "date": date.today().isoformat(),
    }


def table(rows: int) -> Iterator[list[object]]:
    """Measure everything, and yield the names of the columns and each row.

    :param rows: how many flights there are.
    """
    made: list[Cells] = []
    with serve(rows) as served:
        for width in COLUMNS:
            times, failures = measure(served, width)
            for contender in CONTENDERS:
                reason = failures.get(contender, "")
                made.append(row(served, contender, rows, width, times) | {"not measured": reason})
    columns = list(dict.fromkeys(name for cells in made for name in cells))
    yield [*columns]
    yield from ([each.get(name, "") for name in columns] for each in made)


def main(arguments: list[str]) -> None:
    """Check all contenders, measure them, and write their rows."""
    rows = int(arguments[0]) if arguments else ROWS
    for name, reason in check().items():
        print(f"not checked: {name}: {reason}", file=sys.stderr)
    measured = table(rows)
    if rows == ROWS:
        write(PEERS_CSV, measured)
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerows(measured)


if __name__ == "__main__":
    main(sys.argv[1:])
