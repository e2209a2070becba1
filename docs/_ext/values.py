"""Put a recorded value into a sentence: ``:value:`FORMAT <TABLE | ROWS | WHAT>```."""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from math import ceil, floor
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import ReferenceRole

from docs.measurements.lab.results import RECORDED, SHOWN, recorded

Row = dict[str, str]

#: What a condition compares a cell with: numbers where one is higher or lower, else texts.
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
#: What several rows become.
SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {"max": max, "min": min, "sum": sum}


def file_of(table: str) -> Path:
    """Return the file of a recorded table, or of one that pages show.

    :raises ValueError: when no table has that name.
    """
    for folder in (RECORDED, SHOWN):
        if (folder / f"{table}.csv").is_file():
            return folder / f"{table}.csv"
    raise ValueError(f"there is no table {table!r}")


def as_text(cell: str) -> str:
    """Return a cell without the markup that a page gives it."""
    return re.sub(r":\w+:`(.*?)`|``(.*?)``", r"\1\2", cell)


def as_number(cell: str) -> float:
    """Return a cell as a number; what follows the number, such as a unit, is dropped.

    :raises ValueError: when it does not begin with one.
    """
    found = re.match(r"-?[\d,]*\.?\d+", as_text(cell))
    if not found:
        raise ValueError(f"{cell!r} is no number")
    return float(found[0].replace(",", ""))


def check_column(row: Row, column: str) -> None:
    """Check that a table has a column.

    :raises ValueError: when it has none of that name.
    """
    if column not in row:
        raise ValueError(f"there is no column {column!r}: there are {'; '.join(row)}")


def meets(row: Row, condition: str) -> bool:
    """Tell whether a row meets one condition, such as ``streams = 1000``.

    :raises ValueError: when the condition cannot be read, or its column does not exist.
    """
    column, sign, value = re.fullmatch(
        r"(.+?) (=|!=|<=|>=|<|>) (.*)|.*", condition, re.DOTALL
    ).groups()  # type: ignore[union-attr]  # the pattern matches any text
    if not sign:
        raise ValueError(f"no row is {condition!r}")
    check_column(row, column)
    if sign in COMPARISONS:
        return bool(row[column]) and COMPARISONS[sign](as_number(row[column]), as_number(value))
    return (as_text(row[column]) == value) == (sign == "=")


def selected(rows: list[Row], conditions: str) -> list[Row]:
    """Return the rows that meet all conditions, of which there is at least one.

    :param rows: of a table.
    :param conditions: ``all``, or conditions joined with ``&``. The cell of a first column
        is a condition too.
    :raises ValueError: when no row meets them.
    """
    if conditions == "all":
        return rows
    for condition in conditions.split(" & "):
        keys = [as_text(next(iter(row.values()))) for row in rows]
        rows = [
            row
            for row, key in zip(rows, keys, strict=True)
            if (key == condition if condition in keys else meets(row, condition))
        ]
        if not rows:
            raise ValueError(f"no row is {condition!r}")
    return rows


def listed(names: Sequence[str]) -> str:
    """Return names as a part of a sentence, each marked as code, for some have commas."""
    *others, last = [f"``{name}``" for name in names]
    return f"{', '.join(others)} and {last}" if others else last


def of_rows(rows: list[Row], what: str) -> str | float:
    """Return one value of some rows.

    :param what: a column, which has the same cell in each of them; or ``max(COLUMN)``,
        ``min(COLUMN)``, ``sum(COLUMN)``, ``names(COLUMN)`` or ``count()``.
    :raises ValueError: when there is no such column, or its cells differ.
    """
    if what == "count()":
        return len(rows)
    summary, column = re.fullmatch(r"(max|min|sum|names)\((.+)\)|.*", what).groups()  # type: ignore[union-attr]  # the pattern matches any text
    column = column or what
    check_column(rows[0], column)
    cells = list(dict.fromkeys(as_text(row[column]) for row in rows))
    if summary == "names":
        return listed(cells)
    if summary:
        return SUMMARIES[summary]([as_number(row[column]) for row in rows if row[column]])
    if len(cells) > 1:
        raise ValueError(f"the rows differ in {column!r}: {'; '.join(cells)}")
    if not cells[0]:
        raise ValueError(f"{column!r} is empty")
    return cells[0]


def numbers(rows: list[Row], conditions: str, what: str) -> Iterator[str | float]:
    """Yield what is divided, and then by what, when one of the arguments has a ``/``."""
    first, *second = conditions.split(" / ")
    above, *below = what.split(" / ")
    yield of_rows(selected(rows, first), above)
    if below and re.fullmatch(r"[\d.]+", below[0]) and below[0] not in rows[0]:
        yield float(below[0])
    elif second or below:
        yield of_rows(selected(rows, [first, *second][-1]), [above, *below][-1])


def value(reference: str, form: str = "{}") -> str:
    """Return a value as a page shows it, with code between two pairs of backquotes.

    :param reference: ``TABLE | ROWS | WHAT``. ``ROWS`` or ``WHAT`` may be two with `` / ``
        between them: then the value is their ratio.
    :param form: a format, such as ``{:,.0f} MB``. ``{floor}`` and ``{ceil}`` are whole numbers.
    :raises ValueError: when there is no such table, row, column or number.
    """
    parts = reference.split(" | ")
    if len(parts) != 3:
        raise ValueError("write FORMAT <TABLE | ROWS | WHAT>")
    table, conditions, what = map(str.strip, parts)
    found, *divisor = numbers(recorded(table, file_of(table).parent), conditions, what)
    if form == "{}" and not divisor:
        return str(found)
    number = as_number(str(found))
    if divisor and not as_number(str(divisor[0])):
        raise ValueError("this divides by zero")
    if divisor:
        number /= as_number(str(divisor[0]))
    form = form.replace(" ", "\N{NO-BREAK SPACE}")
    try:
        return form.format(number, floor=f"{floor(number):,}", ceil=f"{ceil(number):,}")
    except (IndexError, KeyError) as error:
        raise ValueError(f"{form!r} is no format") from error


class Value(ReferenceRole):
    """A value that Sphinx reads from the results when it builds a page."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the value; or an error, which the build and the tests report."""
        try:
            if not self.has_explicit_title:
                raise ValueError("write FORMAT <TABLE | ROWS | WHAT>")
            text = value(self.target, self.title)
            self.env.note_dependency(str(file_of(self.target.split(" | ")[0])))
        except ValueError as error:
            message = self.inliner.reporter.error(f"{self.rawtext}: {error}", line=self.lineno)
            wrong = self.inliner.problematic(self.rawtext, self.rawtext, message)
            wrong.source, wrong.line = self.get_source_info()
            wrong["reason"] = str(error)
            return [wrong], [message]
        parts = enumerate(text.split("``"))
        return [nodes.literal("", part) if i % 2 else nodes.Text(part) for i, part in parts], []


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the role: an extension of Sphinx."""
    app.add_role("value", Value())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
