"""Questions about what is sent: when it arrives, how it is framed, how it ends."""

from math import inf

from docs.measurements.behaviour.app import LATE, TICKS
from docs.measurements.behaviour.target import Target
from docs.measurements.lab.recorder import Exchange
from docs.measurements.lab.results import Cells

#: Endings of a response that was cut before its body: whether the head still leaves is a race.
RACES = ("reset", "no answer")


def arrival_of_ticks(target: Target, size: int) -> str:
    """Tell when five pieces arrive that are made one after the other.

    :param size: of a piece, in bytes.
    """
    answer = target.fetch(f"/ticks?size={size}")
    moments = [part.seconds for part in answer.parts for _ in part.data]
    made = target.times(answer, "made")
    if len(moments) != TICKS * size or len(made) != TICKS:
        return answer.ending
    arrived = moments[size - 1 :: size]
    if all(here < there for here, there in zip(arrived, made[1:], strict=False)):
        return "as made"  # each before the next was made
    if arrived[0] >= made[-1]:
        return "all at the end"
    between = zip(made[1:], arrived, [*made[2:], inf], strict=False)
    if all(made_next <= here < made_after for made_next, here, made_after in between):
        return "one late"
    return "in bursts"


def timings(target: Target) -> Cells:
    """Ask when small and large pieces arrive, and when the headers leave."""
    late, empty = target.fetch("/late"), target.fetch("/late?empty=1")
    return {
        "small pieces": arrival_of_ticks(target, 6),
        "large pieces": arrival_of_ticks(target, 16 * 1024),
        "headers": "at once" if late.head < LATE / 2 else "with the first piece",
        "empty piece": "sends the headers" if empty.head < LATE / 2 else "sends nothing",
    }


def framing(answer: Exchange) -> str:
    """Return how the end of a stream is marked, or what came in place of the stream."""
    marked = answer.response.framing if answer.response.status == 200 else None
    return marked or answer.ending


def framings(target: Target) -> Cells:
    """Ask how the end of a stream is marked, for clients of both versions of HTTP."""
    new, old = target.fetch("/endless?pieces=1"), target.fetch("/endless?pieces=1", version="1.0")
    empty = target.fetch("/empty")
    events = [event for _, event in target.events.of(empty.request)]
    started = next((event for event in events if event.startswith("started ")), "")
    return {
        "asks the app with": started.removeprefix("started "),
        "framing HTTP/1.1": framing(new),
        "framing HTTP/1.0": framing(old),
        "empty stream": empty.ending,
    }


def errors(target: Target) -> Cells:
    """Ask what a client sees when the generator raises."""

    def seen(path: str, version: str = "1.1") -> str:
        answer = target.fetch(path, version=version)
        return "silent" if answer.ending == "complete" else answer.ending

    return {
        "error midway HTTP/1.1": seen("/error?after=3"),
        "error midway HTTP/1.0": seen("/error?after=3", "1.0"),
        "error first": "cut" if (first := seen("/error")) in RACES else first,
        "curl, error midway": target.curl("/error?after=3"),
    }


def heads(target: Target) -> Cells:
    """Ask for the head alone."""
    answer = target.fetch("/ticks", "HEAD")
    target.events.wait(answer.request, "call_on_close", 1)
    framing = [
        name for name in ("transfer-encoding", "content-length") if answer.response.header(name)
    ]
    return {
        "HEAD": f"{answer.ending}{', and more bytes' if answer.response.excess else ''}",
        "HEAD, framing": " and ".join(framing) or "none",
        "HEAD, generator": "started" if target.times(answer, "started") else "never started",
        "HEAD, call_on_close": "yes" if target.times(answer, "call_on_close") else "no",
    }


def lengths(target: Target) -> Cells:
    """Ask for ten bytes under a Content-Length that is wrong, each way."""
    long, short = (
        target.fetch("/header?name=Content-Length&value=20"),
        target.fetch("/header?name=Content-Length&value=5"),
    )
    excess = " and more" if short.response.excess else ""
    return {
        "promises 20 of 10": "cut" if long.ending in RACES else long.ending,
        "promises 5 of 10": f"{short.ending}, {len(short.body)} bytes{excess}",
    }


def hop_by_hop(target: Target) -> Cells:
    """Ask for headers that belong to the connection, which an app may not send."""

    def outcome(name: str, value: str) -> str:
        answer = target.fetch(f"/header?name={name}&value={value}")
        if answer.body != b"0123456789":
            return "corrupt body" if answer.ending == "complete" else answer.ending
        sent = [found for key, found in answer.response.headers if key == name.lower()]
        if len(sent) > 1:
            return f"sent {len(sent)} times"
        # The one Transfer-Encoding of a response is the server's own.
        return "sent" if name == "Connection" and value in sent else "dropped"

    return {
        "Connection: keep-alive": outcome("Connection", "keep-alive"),
        "Transfer-Encoding: chunked": outcome("Transfer-Encoding", "chunked"),
    }
