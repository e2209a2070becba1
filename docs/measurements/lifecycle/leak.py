"""Record what an abandoned stream leaves on the thread that served it (pallets/flask#6123).

A virtual environment is made for each version of Flask, which needs the network.
"""

import json
import time
from contextlib import closing
from importlib.metadata import version
from itertools import product
from typing import NamedTuple

from docs._system.declared import declared
from docs._system.ports import free_port
from docs.measurements.lab.environments import made_of
from docs.measurements.lab.measurement import Measurement, cases_of, measured_on
from docs.measurements.lab.processes import event_log, running
from docs.measurements.lab.recorder import fetch, receive
from docs.measurements.lab.results import Cells
from docs.measurements.lifecycle.abandoned import ABANDONED, INTERVAL, VARIANTS, Variant
from docs.measurements.lifecycle.versions import FLASKS, with_flask

LATER = 3  # requests before the abandoned stream is collected, and again after it
ENOUGH = 5  # seconds that a server may take to be done with a stream, and to answer
ABANDONED_APP = "docs.measurements.lifecycle.abandoned"


class OneThread(NamedTuple):
    """A server with one thread, what starts it, and its packages."""

    name: str
    command: str
    packages: list[str]


LEAK_SERVERS = cases_of(declared(__file__), OneThread).values()


class Leak(NamedTuple):
    """A version of Flask, a server, and the way in which its stream comes to be abandoned."""

    flask: str
    server: OneThread
    variant: Variant


def get(port: int, path: str) -> str:
    """Return what a server answers: the body, the status of an error, or that it was cut."""
    answer = fetch(port, path, timeout=ENOUGH)
    if answer.ending == "complete":
        return answer.body.decode()
    return "cut" if answer.ending in ("reset", "no answer") else answer.ending


def abandon(port: int, variant: Variant) -> None:
    """Ask for the stream, leave after its first piece, and wait until the server is done with it.

    A server that never calls ``close()`` is done when the generator is.
    """
    with closing(receive(port, "/stream", variant.method, ENOUGH)) as arrivals:
        came = b""
        for arrival in arrivals:
            came += arrival.data
            if b"piece 0\n" in came:
                break
    end = time.monotonic() + ENOUGH
    while time.monotonic() < end:
        found = json.loads(get(port, "/aftermath"))
        if found["closed"] != "never" or found["generator"] != "never closed":
            return
        time.sleep(INTERVAL)


def measure_leak(port: int, variant: Variant) -> Cells:
    """Abandon a stream, send later requests, and return what came of it."""
    abandon(port, variant)
    for _ in range(LATER):
        get(port, "/later")
    answer = ""  # to the request in which the stream was collected, if it was in one
    if variant.collect == "request":
        answer = get(port, "/later?collect=") or "200, and nothing in it"
    else:
        get(port, "/collect")
    for _ in range(LATER):
        get(port, "/later")
    cells: Cells = json.loads(get(port, "/aftermath"))
    return cells | {"answer": answer}


def ask(leak: Leak) -> Cells:
    """Serve the app in one of its variants and measure it."""
    packages = {name for server in LEAK_SERVERS for name in server.packages}
    programs = with_flask(leak.flask, *(f"{name}=={version(name)}" for name in packages))
    port = free_port()
    program, *arguments = leak.server.command.format(app=ABANDONED_APP, port=port).split()
    command = [str(programs / program), *arguments]
    settings = {ABANDONED: str(VARIANTS.index(leak.variant))}
    with (
        event_log() as events,
        running(command, port, events, settings=settings, ready=("/aftermath", 200)),
    ):
        return measure_leak(port, leak.variant) | {"versions": made_of(*leak.server.packages)}


def names(leak: Leak) -> Cells:
    """Return what sets a leak apart."""
    return {"flask": leak.flask, "server": leak.server.name, "variant": leak.variant.name}


MEASUREMENT = Measurement(
    "lifecycle_leak",
    [Leak(*each) for each in product(FLASKS, LEAK_SERVERS, VARIANTS)],
    names=names,
    ask=ask,
    on=lambda leak: measured_on() | {"flask": leak.flask},
)
