"""Where the recorded results are, and how they are read and written."""

import csv
import os
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

#: The environment variable that names another folder, for measuring beside the record.
PLACE = "STREAM_RESULTS"

FOLDER = Path(__file__).parents[1] / "results"

#: What a measurement wrote, and what a page shows of it.
RECORDED = Path(os.environ.get(PLACE) or FOLDER / "recorded")
SHOWN = FOLDER / "shown"

#: A row, or a part of one: the names of columns, and what goes into them.
Cells = dict[str, str | float]


class RecordedTable(NamedTuple):
    """A recorded table.

    :param name: of its file, without its ending.
    :param measured_by: the name of a Measurement, or of a function that yields all rows.
    :param key: the columns that tell its rows apart; none where all has times, which vary.
    """

    name: str
    measured_by: str
    key: Sequence[str] = ()


#: The recorded tables by name, in the order in which they are measured.
RECORD = {
    name: RecordedTable(name, **table)
    for name, table in tomllib.loads((FOLDER / "record.toml").read_text("utf-8")).items()
}


def write(file: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write a table of results in place of the one that is there.

    :param file: a file in :data:`RECORDED`.
    :param rows: the names of the columns, then the cells of each row.
    """
    with file.open("w", encoding="utf-8", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows(rows)


def written(name: str, folder: Path = RECORDED) -> list[list[str]]:
    """Return a table as it is, the names of its columns first.

    :param name: of the file, without its ending.
    :param folder: where the file is.
    """
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as table:
        return list(csv.reader(table))


def recorded(name: str, folder: Path = RECORDED) -> list[dict[str, str]]:
    """Return the rows of a recorded table, each by the names of its columns.

    :param name: of the file, without its ending.
    :param folder: where the file is.
    """
    columns, *rows = written(name, folder)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def record(name: str, rows: Iterable[Cells]) -> None:
    """Write a recorded table in place of the one that is there.

    :param name: of the table.
    :param rows: its rows. The longest has its columns in their order; others may lack some.
    """
    rows = list(rows)
    longest = max(rows, key=len)
    columns = list(dict.fromkeys([*longest, *(column for row in rows for column in row)]))
    table = [[row.get(column, "") for column in columns] for row in rows]
    write(RECORDED / f"{name}.csv", [columns, *table])
