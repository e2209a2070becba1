"""Follow one response: show its pieces as they come, and report how it came in the end."""

import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Optional

from .report import Report, advise, amount
from .request import Options, without_password
from .timeline import Timeline

#: The headers that say how a response is sent, and by whom.
TELLING = [
    *("Server", "Via", "Location", "Content-Type", "Content-Length", "Transfer-Encoding"),
    *("Content-Encoding", "Cache-Control", "X-Accel-Buffering", "Allow", "Retry-After"),
]

#: How many pieces get a line each. Those after them share a line a second.
OWN_LINES = 20

#: Seconds: what follows the end is awaited so long.
LINGER = 0.5

#: Types whose line ends are lines.
TEXT = re.compile("text/|.*(?:json|xml|csv)|$")


def inflate(wbits: int) -> Callable[[bytes], bytes]:
    """Return what decompresses as bytes come, so that a header alone counts for nothing.

    :param wbits: as :func:`zlib.decompressobj` takes it.
    """
    working = [zlib.decompressobj(wbits)]

    def decode(data: bytes) -> bytes:
        found = b""
        try:
            while data:
                part = working[0].decompress(data, 65536)
                found += part if len(found) < 1_000_000 else b""
                data = working[0].unconsumed_tail
                if working[0].eof:
                    data = working[0].unused_data
                    working[0] = zlib.decompressobj(wbits)
        except zlib.error:
            return data
        return found

    return decode


def keep_header() -> Callable[[bytes], bytes]:
    """Return what keeps back the first few bytes, where a compression tells what it is."""
    kept: list[bytes] = []

    def decode(data: bytes) -> bytes:
        if kept or len(data) > 32:
            data, kept[:] = b"".join(kept) + data, [b""]
            return data
        kept.append(data)
        return b""

    return decode


class Watch:
    """Follow one response.

    :param asked: what is asked for.
    :param options: how.
    :param show: called with a line of text for each piece.
    """

    def __init__(self, asked: str, options: Options, show: Callable[[str], object]) -> None:
        self.report = Report(f"{options.method} {asked}")
        self.options = options
        self.over = threading.Event()
        self.broken: Optional[BaseException] = None  #: What ``show`` raised.
        self.opening = b""  #: The first bytes of the body.
        self._show = show
        self._start = time.perf_counter()
        self._timeline: Optional[Timeline] = None
        self._decode: Callable[[bytes], bytes] = bytes
        self._begun = False  # a piece has, whose content has not come
        self._open = self._waiting = self._waiting_size = 0
        self.chunk = 0  #: The number of the last chunk that has begun.
        self._shown = 0.0
        self.show(self.report.asked)

    def show(self, line: str) -> None:
        """Show a line, and keep what that raises: it is no fault of the response."""
        try:
            self._show(line)
        except BaseException as error:
            self.broken = error
            raise

    def start(self) -> None:
        """Begin to count the time."""
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Return the time since the start."""
        return round(time.perf_counter() - self._start, 4)

    def head(self, at: float, status: str, headers: Iterable[tuple[str, str]]) -> None:
        """Take the head: when it came, its status in words, its headers."""
        self.report.head, self.report.status = at, int(status[:3])
        for name in TELLING:
            values = [value for key, value in headers if key.lower() == name.lower()]
            if values:
                self.report.headers[name] = without_password(", ".join(values))
        coding = self.report.headers.get("Content-Encoding", "identity").lower()
        wbits = {"gzip": 31, "x-gzip": 31, "deflate": 15}.get(coding)
        if coding != "identity":
            self._decode = inflate(wbits) if wbits else keep_header()
        self.show(f"{at:.3f} s  {status}")

    def data(self, at: float, data: bytes, *, begins: bool = True, whole: bool = True) -> None:
        """Take bytes of the body: when they came, whether a piece begins or ends with them.

        :raises KeyboardInterrupt: when it is time to leave.
        """
        report = self.report
        report.first_byte = at if report.first_byte is None else report.first_byte
        report.last_byte = at
        report.size += len(data)
        self.opening += data[: 512 - len(self.opening)]
        events = report.headers.get("Content-Type", "").startswith("text/event-stream")
        self._timeline = self._timeline or Timeline(report.unit, events)
        self._begun = self._begun or begins
        content = self._decode(data)
        if content:
            self._timeline.add(at, content, int(self._begun))
            self._begun = False
        self._open += len(data)
        if whole:
            report.pieces += 1
            self._show_piece(at)
            self._open = 0
            if report.pieces == self.options.abort_after:
                self.end("left as asked", f"after {amount(report.pieces, report.unit)}", at)
                raise KeyboardInterrupt

    def _show_piece(self, at: float) -> None:
        """Show the piece that has come, or keep it for the line of this second."""
        if self.report.pieces <= OWN_LINES:
            self.show(f"{at:.3f} s  {self.report.unit} {self.report.pieces}: {amount(self._open)}")
            self._shown = at
            return
        self._waiting += 1
        self._waiting_size += self._open
        if at >= self._shown + 1:
            self._show_waiting(at)

    def _show_waiting(self, at: float) -> None:
        """Show in one line the pieces that were kept for it."""
        if self._waiting:
            pieces = amount(self._waiting, self.report.unit)
            self.show(f"{at:.3f} s  {pieces}: {amount(self._waiting_size)}")
        self._waiting = self._waiting_size = 0
        self._shown = at

    def end(self, ending: str, reason: str, at: Optional[float] = None) -> None:
        """Take how the response ended, what says so, and when. Only the first end counts."""
        if not self.report.ending:
            self.report.ending, self.report.reason = ending, reason
            self.report.end = self.seconds() if at is None else at
            self.over.set()

    def finish(self) -> Report:
        """Return the report, with its verdict."""
        report, options = self.report, self.options
        self._show_waiting(report.last_byte or 0)
        if self._open:
            self.show(f"{report.end:.3f} s  {amount(self._open)} of the next {report.unit}")
        text = TEXT.match(report.headers.get("Content-Type", ""))
        left = report.ending in ("left as asked", "stopped at the time limit")
        timeline = self._timeline or Timeline(report.unit)
        if report.last_byte is not None and not timeline.pieces:  # nothing but such a header
            timeline.add(report.last_byte, b"")
        report.verdict, report.proof = timeline.judge(report.end, not left, bool(text))
        if timeline.pieces and (options.limit_rate or options.pause):
            report.verdict, report.proof = "read slowly", "the times are those of the reader"
        clean = report.ending in ("complete", "left as asked") and report.status < 300
        report.ok = clean and report.verdict in ("streamed", "read slowly")
        report.next = list(advise(report, options, self.opening))
        return report
