"""Lines that PostgreSQL itself makes, with COPY, through psycopg."""

import csv
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from io import StringIO

from psycopg import generators, pq, waiting
from psycopg.errors import error_from_result

from examples.chunks import SIZE
from examples.csv_text import FORMULA_START, Block, csv_text
from examples.rows import TEXT_COLUMNS, connect_postgresql, filled_database, select_flights


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    :raises ValueError: when the database is not PostgreSQL.
    """
    scheme, url = filled_database()
    if scheme != "postgresql":
        raise ValueError("the source copy needs PostgreSQL; DATABASE_URL names an SQLite file")
    cells = [neutralised(name) if spreadsheet else name for name in columns]
    statement = f"COPY ({select_flights(cells)}) TO STDOUT (FORMAT csv)"
    with closing(connect_postgresql(url, "copy")) as connection:
        connection.pgconn.send_query(statement.encode())
        (started,) = connection.wait(generators.execute(connection.pgconn))
        if started.status != pq.ExecStatus.COPY_OUT:
            raise error_from_result(started)
        try:
            while connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                yield connection.wait(read_block(connection.pgconn))
        except GeneratorExit:
            connection.cancel_safe(timeout=1)  # or the query goes on until it has a row to send
            raise


def neutralised(name: str) -> str:
    """Return the SQL that puts an apostrophe where a formula may begin.

    >>> neutralised("flight")
    'flight'

    :param name: a field of :class:`examples.rows.Flight`.
    """
    if name not in TEXT_COLUMNS:
        return name
    return f"regexp_replace({name}, '{FORMULA_START.pattern}', '''', 'g')"


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

    COPY also puts quotes round an empty text, to tell it from NULL, and none round a NULL alone
    in its row, which would be an empty line.

    >>> as_csv_module(b'UA,1545,IAH\n', 1), as_csv_module(b'UA,"","a\nb"\n', 1)
    (b'UA,1545,IAH\r\n', b'UA,,"a\nb"\r\n')
    >>> as_csv_module(b'UA\n\n', 2)
    b'UA\r\n""\r\n'

    :param lines: of COPY.
    :param rows: how many rows that is.
    """
    empty_line = lines.startswith(b"\n") or b"\n\n" in lines
    if lines.count(b"\n") == rows and b'""' not in lines and not empty_line:
        return lines.replace(b"\n", b"\r\n")
    return csv_text(row or [""] for row in csv.reader(StringIO(lines.decode(), newline="")))
