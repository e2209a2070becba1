"""Time requests in turn, so that what else the machine does meets them all alike."""

from collections.abc import Hashable, Mapping
from statistics import median
from typing import TypeVar

from docs.measurements.lab.recorder import Drained, drain

RUNS = 5  # of each thing that is timed, of which the median counts

Asked = TypeVar("Asked", bound=Hashable)


def in_turn(requests: Mapping[Asked, tuple[int, str]], runs: int) -> dict[Asked, Drained]:
    """Send each of some requests, one after the other, and all of them several times.

    :param requests: the port and the path of each.
    :param runs: how often each is sent.
    :returns: the medians of what each took.
    """
    taken: dict[Asked, list[Drained]] = {asked: [] for asked in requests}
    for _ in range(runs):
        for asked, (port, path) in requests.items():
            taken[asked].append(drain(port, path))
    return {asked: medians(runs) for asked, runs in taken.items()}


def medians(runs: list[Drained]) -> Drained:
    """Return the median times of several runs of the same request."""
    first = median(run.first for run in runs)
    return Drained(first, median(run.seconds for run in runs), runs[0].size)
