"""Read query parameters strictly: a wrong value is a 400 response."""

from flask import abort, request


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
