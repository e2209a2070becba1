"""Ask every category again, on what is installed now, and name each that the record does not have.

``nox -s newest`` measures into a folder of its own, so the record stays as it is; with names of
recorded tables it measures only those. Most of the time they wait, so several run side by side.
What differs is asked a second time, because a busy machine can blur one answer. A row that differs
twice, or that could not be measured, is printed, and the exit status is 1.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from docs.measurements.lab.results import PLACE, RECORD, RECORDED, RecordedTable, recorded

AT_ONCE = 5  # tables; with all of them a small machine is too busy for their pauses

#: Columns that tell what a row was measured on. Another version alone is no difference.
PROVENANCE = {
    *("versions", "command", "text", "settings", "gunicorn", "flask", "werkzeug", "python", "date"),
    "reports",
}

#: How the names of columns end that have numbers, which vary from run to run.
UNITS = (", seconds", ", MB", ", pieces", ", speed", "pieces made for nobody")

#: How the names of columns begin that have the worst of many tries: a race may be lost unseen.
RACES = ("unread, ",)

#: The recorded tables whose cells are categories.
CATEGORIES = [table for table in RECORD.values() if table.key]


class Difference(NamedTuple):
    """A row, or a cell of it, that was measured otherwise than it is recorded.

    :param row: the cells of its key.
    :param text: what was recorded, and what was measured now.
    """

    row: tuple[str, ...]
    text: str


def differences(table: RecordedTable, folder: Path) -> Iterator[Difference]:
    """Yield each row and category in which a folder's table differs from the record.

    :param table: which one.
    :param folder: where the new rows are.
    """
    before, after = (
        {tuple(row[name] for name in table.key): row for row in recorded(table.name, place)}
        for place in (RECORDED, folder)
    )
    for key in before | after:
        if key not in after or key not in before:
            yield Difference(key, "measured now" if key in after else "recorded only")
            continue
        for column in after[key] | before[key]:
            was, now = before[key].get(column, ""), after[key].get(column, "")
            category = column not in PROVENANCE and not column.endswith(UNITS)
            unseen = column.startswith(RACES) and now == "taken"
            if category and was != now and not unseen:
                versions = after[key].get("versions", "")
                yield Difference(key, f"{column}: was {was!r}, now {now!r} ({versions})")


def measure_into(table: str, names: Sequence[str], folder: Path) -> None:
    """Measure rows of a table into a folder.

    :raises subprocess.CalledProcessError: when it fails.
    """
    command = [sys.executable, "-m", "docs.measurements", table, *names]
    subprocess.run(command, env=os.environ | {PLACE: str(folder)}, check=True)


def main(names: list[str]) -> int:
    """Measure what the names say, or all, and return the exit status."""
    tables = [table for table in CATEGORIES if not names or table.name in names]
    found = 0
    with TemporaryDirectory(prefix="results-") as name:
        folder = Path(name, "results")
        shutil.copytree(RECORDED, folder)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda table: measure_into(table.name, [], folder), tables))
        for table in tables:
            rows = list(dict.fromkeys(each.row[0] for each in differences(table, folder)))
            if rows:
                measure_into(table.name, rows, folder)
            for difference in differences(table, folder):
                print(f"{table.name}: {', '.join(difference.row)}: {difference.text}", flush=True)
                found += 1
    print(f"{found} differences from the record" if found else "No difference from the record")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
