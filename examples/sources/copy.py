"""Lines that PostgreSQL itself makes, with COPY, through psycopg."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from psycopg import generators, pq, waiting
from psycopg.errors import error_from_result

from examples.chunks import SIZE
from examples.csv_text import DROPPED, FORMULA_START, Block
from examples.rows import TEXT_COLUMNS, connect_postgresql, filled_database, select_flights

#: What COPY writes for a cell that is alone in its row, where the csv module writes another thing.
ALONE = {b"": b'""', rb'"\."': rb"\."}


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    :raises ValueError: when the database is not PostgreSQL.
    """
    scheme, url = filled_database()
    if scheme != "postgresql":
        raise ValueError("the source copy needs PostgreSQL; DATABASE_URL names an SQLite file")
    cells = [text_cell(name, spreadsheet) if name in TEXT_COLUMNS else name for name in columns]
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
        cell = f"regexp_replace({cell}, '{DROPPED.pattern}', '', 'g')"
        cell = f"regexp_replace({cell}, '{FORMULA_START.pattern}', '''', 'g')"
    return f"nullif({cell}, '')"


def read_block(server: pq.abc.PGconn) -> Generator[waiting.Wait, waiting.Ready | int, Block]:
    """Read the lines of COPY that are there, or wait for the next; none when all were read.

    It is a generator as ``psycopg.Connection.wait`` runs them: it yields when it must wait for
    the server. ``psycopg.Copy.read`` runs one for each row, and this is one for many.

    :param server: the connection on which COPY was started.
    :raises psycopg.Error: when the server reports one.
    """
    lines: list[memoryview] = []
    length = 0
    while length < SIZE:
        size, line = server.get_copy_data(1)
        if size > 0:
            lines.append(line)
            length += size
        elif size == 0 and lines:
            break
        elif size == 0:
            yield waiting.Wait.R
            server.consume_input()
        else:
            (ended,) = yield from generators.fetch_many(server)
            if ended.status != pq.ExecStatus.COMMAND_OK:
                raise error_from_result(ended)
            break
    return Block(as_csv_module(lines), len(lines))


def as_csv_module(lines: Sequence[bytes | memoryview]) -> bytes:
    r"""Return lines of COPY as the csv module writes them: each ends with CR and LF.

    Alone in its row NULL is an empty line, to which the csv module adds quotes, and ``\.`` has
    quotes, which the csv module does not add.

    >>> as_csv_module([b'UA,1545,IAH\n', b'UA,,"a\nb"\n'])
    b'UA,1545,IAH\r\nUA,,"a\nb"\r\n'
    >>> as_csv_module([b'UA\n', b'\n', b'"\\."\n'])
    b'UA\r\n""\r\n\\.\r\n'

    :param lines: each of a row.
    """
    text = b"".join(lines)
    alone = text.startswith(b"\n") or b"\n\n" in text or rb'"\."' in text
    if text.count(b"\n") == len(lines) and not alone:
        return text.replace(b"\n", b"\r\n")
    cells = (bytes(line[:-1]) for line in lines)
    return b"".join(ALONE.get(cell, cell) + b"\r\n" for cell in cells)
