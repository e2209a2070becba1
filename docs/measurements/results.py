"""Where the recorded results are, and how they are written."""

import csv
from collections.abc import Iterable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write(file: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write a table of results in place of the one that is there.

    :param file: a file in :data:`RESULTS`.
    :param rows: the names of the columns, then the cells of each row.
    """
    with file.open("w", encoding="utf-8", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows(rows)
