"""Give ``stream_check`` pieces with their times, which takes no time at all."""

import zlib
from collections.abc import Iterator
from typing import Any

from examples.stream_check.report import Report
from examples.stream_check.request import PLAIN
from examples.stream_check.watch import Watch

#: Pieces with the seconds at which they arrive.
Arrivals = Iterator[tuple[float, bytes]]

ROW = b"UA 1545\n"
TABLE = b"0,UA 1545,2013-01-01,EWR,IAH,517,830,2,11,1400,227,N14228\n" * 1000

#: How zlib writes a coding, and the length of its header in bytes.
CODINGS = {"gzip": (31, 10), "deflate": (15, 2)}


def compressed(coding: str, how: str, at: float) -> Arrivals:
    """Yield five rows "flushed" at each, half a second apart, or a header and then all, "held"."""
    wbits, header = CODINGS[coding]
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    if how == "flushed":
        for number in range(5):
            yield at + number / 2, packer.compress(ROW) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield at + 2, packer.flush()
    else:
        data = packer.compress(ROW * 40) + packer.flush()
        yield at, data[:header]
        yield at + 3, data[header:]


def arrivals(group: dict[str, Any]) -> Arrivals:
    """Yield a group of pieces as ``timelines.toml`` describes it."""
    at = group.get("at", 0.0)
    for coding in CODINGS.keys() & group.keys():
        yield from compressed(coding, group[coding], at)
        return
    data = b"h" * group.get("size", 0) + TABLE[: group.get("cut", 0)]
    data += group.get("text", "").encode() + bytes.fromhex(group.get("bytes", ""))
    data += ROW * group.get("rows", 0 if data else 1)
    for number in range(group.get("count", 1)):
        yield at + number * group.get("apart", 0.0), data


def run(case: dict[str, Any]) -> Report:
    """Return what is reported of the pieces of a case."""
    watch = Watch("a stream", PLAIN, str)
    watch.report.unit = case.get("unit", "chunk")
    headers = {
        "Content-Type": case.get("type", "text/csv"),
        "Content-Encoding": case.get("coding"),
        "Server": case.get("server"),
    }
    watch.head(0, "200 OK", [(name, value) for name, value in headers.items() if value])
    at = 0.0
    for group in case["pieces"]:
        for at, data in arrivals(group):
            watch.data(at, data)
    watch.end("complete", "", at + case.get("rest", 0.0))
    return watch.finish()
