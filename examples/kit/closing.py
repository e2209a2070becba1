"""Close what a stream reads, however the stream ends."""

from typing import Any


def close(iterable: Any) -> None:
    """Close an iterable that has a ``close`` method.

    A generator has one. A list has none, and needs none (:pep:`3333`).
    Middleware that iterates over a response must call this at its end, on the same thread.

    >>> rows = (row for row in ["UA 1545", "B6 725"])
    >>> next(rows)
    'UA 1545'
    >>> close(rows)
    >>> list(rows)
    []
    >>> close(["UA 1545"])

    :param iterable: what was iterated, to its end or not.
    :raises Exception: whatever its ``close`` raises.
    """
    if hasattr(iterable, "close"):
        iterable.close()
