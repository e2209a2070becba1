"""Measure what programs read in a CSV file: types, gaps, the byte order mark and the end marker.

Each reader of ``csv_readers.toml`` reads the same files.
"""

import json
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from docs._system.declared import declared
from docs.measurements.behaviour.clients import install, run_in_folder, substitute
from docs.measurements.lab.measurement import Measurement, cases_of
from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.results import Cells
from examples.kit.csv_text import csv_blocks, csv_file

LONGEST_READ = 900  # seconds that a program may take for all files

#: The cells that are tried, by the name in the table: their column, and two rows of it.
CELLS_READ = {
    "007": ("zeros", "007", "007"),
    "1e5": ("exponent", "1e5", "1e5"),
    "NA": ("na", "NA", "NA"),
    "true": ("flag", "true", "true"),
    "2013-01-31": ("day", "2013-01-31", "2013-01-31"),
    "1545": ("flight", 1545, None),
    "gap below N14228": ("tailnum", "N14228", None),
    "line end": ("note", "gate\r\nchanged", "late"),
}
NAMES, *SAMPLES = zip(*CELLS_READ.values(), strict=True)

#: More rows than a reader looks at to choose the types of its columns.
LONG = [[number, "IAH"] for number in range(40_000)]


def file(header: Any, rows: Any, **options: bool) -> bytes:
    """Return a CSV file."""
    return b"".join(csv_file(header, csv_blocks(rows), **options))


CSV_FILES = {
    "types.csv": file(NAMES, SAMPLES),
    "named.csv": file(["flight", "dest"], [[1545, "IAH"]], spreadsheet=True),
    "two.csv": file(["flight", "dest"], LONG),
    "two_marked.csv": file(["flight", "dest"], LONG, end_marker=True),
    "one.csv": file(["flight"], [row[:1] for row in LONG]),
    "one_marked.csv": file(["flight"], [row[:1] for row in LONG], end_marker=True),
}

#: Each reader, with all that its language has.
READERS: list[dict[str, str]] = [
    {**language, **reader, "reader": name}
    for language in cases_of(declared(__file__), lambda _, **language: language).values()
    for name, reader in language.pop("readers").items()
]


def read_all(reader: dict[str, str], call: str, folder: Path) -> str:
    """Let a reader read every file with one of its calls, and return its version."""
    folder.mkdir()
    for name, content in CSV_FILES.items():
        (folder / name).write_bytes(content)
    names = json.dumps(list(CSV_FILES))
    values = {each.upper(): reader[each].strip() for each in ("start", "version", "code")}
    values["FILES"] = f"c({names[1:-1]})" if "Rscript" in reader["command"] else names
    program = substitute(reader["program"], **values, CALL=reader[call])
    (folder / reader["command"].split()[-1]).write_text(program, "utf-8")
    done = run_in_folder(reader["command"], folder, LONGEST_READ)
    if done.returncode:
        comes_with = reader.get("debian") or reader.get("install") or "the group csv-readers"
        raise NotStartedError(f"{' '.join(done.stderr.split()[-40:])} (it comes with {comes_with})")
    return " ".join(done.stdout.split())


def table(folder: Path, name: str) -> Any:
    """Return what was read of a file, the names of its columns first, or nothing on an error."""
    found = folder / f"{name}.csv.json"
    return json.loads(found.read_text("utf-8")) if found.exists() else []


def marker(wanted: list[Any], folder: Path, name: str) -> str:
    """Return what became of the marker, in words, where the rows before it are known."""
    rows = table(folder, name)
    numbers = [[str(cell).removesuffix(".0") for cell in row] for row in rows[: len(wanted)]]
    if numbers != [[str(cell).removesuffix(".0") for cell in row] for row in wanted]:
        found = "other rows" if rows else "error"
    else:
        found = "left out" if len(rows) == len(wanted) else "a row"
        found += "" if rows[: len(wanted)] == wanted else ", numbers are text"
    return found + (", a warning" if (folder / f"{name}.csv.warning").exists() else "")


def ask(reader: dict[str, str]) -> Cells:
    """Return what a reader reads. It has two folders of its own, beside what is installed.

    :raises NotStartedError: when it is not installed.
    """
    folder = Path(gettempdir())
    if "install" in reader and (reason := install(reader["install"], folder)):
        raise NotStartedError(reason)
    first, past = (folder / f"{READERS.index(reader)}-{call}" for call in ("read", "past"))
    version = read_all(reader, "read", first)
    read_all(reader, "past", past)
    one, two, (_, upper, lower) = (table(first, name) for name in ("one", "two", "types"))
    return {
        **dict(zip(CELLS_READ, map(json.dumps, upper), strict=True)),
        "gap below 1545": json.dumps(lower[list(CELLS_READ).index("1545")]),
        "gap below N14228": json.dumps(lower[list(CELLS_READ).index("gap below N14228")]),
        "byte order mark": "removed" if table(first, "named")[0][0] == "flight" else "in the name",
        "marker": marker(two, first, "two_marked"),
        "marker, one column": marker(one, first, "one_marked"),
        "marker, past": marker(two, past, "two_marked"),
        "marker, one column, past": marker(one, past, "one_marked"),
        "versions": version,
    }


MEASUREMENT = Measurement(
    "csv_readers",
    READERS,
    names=lambda each: {key: each[key] for key in ("reader", "read", "past")},
    ask=ask,
    on=lambda _: {},
)
