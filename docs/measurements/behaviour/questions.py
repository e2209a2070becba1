"""What is asked of every server and proxy: a question is a function, and fills some cells.

An answer in words is a category, such as ``as made`` or ``silent``, which two runs give alike.
An answer in numbers varies, and the name of its column ends in its unit.
"""

from collections.abc import Callable

from docs.measurements.behaviour import readers, responses
from docs.measurements.behaviour.target import Target
from docs.measurements.behaviour.verdicts import verdicts
from docs.measurements.lab.results import Cells

Question = Callable[[Target], Cells]

QUESTIONS: list[Question] = [
    responses.timings,
    responses.framings,
    responses.errors,
    readers.departures,
    readers.slow_reader,
    readers.neighbours,
    readers.throughput,
    responses.heads,
    responses.lengths,
    responses.hop_by_hop,
    verdicts,
    readers.unread_uploads,
]

#: Those that take long and nearly no processor: they are asked of many servers at once.
PATIENT: list[Question] = [readers.pauses]

#: Those that take seconds, and have no number among their answers.
QUICK = [each for each in QUESTIONS if each.__module__ == responses.__name__]
