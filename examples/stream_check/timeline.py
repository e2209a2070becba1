"""Judge by the times at which its pieces came whether a body streamed."""

from dataclasses import dataclass

from .report import amount

#: Seconds: what comes within TOGETHER came at one time, a pause of QUICK is a silence, and a
#: silence of LONG may be somebody who holds the body.
TOGETHER, QUICK, LONG = 0.002, 0.1, 0.5

#: How many times prove a stream that is over within QUICK, and how many lines are a table's.
MANY_TIMES, MANY_LINES = 10, 5

#: The bytes of a piece that may be a part of one: proxies cut large ones to their buffers.
LARGE = 2048


@dataclass
class Flow:
    """What came between two silences."""

    silence: float  #: The seconds without a byte before it.
    begin: float  #: When its first byte came.
    last: float  #: When its last byte came.
    pieces: int = 0  #: How many pieces began in it.
    small: int = 0  #: The same, where what follows a large one at once belongs to it.
    times: int = 0  #: At how many times they began.
    size: int = 0  #: Its bytes.
    lines: int = 0  #: Its line ends.

    def apart(self, reads: bool) -> bool:
        """Tell whether most pieces came at times of their own, so that nothing holds them.

        :param reads: a piece is what one read gave: large ones may be parts of one.
        """
        return self.size < 1024 * self.times if reads else 2 * self.times > self.small

    def flowed(self, reads: bool) -> bool:
        """Tell whether it took its time: its pieces came apart, or for long."""
        lasted = self.last - self.begin
        if self.apart(reads) and (self.times >= MANY_TIMES or (self.times > 1 and lasted >= QUICK)):
            return True
        return self.pieces > 1 and lasted >= max(QUICK, self.silence / 4)

    def lump(self, reads: bool) -> bool:
        """Tell whether several pieces came together: held until then, or made so."""
        one = reads and self.last - self.begin < QUICK
        return not (one or self.apart(reads) or self.flowed(reads))


class Timeline:
    """When the pieces of a body came, in little memory however many they are.

    :param unit: what a piece is: ``chunk``, ``item``, or ``part``, which is what a read gave.
    :param events: it is made of server-sent events, and a blank line ends one.
    """

    def __init__(self, unit: str, events: bool = False) -> None:
        self.unit, self.reads, self.events = unit, unit == "part", events
        self.pieces = self.times = self.lines = self.flows = self.lumps = self.lumped = 0
        self.first = self.flow = Flow(0, 0, 0)
        self.silence = 0.0  #: The longest before a lump.
        self._even = self._cut = self._size = self._piece = 0
        self._tail = b""

    def add(self, at: float, data: bytes, pieces: int = 1) -> None:
        """Take bytes that came, and how many pieces begin with them."""
        gap = at - self.flow.last
        if not self.flows or (pieces and gap >= QUICK):
            self._end_flow()
            self.flow = Flow(gap, at, at)
            self.first = self.first if self.flows else self.flow
            self.flows += 1
        if not self.flow.times or (pieces and gap >= TOGETHER):
            if self.times > 1:  # the first one has a head before it
                self._even += self._size % 1000 == 0 or self._size % 1024 == 0
            self._cut += self.times > 0 and self._tail[-1:] != b"\n"
            self._size = 0
            self.times += 1
            self.flow.times += 1
        open_event = self.events and not self._tail.endswith((b"\n\n", b"\r\r", b"\r\n\r\n"))
        part = self._size and (self._piece >= LARGE or open_event)
        self.flow.small += pieces and not part
        self._piece = len(data) + (0 if pieces else self._piece)
        self._size += len(data)
        self._tail = (self._tail + data[-4:])[-4:]
        self.pieces += pieces
        self.lines += data.count(b"\n")
        self.flow.last = at
        self.flow.pieces += pieces
        self.flow.size += len(data)
        self.flow.lines += data.count(b"\n")

    def _end_flow(self) -> None:
        """Count a flow that is over; the first is looked at by itself."""
        if self.flows > 1 and self.flow.lump(self.reads):
            self.lumps += 1
            self.lumped += self.flow.pieces
            self.silence = max(self.silence, self.flow.silence)

    def judge(self, end: float, over: bool, text: bool = True) -> tuple[str, str]:
        """Return how the body came, and the times that say so. Call it once, after all bytes.

        :param end: when the response ended, or the waiting.
        :param over: it ended by itself.
        :param text: a line end in it is one.
        """
        if not self.pieces:
            return "no body", ""
        self._end_flow()
        first, last = self.first, self.flow
        came = f"{amount(self.pieces, self.unit)} at {amount(self.times, 'time')}"
        held = f"at once, after {last.silence:.1f} s of silence: held, or made so"
        together = f"{amount(last.pieces, self.unit)} {held}"
        rest = end - last.last
        over = over and rest < LONG  # it ended with its last piece
        if self.flows == 1:
            waited = first.silence >= LONG
            if first.flowed(self.reads):
                return "streamed", came
            if rest >= LONG and not (waited and self.pieces > 1):
                return "streamed", f"{came}, {rest:.1f} s before the end"
            if waited and (over or self.pieces > 1):
                return "buffered until the end" if over else "in lumps", together
            return "in one piece" if over and self.pieces == 1 else "at once", came
        if first.silence >= LONG and first.lump(self.reads) and 10 * first.pieces > 9 * self.pieces:
            return "in lumps", f"{first.pieces} of {came}: held, or made so"
        most = 2 * self.lumped > self.pieces - first.pieces
        if most and (self.silence >= LONG or 4 * self.lumped > self.pieces):
            if self.lumps == 1 and over and last.lump(self.reads):
                return "delayed", together
            return "in lumps", f"{came}, several at once after a silence: held, or made so"
        if over and last.silence >= LONG and not last.flowed(self.reads):
            if not self.reads and last.pieces > 1 + 2 * (self.pieces - last.pieces):
                return "delayed", together
            if self.flows == 2 and text and last.lines >= MANY_LINES:
                return "delayed", f"{last.lines} lines {held}"
        whole = 0 < self._even == self.times - 2 and 2 * self.flows > self.times
        if whole and text and self.lines and self._cut:
            return "in lumps", f"{came}, sized as a buffer and cut within lines: held, or made so"
        return "streamed", came
