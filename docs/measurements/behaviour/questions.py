"""What is asked of every server and proxy: a question is a function, and fills some cells.

An answer in words is a category, such as ``as made`` or ``silent``, which two runs give alike.
An answer in numbers varies, and the name of its column ends in its unit.
"""

import shutil
import socket
import subprocess
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from statistics import median
from typing import NamedTuple

import psutil

from docs.measurements.behaviour.app import BLOCK, LATE, MOST_BLOCKS, TICK, TICKS
from docs.measurements.behaviour.verdicts import verdicts
from docs.measurements.lab.processes import Events, new_id
from docs.measurements.lab.recorder import Arrival, Exchange, ask
from docs.measurements.lab.results import Cells
from examples.stream_check.response import Response

SOON = 0.6 * TICK  # seconds within which a piece has arrived as it was made
PATIENCE = 15  # seconds that an answer may take
LEAVING = 1.0  # seconds after which a client leaves, if it was sent nothing by then
MEGABYTE = 1_000_000
STAYING = 10  # clients that keep their connection open after a whole response
SETTLING = 0.5  # seconds within which a server has answered them
LONGEST_WAIT = 30.0  # seconds after which the next client gives up
REST = 35.0  # seconds for which a reader pauses: longer than the limits of 30 s that servers have
REST_BLOCKS = 640  # blocks that it reads in all, which no buffer has room for
TRIES = 30  # uploads of each size: on some servers it is a race what becomes of one
UPLOADS = {"100 KB": 100_000, "10 MB": 10 * MEGABYTE}

#: Endings of a response that was cut before its body: whether the head still leaves is a race.
RACES = ("reset", "no answer")

#: The answer of a machine without curl.
NO_CURL = "curl is not installed"


class Target:
    """A server or a proxy that is asked, and the app behind it.

    :param port: where it listens.
    :param events: what the app writes down.
    :param process_ids: the processes that it was started with.
    :param headers: what every request carries beside its own, each line with its line end.
    """

    #: The seconds that an answer may take.
    patience: float = PATIENCE

    def __init__(
        self, port: int, events: Events, process_ids: list[int], headers: str = ""
    ) -> None:
        self.port = port
        self.events = events
        self.process_ids = process_ids
        self.headers = headers

    def ask(self, path: str, method: str = "GET", *, version: str = "1.1") -> "Answer":
        """Send a request whose events can be found, and return what came of it."""
        request = new_id()
        mark = "&" if "?" in path else "?"
        began = time.monotonic()
        exchange = ask(
            self.port,
            f"{path}{mark}id={request}",
            method,
            version=version,
            timeout=self.patience,
            headers=self.headers,
        )
        return Answer(exchange, request, began, self.events)

    def memory(self) -> int:
        """Return the memory of the processes and of all that they started, in bytes."""
        total = 0
        for process_id in self.process_ids:
            process = psutil.Process(process_id)
            for each in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):  # it has just ended
                    total += each.memory_info().rss
        return total


def decoder(response: Response) -> Callable[[bytes], bytes]:
    """Return what undoes the compression of a response, part by part."""
    gzip = response.header("content-encoding") == "gzip"
    return zlib.decompressobj(31).decompress if gzip else bytes


class Answer:
    """What a client learned from one response, and what the app recorded of it.

    :param exchange: what the client learned.
    :param request: the id of the request.
    :param began: when the request was sent, on the monotonic clock.
    :param events: what the app writes down.
    """

    def __init__(self, exchange: Exchange, request: str, began: float, events: Events) -> None:
        self.exchange = exchange
        self.response = exchange.response
        self.request = request
        self.began = began
        self.events = events

    def times(self, event: str) -> list[float]:
        """Return when an event took place, each time, in seconds since the request."""
        found = self.events.of(self.request)
        return [seconds - self.began for seconds, name in found if name.startswith(event)]

    def parts(self) -> list[Arrival]:
        """Return the body as it arrived, after any compression was undone."""
        decode = decoder(self.response)
        return [Arrival(part.seconds, decode(part.data)) for part in self.exchange.parts]

    @property
    def ending(self) -> str:
        """How the response ended; of an error page, its status."""
        if self.exchange.ending == "complete" and self.response.status != 200:
            return str(self.response.status)
        return self.exchange.ending


def arrival_of_ticks(target: Target, size: int) -> str:
    """Tell when five pieces arrive that are made one after the other.

    :param size: of a piece, in bytes.
    """
    answer = target.ask(f"/ticks?size={size}")
    moments = [part.seconds for part in answer.parts() for _ in part.data]
    made = answer.times("made")
    if len(moments) != TICKS * size or len(made) != TICKS:
        return answer.ending
    arrived = moments[size - 1 :: size]
    lags = [here - there for here, there in zip(arrived, made, strict=True)]
    if max(lags) < SOON:
        return "as made"
    if arrived[0] > made[-1] - SOON / 4:
        return "all at the end"
    if all(abs(here - there) < SOON for here, there in zip(arrived, made[1:], strict=False)):
        return "one late"
    return "in bursts"


def arrivals(target: Target) -> Cells:
    """Ask when small and large pieces arrive, and when the headers leave."""
    late, empty = target.ask("/late"), target.ask("/late?empty=1")
    return {
        "small pieces": arrival_of_ticks(target, 6),
        "large pieces": arrival_of_ticks(target, 16 * 1024),
        "headers": "at once" if late.exchange.head < LATE / 2 else "with the first piece",
        "empty piece": "sends the headers" if empty.exchange.head < LATE / 2 else "sends nothing",
    }


def framing(answer: Answer) -> str:
    """Return how the end of a stream is marked, or what came in place of the stream."""
    marked = answer.response.framing if answer.response.status == 200 else None
    return marked or answer.ending


def framings(target: Target) -> Cells:
    """Ask how the end of a stream is marked, for clients of both versions of HTTP."""
    new, old = target.ask("/endless?pieces=1"), target.ask("/endless?pieces=1", version="1.0")
    empty = target.ask("/empty")
    events = [event for _, event in empty.events.of(empty.request)]
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
        answer = target.ask(path, version=version)
        return "silent" if answer.ending == "complete" else answer.ending

    return {
        "error midway HTTP/1.1": seen("/error?after=3"),
        "error midway HTTP/1.0": seen("/error?after=3", "1.0"),
        "error first": "cut" if (first := seen("/error")) in RACES else first,
        "curl, error midway": curl(target, "/error?after=3"),
    }


def curl(target: Target, path: str) -> str:
    """Return the exit status of curl, which is 0 when it takes a download for complete."""
    program = shutil.which("curl")
    if not program:
        return NO_CURL
    headers = [f"-H{line}" for line in target.headers.splitlines()]
    address = f"http://127.0.0.1:{target.port}{path}"
    command = [program, "-s", "-o", "-", "--max-time", str(PATIENCE), *headers, address]
    return f"exit status {subprocess.run(command, stdout=subprocess.DEVNULL).returncode}"


class Leaving(NamedTuple):
    """How an app learned that its client had left.

    :param noticed: ``yes``, or ``never``.
    :param pieces: how many pieces it made after the client had left.
    :param seconds: how long it took to learn it.
    :param call_on_close: whether the functions given to ``call_on_close`` ran.
    :param teardown: whether the teardown functions ran after the stream.
    """

    noticed: str
    pieces: int
    seconds: float
    call_on_close: str
    teardown: str


def request_bytes(target: Target, path: str, headers: str = "", method: str = "GET") -> bytes:
    """Return a request for a path.

    :param headers: further lines of the head, each with its line end.
    """
    host = f"Host: 127.0.0.1:{target.port}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{host}{target.headers}{headers}\r\n".encode("ascii")


def connect(
    target: Target, path: str, headers: str = "", *, timeout: float = LONGEST_WAIT
) -> socket.socket:
    """Send a request and return the connection, whose buffer for what arrives is small.

    :param headers: further lines of the head, each with its line end.
    :param timeout: the seconds that the client waits for a byte.
    """
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.settimeout(timeout)
    connection.connect(("127.0.0.1", target.port))
    connection.sendall(request_bytes(target, path, headers))
    return connection


def leave(target: Target, path: str) -> Leaving:
    """Close the connection when a first piece has come, and wait until the app learns of it."""
    request = new_id()
    response = Response()
    with socket.create_connection(("127.0.0.1", target.port), LEAVING) as connection:
        connection.sendall(request_bytes(target, f"{path}?id={request}"))
        with suppress(TimeoutError):  # a proxy may hold the first piece back
            while data := connection.recv(65536):
                if response.feed(data):
                    break
    left = time.monotonic()
    closed = target.events.wait(request, "closed", PATIENCE)
    on_close = target.events.wait(request, "call_on_close", 1) is not None
    events = target.events.of(request)
    made = [seconds for seconds, event in events if event.startswith("made") and seconds > left]
    names = [event.partition(" ")[0] for _, event in events]
    after = names[names.index("started") :] if "started" in names else []
    return Leaving(
        "yes" if closed else "never",
        len(made),
        (closed or time.monotonic()) - left,
        "yes" if on_close else "no",
        "yes" if "teardown" in after else "no",
    )


def departures(target: Target) -> Cells:
    """Ask how soon a stream learns that its client has left."""
    busy, silent = leave(target, "/endless"), leave(target, "/silent")
    return {
        "client leaves, busy": busy.noticed,
        "busy, pieces": busy.pieces,
        "busy, seconds": round(busy.seconds, 2),
        "client leaves, silent": silent.noticed,
        "silent, pieces": silent.pieces,
        "silent, seconds": round(silent.seconds, 2),
        "call_on_close": busy.call_on_close,
        "teardown": busy.teardown,
    }


def slow_reader(target: Target) -> Cells:
    """Ask for large blocks, read none of them, and see how many are made all the same."""
    request = new_id()
    before = target.memory()
    with connect(target, f"/blocks?id={request}"):
        made, end = -1, time.monotonic() + PATIENCE
        while (now := count(target, request)) != made and time.monotonic() < end:
            made = now
            time.sleep(1)
        grown = target.memory() - before
    target.events.wait(request, "closed", PATIENCE)
    return {
        "slow reader": "takes everything" if made == MOST_BLOCKS else "waits",
        "taken, MB": round(made * len(BLOCK) / MEGABYTE, 1),
        "memory grown, MB": round(grown / MEGABYTE, 1),
    }


def count(target: Target, request: str, event: str = "made") -> int:
    """Return how often an event of a request took place."""
    return sum(name.startswith(event) for _, name in target.events.of(request))


def rest(target: Target, pause: float = REST) -> str:
    """Ask for large blocks, read a little, pause, read on, and tell what arrived.

    :param pause: the seconds for which nothing is read.
    :returns: ``every byte``, or how the response ended before; ``silent`` when it ended early and
        the client could not tell.
    """
    response, size, decode = Response(), 0, None
    path = f"/blocks?count={REST_BLOCKS}"
    try:
        with connect(target, path, "Connection: close\r\n") as connection:
            data = connection.recv(1024)
            time.sleep(pause)
            while data:
                for part in response.feed(data):
                    decode = decode or decoder(response)
                    size += len(decode(part.data))
                data = connection.recv(65536)
        response.end()
    except TimeoutError:
        return "no end"
    except ConnectionError:
        return "reset"
    if size == REST_BLOCKS * len(BLOCK):
        return "every byte"
    return "silent" if response.complete else "cut"


def pauses(target: Target) -> Cells:
    """Ask for large blocks, pause for 35 s after the first bytes, and see whether all arrive."""
    return {"reader that pauses": rest(target)}


def wait_for_next(target: Target, headers: str = "") -> float:
    """Send a request, and return the seconds until the first bytes of its answer."""
    began = time.monotonic()
    with suppress(TimeoutError), connect(target, "/endless?pieces=1", headers) as connection:
        connection.recv(1024)
    return time.monotonic() - began


@contextmanager
def staying(target: Target, headers: str = "", clients: int = STAYING) -> Iterator[None]:
    """Let clients request a short response each and stay connected, until the block ends.

    :param headers: what each sends beside its request.
    """
    with ExitStack() as connections:
        for _ in range(clients):
            connections.enter_context(connect(target, "/endless?pieces=1", headers))
        time.sleep(SETTLING)
        yield


def neighbours(target: Target) -> Cells:
    """Ask how long a client waits when ten others stay connected after a whole response."""
    waits = {}
    for name, headers in {"silent": "", "told to close": "Connection: close\r\n"}.items():
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
    head = request_bytes(target, "/unread", f"Content-Length: {size}\r\n", "POST")
    with socket.create_connection(("127.0.0.1", target.port), PATIENCE) as connection:
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
            exchange = ask(target.port, f"/bulk?size={size}&total={total}", timeout=30)
            found.append(exchange.size / exchange.seconds)
    small, large = (median(found) for found in rates.values())
    return {"1 KiB against 64 KiB, speed": round(small / large, 3)}


def heads(target: Target) -> Cells:
    """Ask for the head alone."""
    answer = target.ask("/ticks", "HEAD")
    target.events.wait(answer.request, "call_on_close", 1)
    framing = [
        name for name in ("transfer-encoding", "content-length") if answer.response.header(name)
    ]
    closed = answer.times("call_on_close")
    return {
        "HEAD": f"{answer.ending}{', and more bytes' if answer.response.excess else ''}",
        "HEAD, framing": " and ".join(framing) or "none",
        "HEAD, generator": "started" if answer.times("started") else "never started",
        "HEAD, call_on_close": "yes" if closed else "no",
    }


def lengths(target: Target) -> Cells:
    """Ask for ten bytes under a Content-Length that is wrong, each way."""
    long, short = target.ask("/length?promised=20"), target.ask("/length?promised=5")
    excess = " and more" if short.response.excess else ""
    size = sum(len(part.data) for part in short.parts())
    return {
        "promises 20 of 10": "cut" if long.ending in RACES else long.ending,
        "promises 5 of 10": f"{short.ending}, {size} bytes{excess}",
    }


def hop_by_hop(target: Target) -> Cells:
    """Ask for headers that belong to the connection, which an app may not send."""

    def outcome(name: str, value: str) -> str:
        answer = target.ask(f"/hop?name={name}&value={value}")
        if b"".join(part.data for part in answer.parts()) != b"0123456789":
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


QUESTIONS: list[Callable[[Target], Cells]] = [
    arrivals,
    framings,
    errors,
    departures,
    slow_reader,
    neighbours,
    throughput,
    heads,
    lengths,
    hop_by_hop,
    verdicts,
    unread_uploads,
]

#: Those that are patient: they are asked of all servers at once, before the others.
PATIENT: list[Callable[[Target], Cells]] = [pauses]

#: Those that take seconds, and have no number among their answers.
QUICK = [arrivals, framings, errors, heads, lengths, hop_by_hop]


def answers(target: Target, questions: Iterable[Callable[[Target], Cells]] = QUESTIONS) -> Cells:
    """Ask every question and return all cells."""
    cells: Cells = {}
    for question in questions:
        cells |= question(target)
    return cells
