"""Ask ``stream_check`` about everything that is measured, and hold its verdicts against the record.

A verdict has to agree with the category that the battery found by other means: it knows when each
piece was made, and ``stream_check`` knows only when bytes came.
"""

from docs.measurements.behaviour.target import Target
from docs.measurements.lab.results import Cells
from examples.stream_check.client import check
from examples.stream_check.report import Report
from examples.stream_check.request import Options

#: For each category of arrival, the verdicts that agree with it. What comes one piece late comes
#: piece by piece all the same: only who knows when it was made can tell.
ARRIVED = {
    "as made": {"streamed"},
    "one late": {"streamed", "in lumps"},
    "in bursts": {"in lumps", "delayed"},
    "all at the end": {"buffered until the end"},
}

#: For each way in which a stream that raised ends, the endings that agree with it.
ENDED = {
    "cut": {"cut short"},
    "reset": {"cut short"},
    "silent": {"complete", "ended by closing"},
    "no answer": {"no answer"},
    "500": {"500"},
    "502": {"502"},
}

#: A column of ``stream_check``, the column that it is held against, and what agrees.
COMPARED = {
    "stream_check, small pieces": ("small pieces", ARRIVED),
    "stream_check, large pieces": ("large pieces", ARRIVED),
    "stream_check, error midway": ("error midway HTTP/1.1", ENDED),
}


def verdicts(target: Target) -> Cells:
    """Ask ``stream_check`` how small and large pieces come, and how a stream ends that raises."""

    def seen(path: str) -> Report:
        lines = target.headers.splitlines()
        headers = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in lines)
        return check(f"http://127.0.0.1:{target.port}{path}", Options(headers=headers))

    broken = seen("/error?after=3")
    page = broken.ending == "complete" and broken.status != 200
    small, large, error = COMPARED
    return {
        small: seen("/ticks?ticks=10").verdict,
        large: seen(f"/ticks?ticks=7&size={16 * 1024}").verdict,
        error: str(broken.status) if page else broken.ending,
    }


def disagreements(row: dict[str, str]) -> list[str]:
    """Return where the verdicts of a recorded row do not agree with its categories.

    :raises KeyError: when a category has nothing here that agrees with it.
    """
    return [
        f"{row[category]}, and {name} finds {row[name]}"
        for name, (category, agreeing) in COMPARED.items()
        if not row.get("not measured") and row[name] not in agreeing[row[category]]
    ]
