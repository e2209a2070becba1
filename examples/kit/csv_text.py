"""Write rows as a CSV file (RFC 4180), safe for a spreadsheet and with an end marker on request."""

import csv
import re
from collections.abc import Generator, Iterable, Sequence
from decimal import Decimal
from io import StringIO
from typing import NamedTuple

from .batches import fetch_batches
from .closing import close

#: What tells Excel that a file is UTF-8.
BYTE_ORDER_MARK = "\ufeff"


class Block(NamedTuple):
    """Some lines of a CSV file.

    :param text: the lines, in UTF-8, each with its line end.
    :param rows: the number of rows.
    """

    text: bytes
    rows: int


#: Characters that a spreadsheet may drop, because its files cannot contain them (XML 1.0, 2.2).
#: Without its NUL, a text can become a formula (OWASP ASVS 5.0, 1.2.10).
DROPPED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")

#: Where a spreadsheet may start a formula: at the start of a cell, and after a separator. In many
#: countries the separator is not the comma (OWASP, "CSV Injection").
FORMULA_START = re.compile(r'\A(?=[=+\-@\t\r\n])|(?<=[;,"\t\r\n])(?=[=+\-@])')

#: Finds text that is not safe. It is for libraries that search faster than they replace, or whose
#: regular expressions have no lookaround.
RISKY = rf'{DROPPED.pattern}|\A[=+\-@\t\r\n]|[;,"\t\r\n][=+\-@]'

#: Cells that are written as numbers, or empty.
NUMBERS = frozenset([int, float, bool, Decimal, type(None)])


def neutralise(cell: object) -> object:
    r"""Put an apostrophe before text that a spreadsheet would treat as a formula.

    Numbers stay as they are, also negative numbers. Any other object becomes the text that the csv
    module writes for it. Characters that a spreadsheet drops are removed first.

    >>> neutralise("=1+1"), neutralise("gate;=1+1"), neutralise(-1), neutralise("EWR")
    ("'=1+1", "gate;'=1+1", -1, 'EWR')
    >>> from pathlib import PurePath
    >>> neutralise("\0=1+1"), neutralise(PurePath("=1+1"))
    ("'=1+1", "'=1+1")
    """
    if type(cell) in NUMBERS:
        return cell
    text = cell if isinstance(cell, str) else str(cell)
    if text.isalnum():  # the fastest test, and true for most cells
        return text
    return FORMULA_START.sub("'", DROPPED.sub("", text))


def csv_text(rows: Iterable[Iterable[object]], *, spreadsheet: bool = False) -> bytes:
    r"""Return rows as lines of a CSV file.

    >>> csv_text([["UA", 1545, None], ["a,b", "é", "=1+1"]])
    b'UA,1545,\r\n"a,b",\xc3\xa9,=1+1\r\n'
    >>> csv_text([["\ud800=1+1", "EWR"]], spreadsheet=True)
    b'\\ud800=1+1,EWR\r\n'

    :param rows: the cells of each row. ``None`` becomes an empty cell. Half of a surrogate pair has
        no bytes in UTF-8, so it becomes its escape: ``\ud800``.
    :param spreadsheet: neutralise formulas.
    """
    file = StringIO(newline="")
    if spreadsheet:
        rows = (map(neutralise, row) for row in rows)
    csv.writer(file).writerows(rows)
    return file.getvalue().encode(errors="backslashreplace")


def csv_blocks(
    rows: Iterable[Iterable[object]], *, spreadsheet: bool = False
) -> Generator[Block, None, None]:
    """Yield the lines of a CSV file, many rows at a time.

    A block has the rows that :func:`~examples.kit.batches.fetch_batches` reads at a time.

    >>> [block.rows for block in csv_blocks([["UA", 1545]] * 10)]
    [1, 2, 4, 3]

    :param rows: the cells of each row, such as a database cursor that has run its query. They are
        closed when this generator is closed.
    :param spreadsheet: neutralise formulas.
    :raises Exception: whatever the rows raise.
    """
    try:
        for batch in fetch_batches(rows):
            yield Block(csv_text(batch, spreadsheet=spreadsheet), len(batch))
    finally:
        close(rows)


def csv_file(
    header: Sequence[str],
    blocks: Iterable[Block],
    *,
    spreadsheet: bool = False,
    end_marker: bool = False,
) -> Generator[bytes, None, None]:
    r"""Yield a CSV file (:rfc:`4180`) in pieces, for :func:`~examples.kit.chunks.join_chunks`.

    >>> blocks = csv_blocks([["UA", 1545], ["AA", 1141]])
    >>> b"".join(csv_file(["carrier", "flight"], blocks, end_marker=True))
    b'carrier,flight\r\nUA,1545\r\nAA,1141\r\n# end of export: 2 rows\r\n'

    :param header: the name of each column.
    :param blocks: the lines, such as those of :func:`csv_blocks`. They are closed when this
        generator is closed.
    :param spreadsheet: begin with a byte order mark, and neutralise formulas in the header.
    :param end_marker: end with a line that counts the rows. It has one cell. Where each row has
        one cell, it has a second, empty cell. So a client cannot read a row as the marker.
    :raises Exception: whatever the blocks raise.
    """
    try:
        if spreadsheet:
            yield BYTE_ORDER_MARK.encode()
        yield csv_text([header], spreadsheet=spreadsheet)
        count = 0
        for block in blocks:
            yield block.text
            count += block.rows
        if end_marker:
            marker = f"# end of export: {count} rows"
            yield csv_text([[marker, ""] if len(header) == 1 else [marker]])
    finally:
        close(blocks)
