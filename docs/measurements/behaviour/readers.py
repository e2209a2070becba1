"""Questions about clients: who leaves, reads slowly, stays connected, or uploads."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from statistics import median

from docs.measurements.behaviour.app import BLOCK, MOST_BLOCKS
from docs.measurements.behaviour.target import ANSWERED, Target
from docs.measurements.lab.processes import new_id
from docs.measurements.lab.recorder import CLOSE, Arrival, Exchange, fetch
from docs.measurements.lab.results import Cells
from examples.stream_check.response import Response

LEAVING = 1.0  # seconds after which a client leaves, if it was sent nothing by then
MEGABYTE = 1_000_000
STAYING = 10  # clients that keep their connection open after a whole response
SETTLING = 0.5  # seconds within which a server has answered them
REST = 35.0  # seconds for which a reader pauses: longer than the limits of 30 s that servers have
REST_BLOCKS = 640  # blocks that it reads in all, which no buffer has room for
LEFT = {"busy": "endless", "silent": "silent"}  # of the streams that a client leaves
TRIES = 30  # uploads of each size: on some servers it is a race what becomes of one
UPLOADS = {"100 KB": 100_000, "10 MB": 10 * MEGABYTE}


def leave(target: Target, name: str) -> Cells:
    """Close the connection when a first piece has come, and wait until the app learns of it.

    :param name: of a view whose stream is left.
    """
    request, response = new_id(), Response()
    with socket.create_connection(("127.0.0.1", target.port), LEAVING) as connection:
        connection.sendall(target.request_bytes(f"/{LEFT[name]}?id={request}"))
        with suppress(TimeoutError):  # a proxy may hold the first piece back
            while data := connection.recv(65536):
                if response.feed(data):
                    break
    left = time.monotonic()
    closed = target.events.wait(request, "closed", ANSWERED)
    on_close = target.events.wait(request, "call_on_close", 1)
    noticed = closed or time.monotonic()
    names = [event.partition(" ")[0] for _, event in target.events.of(request)]
    after = names[names.index("started") :] if "started" in names else []
    return {
        f"client leaves, {name}": "yes" if closed else "never",
        f"{name}, pieces": sum(at > left for at in target.events.times(request, "made")),
        f"{name}, seconds": round(noticed - left, 2),
        "call_on_close": "yes" if on_close else "no",
        "teardown": "yes" if "teardown" in after else "no",
    }


def departures(target: Target) -> Cells:
    """Ask how soon a stream learns that its client has left."""
    busy = leave(target, "busy")
    return leave(target, "silent") | busy


def slow_reader(target: Target) -> Cells:
    """Ask for large blocks, read none of them, and see how many are made all the same."""
    request, before = new_id(), target.memory()
    with target.connect(f"/blocks?id={request}"):
        made, end = -1, time.monotonic() + ANSWERED
        while (now := len(target.events.times(request, "made"))) != made and time.monotonic() < end:
            made = now
            time.sleep(1)
        grown = target.memory() - before
    target.events.wait(request, "closed", ANSWERED)
    return {
        "slow reader": "takes everything" if made == MOST_BLOCKS else "waits",
        "taken, MB": round(made * len(BLOCK) / MEGABYTE, 1),
        "memory grown, MB": round(grown / MEGABYTE, 1),
    }


def rest(target: Target, pause: float = REST) -> str:
    """Ask for large blocks, read a little, pause, read on, and tell what arrived.

    :param pause: the seconds for which nothing is read.
    :returns: ``every byte``, or how the response ended before; ``silent`` when it ended early and
        the client could not tell.
    """
    answer = Exchange()
    try:
        with target.connect(f"/blocks?count={REST_BLOCKS}", CLOSE) as connection:
            data = connection.recv(1024)
            time.sleep(pause)
            while data:
                answer.take(Arrival(0, data))
                data = connection.recv(65536)
        answer.response.end()
    except TimeoutError:
        return "no end"
    except ConnectionError:
        return "reset"
    if len(answer.body) == REST_BLOCKS * len(BLOCK):
        return "every byte"
    return "silent" if answer.response.complete else "cut"


def pauses(target: Target) -> Cells:
    """Ask for large blocks, pause for 35 s after the first bytes, and see whether all arrive."""
    return {"reader that pauses": rest(target)}


def wait_for_next(target: Target, headers: str = "") -> float:
    """Send a request, and return the seconds until the first bytes of its answer."""
    began = time.monotonic()
    with suppress(TimeoutError), target.connect("/endless?pieces=1", headers) as connection:
        connection.recv(1024)
    return time.monotonic() - began


@contextmanager
def staying(target: Target, headers: str = "") -> Iterator[None]:
    """Let clients request a short response each and stay connected, until the block ends.

    :param headers: what each sends beside its request.
    """
    with ExitStack() as connections:
        for _ in range(STAYING):
            connections.enter_context(target.connect("/endless?pieces=1", headers))
        time.sleep(SETTLING)
        yield


def neighbours(target: Target) -> Cells:
    """Ask how long a client waits when ten others stay connected after a whole response."""
    waits = {}
    for name, headers in {"silent": "", "told to close": CLOSE}.items():
        with staying(target, headers):
            waits[name] = wait_for_next(target)
    return {
        "next waits, seconds": round(waits["silent"], 1),
        "next waits after close, seconds": round(waits["told to close"], 1),
    }


def unread_upload(target: Target, size: int) -> str:
    """Send an upload that the view leaves unread, then read the answer, and tell how it went.

    :param size: of the upload, in bytes.
    :returns: ``taken``; ``lost`` when the connection was closed before all was sent and the answer
        was read, or a proxy answered so with an error of its own; or another status than 200.
    """
    response = Response("POST")
    head = target.request_bytes("/unread", f"Content-Length: {size}\r\n", "POST")
    with socket.create_connection(("127.0.0.1", target.port), ANSWERED) as connection:
        try:
            connection.sendall(head + b"u" * size)
            while not response.complete and (data := connection.recv(65536)):
                response.feed(data)
            response.end()
        except (ConnectionError, TimeoutError):
            return "lost"
    if not response.complete or response.status >= 500:
        return "lost"
    return "taken" if response.status == 200 else str(response.status)


def unread_uploads(target: Target) -> Cells:
    """Ask what becomes of a small and of a large upload that the view leaves unread.

    An answer is the one that came most often of those that were not ``taken``, if any was not.
    """
    cells: Cells = {}
    for name, size in UPLOADS.items():
        seen = Counter(unread_upload(target, size) for _ in range(TRIES))
        del seen["taken"]
        cells[f"unread, {name}"] = seen.most_common(1)[0][0] if seen else "taken"
    return cells


def throughput(target: Target) -> Cells:
    """Send the same bytes in small and in large pieces, in turn, and compare."""
    rates: dict[int, list[float]] = {1024: [], 64 * 1024: []}
    for _ in range(3):
        for size, found in rates.items():
            total = 4 * MEGABYTE if size == 1024 else 32 * MEGABYTE
            answer = fetch(target.port, f"/bulk?size={size}&total={total}", timeout=30)
            found.append(len(answer.body) / answer.seconds)
    small, large = (median(found) for found in rates.values())
    return {"1 KiB against 64 KiB, speed": round(small / large, 3)}
