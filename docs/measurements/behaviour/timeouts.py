"""Measure what ends a stream from outside: shutdown, reload, timeouts of servers and proxies.

``nox -s measure -- timeouts`` writes ``results/recorded/timeouts.csv``;
with names of servers and proxies it measures only those, and keeps the other rows.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import NamedTuple

from docs.measurements.behaviour import proxies, servers
from docs.measurements.behaviour.questions import Answer, rest, staying
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.results import Cells

#: A stream that has two seconds left when the signal comes, one that has nine.
SHORT, LONG = "/endless?pieces=60", "/endless?pieces=200"
LONGER = "/endless?pieces=400"  # than the 15 s that Envoy waits by itself
WHOLE = {SHORT: 60, LONG: 200, LONGER: 400}
PATIENT = 30  # seconds that a stream may take
BEFORE_SIGNAL = 1.0  # seconds

#: The seconds that each timeout is set to here, and those for which a reader pauses.
LIMIT, REST = 1, 5
PATIENCE = 15  # seconds that a server may take to exit


class Case(NamedTuple):
    """Something that may end a stream.

    :param program: the name of a server or a proxy.
    :param event: what happens.
    :param options: what its command has beside its own, or for a proxy its configuration.
    :param path: the stream that is under way; none for a client that pauses in a download.
    :param sends: the signal that is sent to its main process, if one is.
    :param place: where the configuration of a proxy has its options.
    """

    program: str
    event: str
    options: str = ""
    path: str = LONG
    sends: signal.Signals | None = None
    place: str = "upstream_settings"


#: What bounds a graceful shutdown, where a server can be told.
GRACE = {
    "gunicorn sync": f"--graceful-timeout {LIMIT}",
    "gunicorn gthread": f"--graceful-timeout {LIMIT}",
    "gunicorn gevent": f"--graceful-timeout {LIMIT}",
    "uWSGI http-socket": f"--worker-reload-mercy {LIMIT}",
    "uWSGI http": f"--worker-reload-mercy {LIMIT}",
    "Granian": f"--workers-kill-timeout {LIMIT}",
    "uvicorn with a2wsgi": f"--timeout-graceful-shutdown {LIMIT}",
    "hypercorn": f"--graceful-timeout {LIMIT}",
    "mod_wsgi-express": f"--shutdown-timeout {LIMIT}",
}

#: The servers that start their workers anew on SIGHUP.
RELOADS = (
    "gunicorn sync",
    "gunicorn gthread",
    "gunicorn gevent",
    "uWSGI http-socket",
    "Granian",
)

#: What a server says a request, a worker or a connection may take; the stream takes longer.
REQUEST_LIMITS = {
    "gunicorn sync": f"--timeout {LIMIT}",
    "gunicorn gthread": f"--timeout {LIMIT}",
    "gunicorn gevent": f"--timeout {LIMIT}",
    "waitress": f"--channel-timeout={LIMIT}",
    "uWSGI http-socket": f"--harakiri {LIMIT}",
    "uWSGI http": f"--http-timeout {LIMIT}",
    "mod_wsgi-express": f"--request-timeout {LIMIT}",
}

#: What bounds a write to a reader that reads nothing.
WRITE_LIMITS = {
    "uWSGI http-socket": f"--socket-timeout {LIMIT}",
    "uWSGI http": f"--socket-timeout {LIMIT}",
    "cheroot": f"--timeout {LIMIT}",
    "mod_wsgi-express": f"--socket-timeout {LIMIT}",
}

#: What a client does that stays connected after it was told that its connection closes.
STAYING = "other clients stay connected for longer than the limit"

RESTING = "its reader pauses for longer than the limit"


def cases() -> Iterator[Case]:
    """Yield all that is measured."""
    for server in servers.SERVERS:
        yield Case(server.name, "SIGTERM", path=SHORT, sends=signal.SIGTERM)
    for name, options in GRACE.items():
        yield Case(name, "SIGTERM, short grace", options, sends=signal.SIGTERM)
    for name in RELOADS:
        yield Case(name, "SIGHUP", path=SHORT, sends=signal.SIGHUP)
    for name, options in [*REQUEST_LIMITS.items(), *WRITE_LIMITS.items()]:
        yield Case(name, "busy for longer than the limit", options)
        yield Case(name, "silent for longer than the limit", options, "/silent")
        yield Case(name, RESTING, options, "")
    yield Case("gunicorn gthread", STAYING, f"--timeout {LIMIT}")
    for name, options in proxies.TIME_LIMITS.items():
        yield Case(name, "busy for longer than the limit", options)
        yield Case(name, "silent for longer than the limit", options, "/silent")
    for event, path in [("busy", LONG), ("silent", "/silent")]:
        event = f"{event} for longer than the limit"
        yield Case("Traefik", event, proxies.TRAEFIK_LIMIT, path, place="process_settings")
    for name in ("Envoy", "Envoy, timeout: 0s"):
        yield Case(name, "busy for 20 s", path=LONGER)
    for sends in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        yield Case("nginx", f"{sends.name} to the proxy", path=SHORT, sends=sends)
    for sends in (signal.SIGQUIT, signal.SIGHUP):
        event = f"{sends.name} to the proxy, short grace"
        options = f"worker_shutdown_timeout {LIMIT}s;"
        yield Case("nginx", event, options, sends=sends, place="process_settings")


def serve(case: Case) -> AbstractContextManager[servers.Served]:
    """Run the server or proxy of a case."""
    for server in servers.SERVERS:
        if server.name == case.program:
            return servers.serve(server, case.options)
    proxy = next(proxy for proxy in proxies.PROXIES if proxy.name == case.program)
    return proxies.serve(proxy, more={case.place: case.options})


def ending(answer: Answer, whole: int) -> str:
    """Say what became of a stream, in one word.

    :param whole: how many pieces it has.
    """
    if answer.ending == "complete":
        return "finished" if answer.exchange.size >= whole * 1024 else "silent"
    return answer.ending


def measure(case: Case) -> Cells:
    """Let something happen to a stream that is under way."""
    with serve(case) as served, ThreadPoolExecutor() as pool:
        served.target.patience = PATIENT
        if not case.path:
            became = rest(served.target, REST)
            became = "finished" if became == "every byte" else became
            return {"versions": served.versions, "the stream": became}
        stream = pool.submit(served.target.ask, case.path)
        cells: Cells = {"versions": served.versions}
        if case.sends:
            time.sleep(BEFORE_SIGNAL)
            os.kill(served.process.pid, case.sends)
            sent = time.monotonic()
            if case.sends is not signal.SIGHUP:
                exited = exits(served.process)
                cells["exit, seconds"] = round(time.monotonic() - sent, 1) if exited else "not"
        if case.event == STAYING:
            time.sleep(BEFORE_SIGNAL)
            with staying(served.target, "Connection: close\r\n"):
                stream.result()
        answer = stream.result()
        return cells | {
            "the stream": ending(answer, WHOLE.get(case.path, 200)),
            "after, seconds": round(answer.exchange.seconds, 1),
        }


def exits(process: subprocess.Popen[str]) -> bool:
    """Wait until a process has ended, and tell whether it has."""
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return False
    return True


def names(case: Case) -> Cells:
    """Return what sets a case apart."""
    options = " ".join(case.options.split())
    return {"program": case.program, "event": case.event, "options": options}


MEASUREMENT = Measurement("timeouts", list(cases()), names=names, ask=measure)


if __name__ == "__main__":
    MEASUREMENT.run(sys.argv[1:])
