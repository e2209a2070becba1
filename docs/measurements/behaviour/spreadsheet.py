"""Measure which cells of a CSV file LibreOffice computes, as they are and neutralised."""

import re
import subprocess
from itertools import product
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from docs.measurements.lab.environments import find_program, printed_version
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.results import Cells
from examples.kit.csv_text import csv_text, neutralise

PROGRAM = "soffice"
CONVERTING = 300  # seconds that it may take for a file

#: What may separate the cells of a file, by the name in the table.
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}

#: The formulas that are tried, each with a number of its own by which it is found again.
SIGNS = {"=": "=1+{}", "+": "+1+{}", "-": "-1+{}", "@": "@ABS({})"}

#: Every code point up to the space, and every two of them.
CODE_POINTS = [chr(number) for number in range(0x21)]
BEFORE = ["", *CODE_POINTS, *map("".join, product(CODE_POINTS, repeat=2))]

#: What the cell begins with: nothing, or text and a separator, which may not be that of the file.
BEGINNINGS = ["", *(f"gate{separator}" for separator in SEPARATORS.values())]

#: What each cell that is tried has before its formula, and the sign of the formula.
TRIED = [(start + before, sign) for start, before, sign in product(BEGINNINGS, BEFORE, SIGNS)]

#: The cells; the number in each is its place.
CELLS = [before + SIGNS[sign].format(place) for place, (before, sign) in enumerate(TRIED)]


def computed(text: bytes, separator: str) -> set[int]:
    """Open a CSV file in LibreOffice, and return the numbers in the cells that are formulas.

    :param text: the file.
    :param separator: which LibreOffice is told that the file has.
    :raises NotStartedError: when LibreOffice is not installed.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "cells.csv")
        file.write_bytes(text)
        command = [
            find_program(PROGRAM),
            f"-env:UserInstallation={Path(folder, 'profile').as_uri()}",
            "--headless",
            f"--infilter=CSV:{ord(separator)},34,76,1",  # in quotes of ", in UTF-8, from line 1
            *("--convert-to", "xlsx", "--outdir", folder, str(file)),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=CONVERTING)
        with ZipFile(file.with_suffix(".xlsx")) as book:
            sheet = book.read("xl/worksheets/sheet1.xml").decode()
    formulas = re.findall(r"<f\b[^>]*>([^<]*)</f>", sheet)
    return {int(re.findall(r"\d+", formula)[-1]) for formula in formulas}


def printed(before: str, separator: str) -> str:
    """Return what stands before a formula in its field, where a separator ends a field."""
    field = before.rpartition(separator)[2]
    return " ".join("NUL" if each == "\0" else f"U+{ord(each):04X}" for each in field)


def ask(name: str) -> Cells:
    """Return what LibreOffice computes of the files with a separator."""
    separator = SEPARATORS[name]
    raw = computed(csv_text([cell] for cell in CELLS), separator)
    safe = computed(csv_text([neutralise(cell)] for cell in CELLS), separator)
    found = [TRIED[place] for place in sorted(raw)]
    signs = {sign for _, sign in found}
    before = sorted({printed(before, separator) for before, _ in found}, key=len)
    return {
        "cells": len(CELLS),
        "formulas": len(raw),
        "signs": "".join(sign for sign in SIGNS if sign in signs),
        "before the sign": "; ".join(each or "nothing" for each in before),
        "formulas, neutralised": len(safe),
        "versions": f"LibreOffice {printed_version(PROGRAM, '--version')}",
    }


MEASUREMENT = Measurement(
    "spreadsheet",
    list(SEPARATORS),
    names=lambda separator: {"separator": separator},
    ask=ask,
    on=lambda _: {"python": python_version()},
)
