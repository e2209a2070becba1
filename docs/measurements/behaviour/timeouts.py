"""Measure what ends a stream from outside: shutdown, reload, timeouts of servers and proxies.

The limits are in ``servers.toml`` and ``proxies.toml``, each of them a second.
"""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from signal import Signals
from typing import Any

from docs._system.declared import declared
from docs.measurements.behaviour import proxies, servers
from docs.measurements.behaviour.readers import rest, staying
from docs.measurements.behaviour.target import Target
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.recorder import CLOSE, Exchange
from docs.measurements.lab.results import Cells

#: A stream that has two seconds left when the signal comes, one that has nine, one that takes
#: longer than the 15 s that Envoy waits by itself, and one that is silent at first. Each has its
#: path and the number of its pieces.
STREAMS = {
    "short": ("/endless?pieces=60", 60),
    "long": ("/endless?pieces=200", 200),
    "longer": ("/endless?pieces=400", 400),
    "silent": ("/silent", 200),
}
STREAMED = 30  # seconds that a stream may take
BEFORE_SIGNAL = 1.0  # seconds
EXITING = 15  # seconds that a server may take to exit
RESTING = 5  # seconds for which a reader pauses

#: What a client does that stays connected after it was told that its connection closes.
OTHERS_STAY = "other clients stay connected for longer than the limit"


@dataclass(frozen=True)
class Interruption:
    """Something that may end a stream.

    :param program: the name of a server or a proxy.
    :param event: what happens.
    :param options: what its command has beside its own, or for a proxy its configuration.
    :param stream: which of :data:`STREAMS` is under way; none for a client that pauses in a
        download.
    :param sends: the signal that is sent to its main process, if one is.
    :param place: where the configuration of a proxy has its options.
    """

    program: str
    event: str
    options: str = ""
    stream: str = "long"
    sends: str = ""
    place: str = "upstream_settings"

    def serve(self) -> AbstractContextManager[Target]:
        """Run the server or proxy."""
        if self.program in servers.SERVERS:
            return servers.running_server(servers.SERVERS[self.program], self.options)
        proxy = proxies.PROXIES[self.program]
        more: dict[str, Any] = {self.place: f"{getattr(proxy, self.place)} {self.options}"}
        return proxies.running_proxy(replace(proxy, **more))


def limits(program: str, options: str, place: str = "upstream_settings") -> Iterator[Interruption]:
    """Yield what takes longer than a limit."""
    for words, stream in {"busy": "long", "silent": "silent"}.items():
        event = f"{words} for longer than the limit"
        yield Interruption(program, event, options, stream, place=place)


def interruptions() -> Iterator[Interruption]:
    """Yield all that is measured."""
    every = servers.SERVERS.values()
    for server in every:
        yield Interruption(server.name, "SIGTERM", stream="short", sends="SIGTERM")
    for server in every:
        if server.grace:
            yield Interruption(server.name, "SIGTERM, short grace", server.grace, sends="SIGTERM")
    for server in every:
        if server.reloads:
            yield Interruption(server.name, "SIGHUP", stream="short", sends="SIGHUP")
    for name, limit in [
        *((server.name, server.request_limit) for server in every if server.request_limit),
        *((server.name, server.write_limit) for server in every if server.write_limit),
    ]:
        yield from limits(name, limit)
        yield Interruption(name, "its reader pauses for longer than the limit", limit, "")
    for proxy in proxies.PROXIES.values():
        if proxy.time_limit:
            yield from limits(proxy.name, proxy.time_limit, proxy.limit_in)
    for name, events in declared(__file__).items():
        yield from (Interruption(name, **event) for event in events["events"])


def became(answer: Exchange, pieces: int) -> str:
    """Say what became of a stream, in one word.

    :param pieces: how many it has.
    """
    if answer.ending == "complete":
        return "finished" if len(answer.body) >= pieces * 1024 else "silent"
    return answer.ending


def interrupted(target: Target, interruption: Interruption) -> Cells:
    """Let something happen to a stream that is under way."""
    cells: Cells = {}
    path, pieces = STREAMS[interruption.stream]
    target.answered = STREAMED
    with ThreadPoolExecutor() as pool:
        stream = pool.submit(target.fetch, path)
        if interruption.sends:
            time.sleep(BEFORE_SIGNAL)
            target.processes[-1].send_signal(Signals[interruption.sends])
            if interruption.sends != "SIGHUP":
                cells["exit, seconds"] = exits(target.processes[-1])
        if interruption.event == OTHERS_STAY:
            time.sleep(BEFORE_SIGNAL)
            with staying(target, CLOSE):
                stream.result()
        answer = stream.result()
    return cells | {
        "the stream": became(answer, pieces),
        "after, seconds": round(answer.seconds, 1),
    }


def exits(process: subprocess.Popen[str]) -> float | str:
    """Wait until a process has ended, and return the seconds, or ``not``."""
    began = time.monotonic()
    try:
        process.wait(EXITING)
    except subprocess.TimeoutExpired:
        return "not"
    return round(time.monotonic() - began, 1)


def ask(interruption: Interruption) -> Cells:
    """Serve a stream, and interrupt it or its reader."""
    with interruption.serve() as target:
        cells: Cells = {"versions": target.versions}
        if interruption.stream:
            return cells | interrupted(target, interruption)
        ended = rest(target, RESTING)
        return cells | {"the stream": "finished" if ended == "every byte" else ended}


def names(interruption: Interruption) -> Cells:
    """Return what sets an interruption apart."""
    options = " ".join(interruption.options.split())
    return {"program": interruption.program, "event": interruption.event, "options": options}


MEASUREMENT = Measurement("timeouts", list(interruptions()), names=names, ask=ask)
