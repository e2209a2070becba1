"""Measure how fast each contender sends a million flights."""

import sys
from collections.abc import Iterator
from statistics import median

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.recorder import Drained
from docs.measurements.lab.results import Cells
from docs.measurements.speed.frameworks.check import check
from docs.measurements.speed.frameworks.contenders import (
    CONTENDERS,
    SQLITE,
    Contender,
    Contest,
    contest,
)
from docs.measurements.speed.frameworks.export import WIDTHS

FLIGHTS_SENT = 1_000_000

#: The loop that this guide began with, and the program of each database.
SEED = CONTENDERS[0]
OWN_PROGRAMS = {each.database: each for each in CONTENDERS if not each.server}

#: What each contender took at a width, run by run, and why one took nothing.
Times = dict[Contender, list[Drained]]
Failures = dict[Contender, str]


def time_all(serving: Contest, width: str) -> tuple[Times, Failures]:
    """Time every contender in turn, as often as each is to run.

    :param width: how many columns they send.
    """
    times: Times = {contender: [] for contender in CONTENDERS}
    failures: Failures = {}
    for run in range(max(contender.runs for contender in CONTENDERS)):
        for contender in CONTENDERS:
            if run >= contender.runs or contender in failures:
                continue
            try:
                drained = serving.time(contender, width)
            except (NotStartedError, OSError, ValueError) as error:
                failures[contender] = str(error)
                said = f"not measured: {error}"
            else:
                times[contender].append(drained)
                said = f"{drained.seconds:.2f} s, first byte after {drained.first * 1000:.0f} ms"
            print(f"{width} columns: {contender}: {said}", file=sys.stderr, flush=True)
    return times, failures


def ratio(reference: list[Drained], runs: list[Drained]) -> str:
    """Return how many times as fast as a reference the median of some runs is, if both ran."""
    if not reference or not runs:
        return ""
    seconds = [median(run.seconds for run in each) for each in (reference, runs)]
    return f"{seconds[0] / seconds[1]:.2f}"


def cells_of_times(contender: Contender, rows: int, times: Times) -> Cells:
    """Return what a contender took, and how that compares.

    :param rows: how many flights there are.
    :param times: what all contenders took.
    """
    runs = times[contender]
    seconds = [run.seconds for run in runs]
    seed = times[SEED] if contender.database == SQLITE else []
    return {
        "seconds": round(median(seconds), 3),
        "fastest, seconds": round(min(seconds), 3),
        "slowest, seconds": round(max(seconds), 3),
        "first byte, ms": round(median(run.first for run in runs) * 1000, 1),
        "rows per second": int(float(f"{rows / median(seconds):.3g}")),
        "MB": round(runs[0].size / 1e6, 1),
        "against the seed's loop": ratio(seed, runs),
        "against the database's own program": ratio(times[OWN_PROGRAMS[contender.database]], runs),
    }


def peer_rows(rows: int = FLIGHTS_SENT) -> Iterator[Cells]:
    """Check all contenders, time them, and yield the row of each at each width.

    :param rows: how many flights there are.
    """
    for name, reason in check().items():
        print(f"not checked: {name}: {reason}", file=sys.stderr)
    on = {name: cell for name, cell in measured_on().items() if name in ("python", "date")}
    with contest(rows) as serving:
        for width in WIDTHS:
            times, failures = time_all(serving, width)
            for contender in CONTENDERS:
                runs = times[contender]
                row: Cells = {
                    "contender": contender.name,
                    "way": contender.way,
                    "database": contender.database,
                    "server": contender.server,
                    "columns": width,
                    "rows": rows,
                    "runs": len(runs),
                }
                row |= cells_of_times(contender, rows, times) if runs else {}
                row |= {"versions": serving.versions(contender) if runs else ""} | on
                yield row | {"not measured": failures.get(contender, "")}
