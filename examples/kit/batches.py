"""Read rows in batches: a few hundred where the source is quick, one where it is slow."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

#: Rows in a batch at most. Larger ones are slower, because they exceed the processor's cache.
ROWS = 300

#: Seconds that a batch may take for the next one to be larger.
QUICK = 0.1


def fetch_batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield rows in lists of one row, then of twice as many, up to :data:`ROWS`.

    A list is complete when its last row is there. So after a list that took longer than
    :data:`QUICK` the next one has one row, and each row of a slow query arrives alone.

    >>> [len(batch) for batch in fetch_batches(range(1000))]
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 189]

    :param rows: any rows, such as a database cursor that has run its query.
    """
    fetch = rows.fetchmany if hasattr(rows, "fetchmany") else partial(take, iter(rows))
    size, began = 1, time.monotonic()
    while batch := fetch(size):
        quick = time.monotonic() - began < QUICK
        yield batch
        size, began = min(2 * size, ROWS) if quick else 1, time.monotonic()


def take(rows: Iterator[Any], size: int) -> list[Any]:
    """Return the next rows, as many as there are up to a size."""
    return list(islice(rows, size))
