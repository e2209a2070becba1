"""Lines that SQLite itself formats, with concat_ws(), through Arrow: needs the group ``arrow``.

A column of text in an Arrow record batch is one piece of memory, so the lines of a batch leave
without being touched one after the other.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from examples.kit.csv_text import Block
from examples.rows import filled_database, select_flights
from examples.sources import arrow


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight.

    SQLite cannot quote, so from the first cell that needs it the lines are those of
    :mod:`examples.sources.arrow`. It cannot neutralise formulas, so then all are, as they are of
    a single column, whose gaps need quotes.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    :raises ValueError: when the database is not SQLite.
    """
    scheme, location = filled_database()
    if scheme != "sqlite":
        raise ValueError("the source format needs SQLite; DATABASE_URL names PostgreSQL")
    cells = ", ".join(f"ifnull({name}, '')" for name in columns)
    line = f"concat_ws(',', {cells}) || char(13, 10)"  # format() would end a text at a NUL
    done = 0
    with arrow.connect(scheme, location) as connection:
        if len(columns) > 1 and not spreadsheet:
            with arrow.record_batches(connection, scheme, select_flights([line])) as batches:
                for batch in batches:
                    block = Block(joined(batch.column(0)), batch.num_rows)
                    if not is_plain(block, len(columns)):
                        break
                    yield block
                    done += block.rows
                else:
                    return
        yield from arrow.read_blocks(
            connection, scheme, columns, spreadsheet=spreadsheet, after=done
        )


def joined(lines: pa.StringArray) -> bytes:
    r"""Return the text of a column, which lies in one piece of memory.

    >>> joined(pa.array(["UA,1545\r\n", "B6,725\r\n"]).slice(1))
    b'B6,725\r\n'
    """
    _, places, text = lines.buffers()
    first, *_, last = memoryview(places).cast("i")[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(text)[first:last])


def is_plain(block: Block, columns: int) -> bool:
    r"""Tell whether no cell has a comma, a quote or a line end in it, so that none needs quotes.

    >>> is_plain(Block(b"UA,1545\r\n", 1), 2), is_plain(Block(b"a,b,1545\r\n", 1), 2)
    (True, False)

    :param block: lines that were made without quotes.
    :param columns: how many cells there are in a row.
    """
    marks = len(block.text) - len(block.text.translate(None, b',"\r\n'))
    return marks == block.rows * (columns - 1 + len("\r\n"))
