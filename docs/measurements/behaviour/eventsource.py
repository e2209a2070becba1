"""Measure which answers make a browser's ``EventSource`` ask again, and which close it for good.

Each answer of ``eventsource.toml`` is given to a real browser. No app takes part: what arrives is
what an app, a server or a proxy can answer.
"""

import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from docs._system.declared import declared
from docs.measurements.behaviour import canned
from docs.measurements.lab.environments import version_of
from docs.measurements.lab.measurement import Measurement, cases_of
from docs.measurements.lab.results import Cells

WATCHED = 12  # seconds for which each EventSource is watched: four times Chromium's own pause
IDLE = 3  # seconds after which a connection that was opened for the page is closed
BROWSING = 60  # seconds that the browser may take with its start and its end
REFUSES = 5  # seconds for which a port refuses connections before somebody listens

OPEN, CLOSED = 1, 2  # each a readyState
GOES_ON = "the stream goes on"


class Replies(NamedTuple):
    """What an ``EventSource`` is answered.

    :param name: what the guide calls it.
    :param answers: for its first requests, one each: the status, headers and body of each.
    :param reset: whether the connection is reset after each of them.
    :param closes: whether its page closes the ``EventSource`` at an event named ``end``.
    :param listens: whether the server listens from the start.
    """

    name: str
    answers: list[str]
    reset: bool = False
    closes: bool = False
    listens: bool = True


def closing(text: str) -> bytes:
    """Return an answer that ends with its connection.

    :param text: its status, headers and body.
    """
    head, _, body = text.partition("\n\n")
    lines = [f"HTTP/1.1 {head}", "Connection: close"]
    return "\n".join([*lines, "", ""]).replace("\n", "\r\n").encode() + body.encode()


EVENT_STREAM = "200 OK\nContent-Type: text/event-stream"

#: What every request after the last answer gets; the connection stays open then.
STREAM = canned.Answer(closing(f"{EVENT_STREAM}\n\ndata: {GOES_ON}\n\n"), "held")

#: What is answered where no server listened at first: another port is another site.
AFTER_REFUSAL = closing(f"{EVENT_STREAM}\nAccess-Control-Allow-Origin: *\n\ndata: UA 1545\n\n")


@dataclass
class Replying:
    """What answers the requests of an ``EventSource``.

    :param replies: with what.
    :param refusing: a socket that is bound; it refuses connections until it listens.
    :param times: when each request was sent, on the monotonic clock.
    :param last: the ``Last-Event-ID`` of each.
    """

    replies: Replies
    refusing: socket.socket
    times: list[float] = field(default_factory=list)
    last: list[str] = field(default_factory=list)

    def __call__(self, path: str, last: str) -> canned.Answer:
        """Return the answer for a path."""
        match path:
            case "/page":
                refused = "http://{}:{}/".format(*self.refusing.getsockname())
                return canned.filled_page(
                    Path(__file__).with_suffix(".html"),
                    URL="/answers" if self.replies.listens else refused,
                    CLOSES=self.replies.closes,
                    WATCHED=WATCHED * 1000,
                    REFUSES=REFUSES * 1000,
                    IDLE=IDLE * 1000,
                )
            case "/answers":
                self.times.append(time.monotonic())
                self.last.append(last)
                if len(self.times) > len(self.replies.answers):
                    return STREAM
                text = self.replies.answers[len(self.times) - 1]
                then: canned.Then = "reset" if self.replies.reset else "closed"
                return canned.Answer(closing(text) if text else b"", then)
            case "/stream":
                return STREAM
            case "/listen":
                return self.listen()
        return canned.Answer(closing("404 Not Found\n\n"))

    def listen(self) -> canned.Answer:
        """Answer at the address that refused until now, for one connection."""
        self.refusing.listen()
        connection, _ = self.refusing.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(AFTER_REFUSAL)
            connection.recv(1)
        return canned.Answer(b"")


#: What became of an ``EventSource``, by its ``readyState`` in the end and whether it had errors.
BECAME = {
    (OPEN, False): "stays open",
    (OPEN, True): "asks again",
    (CLOSED, False): "closed by its page",
    (CLOSED, True): "closed for good",
}


def ask(replies: Replies) -> Cells:
    """Return what an ``EventSource`` does with its answers, in a browser.

    :raises NotStartedError: when the browser is not installed, or does not report in time.
    """
    with (
        TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile,
        socket.socket() as refusing,
    ):
        refusing.bind(("127.0.0.1", 0))
        replying = Replying(replies, refusing)
        found = canned.browse(replying, "/page", Path(profile), BROWSING)
    cells: Cells = {
        "EventSource": BECAME[found["state"], bool(found["errors"])],
        "events": "; ".join(event for event in found["events"] if event != GOES_ON),
        "readyState at an error": " ".join(map(str, found["errors"])),
        "versions": version_of(canned.BROWSER),
    }
    if len(replying.times) > 1:
        first, second, *_ = replying.times
        cells["asks again after, seconds"] = round(second - first, 1)
        cells["Last-Event-ID"] = replying.last[1]
    return cells


MEASUREMENT = Measurement(
    "eventsource",
    list(cases_of(declared(__file__), Replies).values()),
    names=lambda replies: {"answer": replies.name},
    ask=ask,
    on=lambda _: {},
    at_once=5,  # each mostly waits
)
