"""Tell a client in the stream itself that the stream is not complete."""

import logging
from collections.abc import Generator, Iterable

from .closing import close

logger = logging.getLogger(__name__)


def reported(pieces: Iterable[str], notice: str) -> Generator[str, None, None]:
    r"""Yield the pieces of a stream, and a notice when it fails.

    The error is logged and raised again, so the server can cut the body. The notice starts on a
    line of its own. An error before the first piece has no notice, because it can still be an error
    page: write ``prime(join_chunks(reported(rows, notice)))``.

    >>> def rows():
    ...     yield '{"flight": "UA 15'
    ...     raise ConnectionError("the database went away")
    >>> stream = reported(rows(), '{"error": "incomplete"}\n')
    >>> next(stream), next(stream)
    ('{"flight": "UA 15', '\n{"error": "incomplete"}\n')
    >>> next(stream)
    Traceback (most recent call last):
    ConnectionError: the database went away

    :param pieces: text, in pieces of any size.
    :param notice: what a client of this format treats as an error.
    :raises Exception: whatever the source raises.
    """
    last = ""
    try:
        for piece in pieces:
            yield piece
            last = piece or last
    except Exception:
        logger.exception("the stream was cut")
        if last:
            yield notice if last.endswith("\n") else f"\n{notice}"
        raise
    finally:
        close(pieces)
