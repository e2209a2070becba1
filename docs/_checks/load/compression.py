"""Compress tokens, JSON Lines and HTML, and compare the bytes with the delay of each piece.

The clock is simulated: the source needs the seconds of ``STREAMS`` for a piece, and a
compressor needs no time.
"""

import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import islice
from math import inf
from pydoc_data import topics
from typing import Any, NamedTuple
from unittest.mock import patch

import psutil

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.results import Cells
from examples.kit import compress
from examples.kit.json_lines import json_lines, to_json
from examples.kit.sse import event
from examples.rows import Flight, read_january

ROWS = 20_000
TOKENS = 1000

#: When the compressor is flushed, by the arguments of ``compress``.
FLUSHES: dict[str, dict[str, Any]] = {
    "each piece": {},
    "1 KiB": {"size": 1024, "seconds": inf},
    "0.1 s or 64 KiB": {"seconds": 0.1},
    "1 s or 64 KiB": {"seconds": 1},
    "never": {"size": sys.maxsize, "seconds": inf},
}


def brotli() -> Callable[[bytes], bytes]:
    """Return what decodes Brotli. A call of the package returns 32 KiB, and the next call more."""
    process = import_module("brotli").Decompressor().process
    return lambda data: b"".join([process(data), *iter(partial(process, b""), b"")])


DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31).decompress,
    "br": brotli,
    "zstd": lambda: import_module(compress.ZSTD).ZstdDecompressor().decompress,
}

COMPRESSORS = 20  # that are open at once
PIECES = 200  # that each compresses
PACKAGES = ("brotli", *(["backports.zstd"] if sys.version_info < (3, 14) else []))


def tokens() -> Iterator[bytes]:
    """Yield an event for each token of an English text."""
    words = re.findall(r"\s*\S{1,4}", topics.topics["compound"])
    yield from (event(to_json({"text": word}).decode()) for word in words[:TOKENS])


def lines() -> Iterator[bytes]:
    """Yield a line of JSON for each flight."""
    january = islice(read_january(), ROWS)
    return json_lines(dict(zip(Flight._fields, row, strict=True)) for row in january)


def page() -> Iterator[bytes]:
    """Yield a row of a table for each flight."""
    for flight in islice(read_january(), ROWS):
        cells = "".join(f"<td>{cell}</td>" for cell in flight)
        yield f"<tr>{cells}</tr>\n".encode()


#: What is sent, its pieces and the seconds that each takes.
STREAMS = {"tokens": (tokens, 0.05), "JSON Lines": (lines, 0.001), "HTML": (page, 0.001)}


class Clock:
    """A clock that a stream moves.

    :param now: the seconds.
    """

    now = 0.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now


class Compressed(NamedTuple):
    """What became of a stream.

    :param size: the bytes without a compression.
    :param sent: the bytes with it.
    :param delays: the seconds until each piece could be decoded.
    """

    size: int
    sent: int
    delays: list[float]


def compressed(
    pieces: Iterator[bytes], seconds: float, coding: str, flush: dict[str, Any]
) -> Compressed:
    """Compress pieces, and decode them as they arrive."""
    clock, decode = Clock(), DECODERS[coding]()
    waiting: list[tuple[int, float]] = []  # the bytes up to the end of a piece, and its time
    size = sent = decoded = 0
    delays: list[float] = []

    def made() -> Iterator[bytes]:
        nonlocal size
        for piece in pieces:
            clock.now += seconds
            size += len(piece)
            waiting.append((size, clock.now))
            yield piece

    with patch.object(compress, "time", clock):
        for chunk in compress.compress(made(), coding, **flush):
            sent += len(chunk)
            decoded += len(decode(chunk))
            while waiting and waiting[0][0] <= decoded:
                delays.append(clock.now - waiting.pop(0)[1])
    if waiting:
        raise ValueError(f"{coding}: {len(waiting)} pieces cannot be decoded")
    return Compressed(size, sent, delays)


def compression_rows() -> Iterator[Cells]:
    """Yield a row for each stream, flush and coding."""
    for stream, (pieces, seconds) in STREAMS.items():
        for flush, options in FLUSHES.items():
            for coding in DECODERS:
                found = compressed(pieces(), seconds, coding, options)
                yield {
                    "stream": stream,
                    "flush": flush,
                    "coding": coding,
                    "bytes": found.size,
                    "sent, %": round(100 * found.sent / found.size, 1),
                    "delay, seconds": round(max(found.delays), 2),
                    **measured_on(*PACKAGES),
                }


def memory(coding: str) -> tuple[float, float]:
    """Return the KiB of an open compressor, and the µs of a flush, in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, coding]
    each, flush = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(each), float(flush)


def compressor_rows() -> Iterator[Cells]:
    """Yield a row for each coding."""
    for coding in DECODERS:
        each, flush = memory(coding)
        yield {
            "coding": coding,
            "memory grown, KiB per stream": round(each),
            "flush, µs": round(flush),
            **measured_on(*PACKAGES),
        }


def main(coding: str) -> None:
    """Print the memory of an open compressor, and the time of a flush."""
    rows = list(islice(lines(), PIECES * COMPRESSORS + PIECES))
    list(compress.compress(rows[-PIECES:], coding))
    worker = psutil.Process()
    before, began = worker.memory_info().rss, time.process_time()
    opened = []
    for number in range(COMPRESSORS):
        stream = compress.compress(rows[number * PIECES : (number + 1) * PIECES], coding)
        opened.append(stream)
        for _ in range(PIECES):
            next(stream)
    seconds = time.process_time() - began
    grown = worker.memory_info().rss - before
    print(grown / COMPRESSORS / 1024, 1e6 * seconds / COMPRESSORS / PIECES)


if __name__ == "__main__":
    main(sys.argv[1])
