"""Ask ``stream_check`` about everything that is measured.

``docs/_checks/stream_check/record.py`` compares its verdicts with the categories of the record.
"""

from docs.measurements.behaviour.target import Target
from docs.measurements.lab.results import Cells
from examples.stream_check.client import check
from examples.stream_check.report import Report
from examples.stream_check.request import Options


def verdicts(target: Target) -> Cells:
    """Ask ``stream_check`` how small and large pieces come, and how a stream ends that raises."""

    def seen(path: str) -> Report:
        lines = target.headers.splitlines()
        headers = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in lines)
        return check(f"http://127.0.0.1:{target.port}{path}", Options(headers=headers))

    broken = seen("/error?after=3")
    page = broken.ending == "complete" and broken.status != 200
    return {
        "stream_check, small pieces": seen("/ticks?ticks=10").verdict,
        "stream_check, large pieces": seen(f"/ticks?ticks=7&size={16 * 1024}").verdict,
        "stream_check, error midway": str(broken.status) if page else broken.ending,
    }
