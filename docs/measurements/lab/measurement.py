"""Measure the cases of a recorded table, all or those that are named, and put in their rows."""

import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any, Generic, TypeVar

from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.results import RECORD, RECORDED, Cells, record, recorded

WAITING = 16  # cases that are waited for at the same time

Case = TypeVar("Case")


def measured_on(*packages: str) -> Cells:
    """Return what every row of results has: versions, those of further packages too, the date."""
    names = (*packages, "flask", "werkzeug")
    cells: Cells = {name: version(name) for name in names}
    return cells | {"python": platform.python_version(), "date": date.today().isoformat()}


def cases_of(tables: dict[str, Any], case: Callable[..., Case]) -> dict[str, Case]:
    """Return the cases that the tables of a TOML file describe, by their names.

    :param tables: one that is ``like`` another has what that one has, too.
    :param case: makes a case from its name and what its table has.
    """
    return {
        name: case(name, **{**tables.get(own.pop("like", ""), {}), **own})
        for name, own in tables.items()
    }


@dataclass(frozen=True)
class Measurement(Generic[Case]):
    """How the rows of a recorded table are measured.

    :param table: its name; ``record.toml`` has the columns that tell its rows apart.
    :param cases: all that is measured, in the order of the rows.
    :param names: returns the cells by which the row of a case is found, and what else is settled.
    :param ask: measures a case; a :exc:`NotStartedError` becomes its cell "not measured".
    :param wait: measures what of a case takes long and nearly no processor, many cases at once.
    :param on: returns what a case is measured on.
    :param at_once: the number of cases that are measured side by side.
    """

    table: str
    cases: Sequence[Case]
    names: Callable[[Case], Cells]
    ask: Callable[[Case], Cells]
    wait: Callable[[Case], Cells] | None = None
    on: Callable[[Case], Cells] = lambda _: measured_on()
    at_once: int = 1

    def run(self, names: Sequence[str]) -> None:
        """Measure all cases, or those that are named, and put in each row as it comes.

        :param names: as in the first column of the key.
        """
        first = RECORD[self.table].key[0]
        cases = [case for case in self.cases if not names or self.names(case)[first] in names]
        with ThreadPoolExecutor(WAITING) as pool:
            waited = list(pool.map(self.waited, cases))
        with ThreadPoolExecutor(self.at_once) as pool:
            for cells in pool.map(self.row, cases, waited):
                print(*self.key(cells), sep=": ", flush=True)
                self.put(cells)

    def waited(self, case: Case) -> Cells:
        """Return the cells of a case that take long."""
        try:
            return self.wait(case) if self.wait else {}
        except NotStartedError:
            return {}  # the row says why

    def row(self, case: Case, waited: Cells) -> Cells:
        """Return the row of a case.

        :param waited: its cells that took long.
        """
        cells = self.names(case)
        try:
            cells |= self.ask(case)
        except NotStartedError as error:
            cells["not measured"] = str(error)
        return cells | waited | self.on(case) | {"date": date.today().isoformat()}

    def key(self, cells: Cells) -> tuple[str, ...]:
        """Return the cells of a row that tell it apart."""
        return tuple(str(cells[name]) for name in RECORD[self.table].key)

    def put(self, cells: Cells) -> None:
        """Put a row into the table in place of the one with its key; drop those of no case."""
        rows: dict[tuple[str, ...], Cells] = {}
        if (RECORDED / f"{self.table}.csv").exists():
            rows = {self.key(dict(row)): dict(row) for row in recorded(self.table)}
        rows[self.key(cells)] = cells
        order = [self.key(self.names(case)) for case in self.cases]
        record(self.table, [rows[key] for key in order if key in rows])
