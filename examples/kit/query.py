"""Read query parameters strictly: a wrong value is a 400 response."""

import re
from datetime import UTC, datetime

from flask import abort, request

#: A moment of :rfc:`3339`. ``datetime.fromisoformat`` alone also accepts a NUL or a line end,
#: ``+00:60``, and in Python 3.14 the hour 24.
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:[0-5]\d)", re.ASCII
)


def flag(name: str, value: str) -> bool:
    """Return whether a query parameter has the one value that it may have.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> for query in ("", "for=spreadsheet"):
    ...     with app.test_request_context(f"/large.csv?{query}"):
    ...         flag("for", "spreadsheet")
    False
    True
    >>> with app.test_request_context("/large.csv?for=pleasure"):
    ...     flag("for", "spreadsheet")
    Traceback (most recent call last):
    werkzeug.exceptions.BadRequest: 400 Bad Request: for may only be 'spreadsheet', once

    :param name: the parameter, as in ``?name=value``.
    :param value: the value that makes this true. Without the parameter it is false.
    :raises werkzeug.exceptions.BadRequest: for another value, and for a second one.
    """
    given = request.args.getlist(name)
    if given not in ([], [value]):
        abort(400, f"{name} may only be {value!r}, once")
    return bool(given)


def moment(name: str) -> datetime | None:
    """Return a moment from a query parameter, in UTC.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> for query in ("", "since=2026-11-28T08:00:00%2B01:00", "since=2026-11-28T07:00Z"):
    ...     with app.test_request_context(f"/orders.csv?{query}"):
    ...         print(moment("since"))
    None
    2026-11-28 07:00:00+00:00
    2026-11-28 07:00:00+00:00
    >>> with app.test_request_context("/orders.csv?since=2026-11-28"):
    ...     moment("since")
    Traceback (most recent call last):
    werkzeug.exceptions.BadRequest: 400 Bad Request: since is like 2026-11-28T07:00Z, once

    :param name: the parameter. Its value has a date, a time and a time zone (:rfc:`3339`).
    :returns: ``None`` without the parameter.
    :raises werkzeug.exceptions.BadRequest: for any other value, and for a second one.
    """
    given = request.args.getlist(name)
    if not given:
        return None
    try:
        (found,) = [datetime.fromisoformat(text) for text in given if MOMENT.fullmatch(text)]
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        abort(400, f"{name} is like 2026-11-28T07:00Z, once")
