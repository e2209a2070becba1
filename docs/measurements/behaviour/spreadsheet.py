"""Measure which cells of a CSV file a spreadsheet computes, as they are and neutralised.

``nox -s measure -- spreadsheet`` opens them in LibreOffice and writes
``results/recorded/spreadsheet.csv``. Where LibreOffice is missing, it says so and leaves the rows
alone.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZipFile

from docs.measurements.lab.results import RECORDED, write
from examples.csv_text import csv_text, neutralise

SPREADSHEET_CSV = RECORDED / "spreadsheet.csv"

PROGRAM = "soffice"
PATIENCE = 300  # seconds that it may take for a file

#: What may separate the cells of a file, by the name in the table.
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}

#: The formulas that are tried, each with a number of its own by which it is found again.
SIGNS = {"=": "=1+{}", "+": "+1+{}", "-": "-1+{}", "@": "@ABS({})"}

#: Every code point up to the space, and every two of them.
CODE_POINTS = [chr(number) for number in range(0x21)]
BEFORE = ["", *CODE_POINTS, *map("".join, product(CODE_POINTS, repeat=2))]

#: What the cell begins with: nothing, or text and a separator, which may not be that of the file.
BEGINNINGS = ["", *(f"gate{separator}" for separator in SEPARATORS.values())]


class Cell(NamedTuple):
    """A cell that is tried.

    :param before: what is in it before the sign.
    :param sign: what may begin a formula.
    :param text: all of it.
    """

    before: str
    sign: str
    text: str


def cells() -> Iterator[Cell]:
    """Yield every cell that is tried; the number in it is its place."""
    for number, (beginning, before, sign) in enumerate(product(BEGINNINGS, BEFORE, SIGNS)):
        formula = SIGNS[sign].format(number)
        yield Cell(beginning + before, sign, beginning + before + formula)


def computed(text: bytes, separator: str) -> set[int]:
    """Open a CSV file in LibreOffice, and return the numbers in the cells that are formulas.

    :param text: the file.
    :param separator: which LibreOffice is told that the file has.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "cells.csv")
        file.write_bytes(text)
        subprocess.run(
            [
                PROGRAM,
                f"-env:UserInstallation={Path(folder, 'profile').as_uri()}",
                "--headless",
                f"--infilter=CSV:{ord(separator)},34,76,1",  # in quotes of ", in UTF-8, from line 1
                "--convert-to",
                "xlsx",
                "--outdir",
                folder,
                str(file),
            ],
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
        with ZipFile(file.with_suffix(".xlsx")) as book:
            sheet = book.read("xl/worksheets/sheet1.xml").decode()
    formulas = re.findall(r"<f\b[^>]*>([^<]*)</f>", sheet)
    return {int(re.findall(r"\d+", formula)[-1]) for formula in formulas}


def printed(cell: Cell, separator: str) -> str:
    """Return what stands before the formula in its field, where a separator ends a field."""
    before = cell.before.rpartition(separator)[2]
    return " ".join("NUL" if each == "\0" else f"U+{ord(each):04X}" for each in before)


def row(name: str, separator: str) -> list[object]:
    """Return what is recorded of the files with a separator, LibreOffice's version left out."""
    tried = list(cells())
    raw = computed(csv_text([cell.text] for cell in tried), separator)
    safe = computed(csv_text([neutralise(cell.text)] for cell in tried), separator)
    found = [tried[number] for number in sorted(raw)]
    before = sorted({printed(cell, separator) for cell in found}, key=len)
    signs = "".join(sign for sign in SIGNS if any(cell.sign == sign for cell in found))
    words = "; ".join(each or "nothing" for each in before)
    return [name, len(tried), len(raw), signs, words, len(safe)]


def main() -> None:
    """Try all cells with each separator, and write the rows."""
    if not shutil.which(PROGRAM):
        print(f"left out: {PROGRAM} (apt-get install libreoffice-calc)")
        return
    program = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout
    versions = " ".join(program.split()[:2])
    columns = [
        "separator",
        "cells",
        "formulas",
        "signs",
        "before the sign",
        "formulas, neutralised",
        "versions",
        "python",
        "date",
    ]
    own = [versions, python_version(), date.today().isoformat()]
    write(
        SPREADSHEET_CSV,
        [columns, *(row(name, each) + own for name, each in SEPARATORS.items())],
    )


if __name__ == "__main__":
    main()
