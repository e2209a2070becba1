r"""Write rows as JSON Lines (NDJSON) or as a JSON array, one row in each line."""

import json
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from .closing import close

logger = logging.getLogger(__name__)

#: Line ends of Unicode that JSON may contain as they are. Some readers split lines at them, such as
#: ``str.splitlines`` in Python. In JSON they only occur in text, where an escape is the same text.
#: CR and LF only occur between values, where a space is the same.
LINE_ENDS = {
    **{end.encode(): json.dumps(end)[1:-1].encode() for end in "\x85\u2028\u2029"},
    b"\r": b" ",
    b"\n": b" ",
}

#: The keys of the last line, which a row must not have.
RESERVED = frozenset(["end", "error"])


def plain(value: object) -> object:
    """Return a value that JSON lacks as text: an argument ``default`` of ``json`` and ``orjson``.

    NaN and infinity of ``Decimal`` become ``None``, as those of a float. A mapping becomes a
    dictionary, such as a row of ``session.execute(…).mappings()`` of SQLAlchemy.

    >>> from datetime import UTC, datetime
    >>> plain(Decimal("1.10")), plain(datetime(2013, 1, 1, 5, 17, tzinfo=UTC))
    ('1.10', '2013-01-01T05:17:00+00:00')
    >>> plain(b"UA")
    Traceback (most recent call last):
    TypeError: bytes is not JSON

    :raises TypeError: for any other type.
    """
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain
)


def to_json(value: object) -> bytes:
    r"""Return a value as JSON in UTF-8, on one line.

    >>> row = {"name": "Société", "fare": Decimal("1.10"), "delay": float("nan")}
    >>> print(to_json(row).decode())
    {"name":"Société","fare":"1.10","delay":null}

    :param value: what ``json.dumps`` accepts, a mapping, dates, ``Decimal`` and ``UUID``. NaN and
        infinity become ``null``. Half of a surrogate pair becomes its escape.
    :raises TypeError: for any other type.
    """
    try:
        text = ENCODER.encode(value)
    except ValueError:
        text = ENCODER.encode(finite(value))
    return text.encode(errors="backslashreplace")


def finite(value: Any) -> Any:
    """Return a value with ``None`` in place of NaN and infinity, which JSON lacks.

    >>> finite({"delays": [2.5, float("inf")]})
    {'delays': [2.5, None]}
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def json_lines(
    rows: Iterable[object],
    *,
    encode: Callable[[object], bytes] = to_json,
    end_marker: bool = False,
) -> Generator[bytes, None, None]:
    r"""Yield a line for each row, for :func:`~examples.kit.chunks.join_chunks`.

    >>> list(json_lines([{"flight": 1545}], end_marker=True))
    [b'{"flight":1545}\n', b'{"end":true,"count":1}\n']

    :param rows: a mapping for each row, such as a dictionary. They are closed when this generator
        is closed.
    :param encode: returns a row as JSON in UTF-8, such as ``partial(orjson.dumps, default=plain)``.
    :param end_marker: end with a line that counts the rows. If the rows fail after the first one,
        the error is logged, and the last line is ``{"error":"incomplete"}``.
    :raises ValueError: with an end marker, for a row with a key of the last line, and for a row
        that is no dictionary, because its keys are unknown.
    :raises Exception: whatever the rows raise.
    """
    count = 0
    try:
        for row in rows:
            if end_marker and not (isinstance(row, Mapping) and RESERVED.isdisjoint(row)):
                raise ValueError("a row must be a dictionary without the keys end and error")
            yield one_line(encode(row)) + b"\n"
            count += 1
        if end_marker:
            yield to_json({"end": True, "count": count}) + b"\n"
    except Exception:
        if end_marker and count:
            logger.exception("the stream was cut")
            yield to_json({"error": "incomplete"}) + b"\n"
        raise
    finally:
        close(rows)


def json_array(
    rows: Iterable[object], *, encode: Callable[[object], bytes] = to_json
) -> Generator[bytes, None, None]:
    r"""Yield a JSON array, with each row on a line of its own.

    >>> b"".join(json_array([{"flight": 1545}, {"flight": 725}]))
    b'[\n{"flight":1545},\n{"flight":725}\n]\n'
    >>> b"".join(json_array([]))
    b'[\n]\n'

    :param rows: the rows. They are closed when this generator is closed.
    :param encode: returns a row as JSON in UTF-8.
    :raises Exception: whatever the rows raise.
    """
    separator = b"[\n"  # sent with the first row, so an error before it can be an error page
    try:
        for row in rows:
            yield separator + one_line(encode(row))
            separator = b",\n"
        yield b"[\n]\n" if separator == b"[\n" else b"\n]\n"
    finally:
        close(rows)


def one_line(text: bytes) -> bytes:
    r"""Return JSON on one line, also where it was written on several, such as in a database.

    >>> one_line('{\n"note": "late\u2028again"}'.encode())
    b'{ "note": "late\\u2028again"}'
    """
    for end, escape in LINE_ENDS.items():
        text = text.replace(end, escape)
    return text
