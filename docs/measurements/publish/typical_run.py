"""What a page shows of ``arrivals.csv``: one typical run of each view."""

from collections.abc import Iterable
from statistics import median_low

from docs.measurements.lab.results import recorded


def typical_run(rows: Iterable[dict[str, str]], view: str) -> list[dict[str, str]]:
    """Return the rows of one run of a view: the one whose last byte came at the median time.

    :param rows: recorded ones; each is what one ``recv`` brought of the body.
    """
    runs: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        if row["view"] == view:
            runs.setdefault(row["run"], []).append(row)
    middle = median_low(float(run[-1]["seconds"]) for run in runs.values())
    return next(run for run in runs.values() if float(run[-1]["seconds"]) == middle)


def typical_runs() -> list[list[str]]:
    """Return the few numbers that a page shows beside the figure, their header first."""
    lines = [["Page", "First byte", "Last byte", "Measured on"]]
    for view in ("streamed", "buffered"):
        run = typical_run(recorded("arrivals"), view)
        ends = [f"{float(row['seconds']):.2f}\N{NO-BREAK SPACE}s" for row in (run[0], run[-1])]
        server = "gunicorn {gunicorn} ({worker}), Flask {flask}, {date}".format(**run[0])
        lines.append([view, *ends, server])
    return lines
