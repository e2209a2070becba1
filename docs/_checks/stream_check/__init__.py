"""What ``stream_check`` is tried on: each fault that the field reported, beside its opposite.

The cases are in the TOML files beside this one, and in ``calls.py`` where a case is a call. In each
list of cases every second one is the opposite of the one before it.
"""

import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from docs._checks.stream_check import answers, commands, timelines
from docs._checks.stream_check.calls import CALLS
from examples.stream_check.report import Report

#: What runs the cases of each file.
FILES: dict[str, Callable[[dict[str, Any]], Report | str]] = {
    "timelines": timelines.run,
    "answers": answers.run,
    "commands": commands.run,
}

#: What a case of a file can be about: the names in the files, and the words that the tool has.
PARTS: dict[str, Callable[[Report], str]] = {
    "verdict": lambda report: report.verdict,
    "ending": lambda report: report.ending,
    "hint": lambda report: " ".join(report.next),
}


class Case(NamedTuple):
    """One case.

    :param what: what arrives, or what is asked.
    :param expected: the words that the tool must have, or ``without ...`` for those it must not.
    :param find: returns its words.
    """

    what: str
    expected: str
    find: Callable[[], str]


def found(run: Callable[[dict[str, Any]], Report | str], case: dict[str, Any], part: str) -> str:
    """Run a case of a file, and return the words that the tool has for a part of it."""
    seen = run(case)
    return seen if isinstance(seen, str) else PARTS[part](seen)


def read() -> Iterator[tuple[str, Case]]:
    """Yield every case, and the fault that it belongs to."""
    for name, run in FILES.items():
        text = Path(__file__).with_name(f"{name}.toml").read_text("utf-8")
        for fault, cases in tomllib.loads(text).items():
            for case in cases:
                (part,) = case.keys() & {*PARTS, "said"}
                yield fault, Case(case["what"], case[part], partial(found, run, case, part))
    for fault, calls in CALLS.items():
        for call in calls:
            yield fault, Case(*call)


#: Each fault, and its cases.
FAULTS: dict[str, list[Case]] = {}
for each_fault, each_case in read():
    FAULTS.setdefault(each_fault, []).append(each_case)


def failures() -> Iterator[str]:
    """Try all cases, and yield those in which the tool has other words."""
    for fault, cases in FAULTS.items():
        for case in cases:
            words = case.expected.removeprefix("without ")
            seen = case.find()
            if (words in seen) != (words == case.expected):
                yield f"{fault}: {case.what}: {case.expected!r} does not fit {seen!r}"
