"""Check that every contender sends the flights that are in the database, cell by cell."""

import csv
import io
from contextlib import closing

from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.recorder import fetch
from docs.measurements.speed.frameworks.contenders import CONTENDERS, Contender, Contest, contest
from docs.measurements.speed.frameworks.export import QUERIES, WIDTHS
from examples.rows import read_sqlite

CHECKED = 2000  # flights: enough that each column that may be empty is so in one of them


def expected(contest: Contest, width: str, none: str) -> list[list[str]]:
    """Return the cells of every flight as a CSV file has them.

    :param width: of :data:`WIDTHS`.
    :param none: what stands in a cell that is empty.
    """
    with closing(read_sqlite(contest.data.file)) as connection:
        rows = connection.execute(QUERIES[width]).fetchall()
    return [[none if cell is None else str(cell) for cell in row] for row in rows]


def cells_of(body: bytes, width: str) -> list[list[str]]:
    """Return the cells of each row of a CSV file, without a header.

    :param width: of :data:`WIDTHS`.
    """
    rows = list(csv.reader(io.StringIO(body.decode(), newline="")))
    return rows[1:] if rows[:1] == [list(WIDTHS[width])] else rows


def verify(contest: Contest, contender: Contender) -> None:
    """Compare what a contender sends with the database.

    :raises NotStartedError: when it cannot be asked.
    :raises ValueError: when it sends anything else, or takes a wrong ``?columns=``.
    """
    for width in WIDTHS:
        sent = cells_of(contest.body(contender, width), width)
        if sent != expected(contest, width, contender.none):
            raise ValueError(f"{contender}: at {width} columns, not the cells of the database")
    if contender.server:
        status = fetch(contest.port(contender), contender.path_for("7")).response.status
        if status is None or not 400 <= status < 500:
            raise ValueError(f"{contender}: {status} for a wrong ?columns=")


def check() -> dict[str, str]:
    """Ask every contender for a few flights, and compare them with the database.

    :returns: the contenders that could not be asked, and why.
    :raises ValueError: when one sends anything else.
    """
    left_out = {}
    with contest(CHECKED) as serving:
        for contender in CONTENDERS:
            try:
                verify(serving, contender)
            except NotStartedError as error:
                left_out[str(contender)] = str(error)
    return left_out
