"""What is asked of every server and proxy: a question is a function, and fills some cells.

An answer in words is a category, such as ``as made`` or ``silent``, which two runs give alike.
An answer in numbers varies, and the name of its column ends in its unit.
"""

from collections.abc import Callable, Iterable

from docs.measurements.behaviour.readers import (
    departures,
    neighbours,
    pauses,
    slow_reader,
    throughput,
    unread_uploads,
)
from docs.measurements.behaviour.responses import (
    arrivals,
    errors,
    framings,
    heads,
    hop_by_hop,
    lengths,
)
from docs.measurements.behaviour.target import Target
from docs.measurements.behaviour.verdicts import verdicts
from docs.measurements.lab.results import Cells

Question = Callable[[Target], Cells]

QUESTIONS: list[Question] = [
    arrivals,
    framings,
    errors,
    departures,
    slow_reader,
    neighbours,
    throughput,
    heads,
    lengths,
    hop_by_hop,
    verdicts,
    unread_uploads,
]

#: Those that take long and nearly no processor: they are asked of many servers at once.
PATIENT: list[Question] = [pauses]

#: Those that take seconds, and have no number among their answers.
QUICK: list[Question] = [arrivals, framings, errors, heads, lengths, hop_by_hop]


def answers(target: Target, questions: Iterable[Question] = QUESTIONS) -> Cells:
    """Ask every question and return all cells."""
    cells: Cells = {}
    for question in questions:
        cells |= question(target)
    return cells
