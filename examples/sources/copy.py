"""Lines that PostgreSQL itself makes, with COPY, through psycopg."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from psycopg import Connection, generators, pq, waiting
from psycopg.errors import error_from_result

from examples.kit.chunks import SIZE
from examples.kit.csv_text import DROPPED, FORMULA_START, RISKY, Block
from examples.rows import TEXT_COLUMNS, connect_postgresql, database, fill_empty, select_flights

#: A line of COPY without its end. Between quotes a line feed is a part of the cell.
LINE = re.compile(rb'((?:[^"\n]+|"[^"]*")*)\n')

#: What COPY writes for a cell that is alone in its row, where the csv module writes another thing.
ALONE = {b"": b'""', rb'"\."': rb"\."}


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    :raises ValueError: when the database is not PostgreSQL.
    """
    scheme, url = database()
    if scheme != "postgresql":
        raise ValueError("the source copy needs PostgreSQL; DATABASE_URL names an SQLite file")
    cells = [text_cell(name, spreadsheet) if name in TEXT_COLUMNS else name for name in columns]
    with closing(connect_postgresql(url, "copy")) as connection:
        fill_empty(connection, url)
        yield from query_blocks(connection, select_flights(cells))


def query_blocks(connection: Connection, query: str) -> Iterator[Block]:
    """Yield the lines of a query of your own.

    When the generator is closed before its end, the query is cancelled.

    :param connection: to PostgreSQL.
    :param query: in SQL, with :func:`text_cell` for each column of text.
    :raises psycopg.Error: when the server reports an error.
    """
    server = connection.pgconn
    server.send_query(f"COPY ({query}) TO STDOUT (FORMAT csv)".encode())
    (started,) = connection.wait(generators.execute(server))
    if started.status != pq.ExecStatus.COPY_OUT:
        raise error_from_result(started)
    try:
        while server.transaction_status == pq.TransactionStatus.ACTIVE:
            yield connection.wait(read_block(server))
    except GeneratorExit:
        connection.cancel_safe(timeout=1)  # or the query goes on until it has a row to send
        raise


def text_cell(name: str, spreadsheet: bool) -> str:
    """Return the SQL of a cell that COPY writes as the csv module does.

    COPY puts quotes round an empty text, to tell it from NULL, and the csv module puts none.

    >>> text_cell("carrier", spreadsheet=False)
    "nullif(carrier, '')"

    :param name: a column of text.
    :param spreadsheet: neutralise formulas.
    """
    cell = name
    if spreadsheet:
        safe = f"regexp_replace({name}, '{DROPPED.pattern}', '', 'g')"
        safe = f"regexp_replace({safe}, '{FORMULA_START.pattern}', '''', 'g')"
        cell = f"CASE WHEN {name} ~ '{RISKY}' THEN {safe} ELSE {name} END"
    return f"nullif({cell}, '')"


def read_block(server: pq.abc.PGconn) -> Generator[waiting.Wait, waiting.Ready | int, Block]:
    """Read the lines of COPY that are there, or wait for the next; none when all were read.

    It is a generator as ``psycopg.Connection.wait`` runs them: it yields when it must wait for
    the server. ``psycopg.Copy.read`` runs one for each row, and this is one for many.

    :param server: the connection on which COPY was started.
    :raises psycopg.Error: when the server reports one.
    """
    lines, rows = bytearray(), 0
    while len(lines) < SIZE:
        size, line = server.get_copy_data(1)
        if size > 0:
            lines += line
            rows += 1
        elif size == 0 and rows:
            break
        elif size == 0:
            yield waiting.Wait.R
            server.consume_input()
        else:
            (ended,) = yield from generators.fetch_many(server)
            if ended.status != pq.ExecStatus.COMMAND_OK:
                raise error_from_result(ended)
            break
    return Block(as_csv_module(bytes(lines), rows), rows)


def as_csv_module(lines: bytes, rows: int) -> bytes:
    r"""Return the lines of COPY as the csv module writes them: each ends with CR and LF.

    Alone in its row NULL is an empty line, to which the csv module adds quotes, and ``\.`` has
    quotes, which the csv module does not add.

    >>> as_csv_module(b'UA,1545,IAH\n', 1), as_csv_module(b'UA,,"a\nb"\n', 1)
    (b'UA,1545,IAH\r\n', b'UA,,"a\nb"\r\n')
    >>> as_csv_module(b'UA\n\n"\\."\n', 3)
    b'UA\r\n""\r\n\\.\r\n'

    :param lines: of COPY.
    :param rows: how many rows that is.
    """
    alone = lines.startswith(b"\n") or b"\n\n" in lines or rb'"\."' in lines
    if lines.count(b"\n") == rows and not alone:
        return lines.replace(b"\n", b"\r\n")
    return b"".join(ALONE.get(line, line) + b"\r\n" for line in LINE.findall(lines))
