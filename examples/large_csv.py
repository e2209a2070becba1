"""Export a table of any size as CSV.

Rows come from a cursor and leave in chunks, so memory stays flat.
What fails before the first chunk is an error page, not a broken file.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import closing

from flask import Flask, Response, abort, request

from examples.chunks import join_chunks, prime
from examples.rows import Flight, iter_all_rows, load_flights

app = Flask(__name__)
app.cli.add_command(load_flights)

#: What tells Excel that a file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"

#: Where a spreadsheet may see a formula begin: at the start of a cell, and after a separator,
#: which in many countries is not the comma (OWASP, "CSV Injection").
FORMULA_START = re.compile(r'\A(?=[=+\-@\t\r\n])|(?<=[;,"\t\r\n])(?=[=+\-@])')


class Line:
    """A file for ``csv.writer`` that keeps nothing: ``writerow`` returns its line."""

    def write(self, line: str) -> str:
        """Return the line that the writer made."""
        return line


def neutralise(cell: object) -> object:
    """Put an apostrophe before text that a spreadsheet would take for a formula.

    Numbers are left alone, negative ones too.

    >>> neutralise("=1+1"), neutralise("gate;=1+1"), neutralise(-1), neutralise("EWR")
    ("'=1+1", "gate;'=1+1", -1, 'EWR')
    """
    return FORMULA_START.sub("'", cell) if isinstance(cell, str) else cell


def csv_lines(
    header: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    spreadsheet: bool = False,
    end_marker: bool = False,
) -> Iterator[str]:
    """Yield the lines of a CSV file (:rfc:`4180`).

    :param header: the name of each column.
    :param rows: the cells of each row. ``None`` becomes an empty cell.
    :param spreadsheet: begin with a byte order mark, and neutralise formulas, in the header too.
    :param end_marker: end with a line that counts the rows.
    """
    to_line = csv.writer(Line()).writerow
    if spreadsheet:
        yield BYTE_ORDER_MARK
    yield to_line(map(neutralise, header) if spreadsheet else header)
    count = 0
    for row in rows:
        yield to_line(map(neutralise, row) if spreadsheet else row)
        count += 1
    if end_marker:
        yield to_line([f"# end of export: {count} rows"])


def flag(name: str, value: str) -> bool:
    """Tell whether a query parameter is set to the one value it may have.

    Any other value is a 400 response.
    """
    given = request.args.get(name)
    if given not in (None, value):
        abort(400, f"{name} may only be {value!r}")
    return given == value


@app.get("/large.csv")
def generate_large_csv() -> Response:
    """Send every flight as ``flights.csv``.

    ``?for=spreadsheet`` makes the file safe to open in a spreadsheet,
    ``?end=marker`` lets a program tell a whole file from a part of it.
    """
    spreadsheet = flag("for", "spreadsheet")
    end_marker = flag("end", "marker")

    def generate() -> Iterator[str]:
        with closing(iter_all_rows()) as rows:
            yield from csv_lines(
                Flight._fields, rows, spreadsheet=spreadsheet, end_marker=end_marker
            )

    response = Response(prime(join_chunks(generate())), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="flights.csv")
    return response
