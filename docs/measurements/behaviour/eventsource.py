"""Measure which answers make a browser's ``EventSource`` ask again, and which close it for good.

``nox -s measure -- eventsource`` gives each answer to a real browser and writes
``results/recorded/eventsource.csv``. No app takes part: what arrives is what an app, a server or a
proxy can answer.
"""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from socket import SO_LINGER, SOL_SOCKET
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypedDict

from docs.measurements.behaviour.clients import BROWSER, BROWSER_OPTIONS, made_of
from docs.measurements.lab.processes import NotStartedError, end
from docs.measurements.lab.recorder import RESET
from docs.measurements.lab.results import RECORDED, write

EVENTSOURCE_CSV = RECORDED / "eventsource.csv"

WATCHED = 12  # seconds for which each EventSource is watched: four times Chromium's own pause
AT_ONCE = 5  # a browser opens six connections to a server, and one is for the report
BROWSING = 240  # seconds that the browser may take for all it is asked
RETRY = 5000  # milliseconds, for the answer that sets the pause
REFUSES = 5  # seconds for which a port refuses connections before somebody listens

EVENT_STREAM = "Content-Type: text/event-stream\r\n"
CHUNKED = f"{EVENT_STREAM}Transfer-Encoding: chunked\r\n"
ANY_SITE = "Access-Control-Allow-Origin: *\r\n"  # another port is another site
LATER = "Retry-After: 1\r\n"
PLAIN = "Content-Type: text/plain\r\nContent-Length: 6\r\n"
EVENT = b"id: 7\ndata: UA 1545\n\n"


def response(status: str, headers: str = PLAIN, body: bytes = b"later\n") -> bytes:
    """Return all bytes of a response that ends with its connection.

    :param status: its number and its phrase.
    :param headers: each with its line end.
    """
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


GOES_ON = "the stream goes on"

#: What every request after the last answer of a case gets; the connection stays open then.
STREAM = response("200 OK", EVENT_STREAM, f"data: {GOES_ON}\n\n".encode())
WHOLE = response("200 OK", EVENT_STREAM, EVENT)


class Case(NamedTuple):
    """What a browser is answered.

    :param name: what the guide calls it.
    :param answers: the bytes for its first requests, one each; :data:`STREAM` follows.
    :param reset: whether the connection is reset after each of them.
    :param closes: whether its page closes the ``EventSource`` at an event named ``end``.
    """

    name: str
    answers: list[bytes]
    reset: bool = False
    closes: bool = False


LATE_RETRY = b"retry: %d\n" % RETRY
HALF = chunk(EVENT) + b"40\r\ndata: AA"
ENDED = EVENT + b"event: end\ndata:\n\n"
TYPED = f"{EVENT_STREAM}Content-Length: 100\r\n"

#: Where a case's address refuses connections at first.
REFUSED = Case("no server listens", [])

CASES = [
    Case("200, ends after an event", [WHOLE]),
    Case("200, ends without an event", [response("200 OK", EVENT_STREAM, b"")]),
    Case("200, only retry: and an end", [response("200 OK", EVENT_STREAM, LATE_RETRY)]),
    Case("200, cut in an event", [response("200 OK", CHUNKED, HALF)]),
    Case("200, reset in an event", [response("200 OK", CHUNKED, HALF)], reset=True),
    Case("200, shorter than its Content-Length", [response("200 OK", TYPED, EVENT)]),
    Case("200, an end event and close()", [response("200 OK", EVENT_STREAM, ENDED)], closes=True),
    Case("200, another Content-Type", [response("200 OK", "Content-Type: text/plain\r\n", EVENT)]),
    Case("204", [response("204 No Content", "", b"")]),
    Case("301 to a stream", [response("301 Moved Permanently", "Location: /stream\r\n", b"")]),
    Case("400", [response("400 Bad Request")]),
    Case("401", [response("401 Unauthorized")]),
    Case("404", [response("404 Not Found")]),
    Case("429, Retry-After", [response("429 Too Many Requests", LATER + PLAIN)]),
    Case("500", [response("500 Internal Server Error")]),
    Case("502", [response("502 Bad Gateway")]),
    Case("503, Retry-After", [response("503 Service Unavailable", LATER + PLAIN)]),
    Case("503 with an event stream", [response("503 Service Unavailable", EVENT_STREAM, EVENT)]),
    Case("504", [response("504 Gateway Timeout")]),
    Case("200, and a 502 when it asks again", [WHOLE, response("502 Bad Gateway")]),
    Case("200, and a 204 when it asks again", [WHOLE, response("204 No Content", "", b"")]),
    Case("closed without an answer", [b""]),
    REFUSED,
]


@dataclass
class Asked:
    """What the requests of a case were.

    :param times: when each was sent, on the monotonic clock.
    :param last: the ``Last-Event-ID`` of each.
    """

    times: list[float] = field(default_factory=list)
    last: list[str] = field(default_factory=list)


class AnsweringServer(ThreadingHTTPServer):
    """A server that answers the requests of each case, at ``/`` and its number."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AnsweringHandler)
        self.posted: Queue[bytes] = Queue()
        self.asked = [Asked() for _ in CASES]
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.refusing = socket.socket()
        self.refusing.bind(("127.0.0.1", 0))  # what is bound and does not listen refuses

    def page(self) -> bytes:
        """Return the page with the address of each case."""
        refused = "http://{}:{}/".format(*self.refusing.getsockname())
        cases = [
            {"url": refused if case is REFUSED else f"/{number}", "closes": case.closes}
            for number, case in enumerate(CASES)
        ]
        values = {"CASES": cases, "REFUSED": refused, "AT_ONCE": AT_ONCE}
        values |= {"WATCHED": WATCHED * 1000, "REFUSES": REFUSES * 1000}
        text = PAGE
        for name, value in values.items():
            text = text.replace(name, json.dumps(value))
        return text.encode()

    def listen(self) -> None:
        """Answer at the address that refused until now, for one connection."""
        self.refusing.listen()
        connection, _ = self.refusing.accept()
        with connection:
            self.asked[CASES.index(REFUSED)].times.append(time.monotonic())
            connection.recv(65536)
            connection.sendall(response("200 OK", f"{EVENT_STREAM}{ANY_SITE}", EVENT))
            connection.recv(1)


class AnsweringHandler(BaseHTTPRequestHandler):
    """What answers a request."""

    server: AnsweringServer

    def do_GET(self) -> None:
        """Answer a request of a case, or send the page."""
        place = self.path.strip("/")
        self.close_connection = True
        if place == "page":
            self.wfile.write(response("200 OK", "Content-Type: text/html\r\n", self.server.page()))
        elif place == "listen":
            self.server.listen()
        elif place == "stream":
            self.stay(STREAM)
        elif place.isdecimal():
            self.answer(CASES[int(place)], self.server.asked[int(place)])
        else:
            self.send_error(404)

    def answer(self, case: Case, asked: Asked) -> None:
        """Give a request of a case its answer."""
        asked.times.append(time.monotonic())
        asked.last.append(self.headers.get("Last-Event-ID", ""))
        if len(asked.times) > len(case.answers):
            self.stay(STREAM)
            return
        self.wfile.write(case.answers[len(asked.times) - 1])
        if case.reset:
            time.sleep(0.2)  # seconds in which the browser reads what has come
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
            self.connection.close()

    def stay(self, answer: bytes) -> None:
        """Send an answer, and keep the connection until the browser closes it."""
        self.wfile.write(answer)
        self.connection.recv(1)

    def do_POST(self) -> None:
        """Take what the page found out."""
        self.server.posted.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


#: What the browser does: watch an EventSource of each case for some time, and report.
PAGE = """<!doctype html>
<script>
const watch = ({url, closes}) => new Promise((done) => {
  const found = {opened: 0, events: [], errors: []};
  const source = new EventSource(url);
  source.onopen = () => found.opened++;
  source.onmessage = (event) => found.events.push(event.data);
  source.onerror = () => found.errors.push(source.readyState);
  if (closes) source.addEventListener("end", () => source.close());
  if (url === REFUSED) setTimeout(() => fetch("/listen"), REFUSES);
  setTimeout(() => {
    found.state = source.readyState;
    source.close();
    done(found);
  }, WATCHED);
});
async function main() {
  const found = [];
  const cases = CASES;
  while (cases.length)
    found.push(...await Promise.all(cases.splice(0, AT_ONCE).map(watch)));
  await fetch("/outcomes", {method: "POST", body: JSON.stringify(found)});
}
onload = main;
</script>
"""


class Found(TypedDict):
    """What an ``EventSource`` did.

    :param opened: how many answers it accepted.
    :param events: the data of the events that its page got.
    :param errors: its ``readyState`` at each error: 0 when it asks again, 2 when it is closed.
    :param state: its ``readyState`` in the end: 1 is open.
    """

    opened: int
    events: list[str]
    errors: list[int]
    state: int


def browse(server: AnsweringServer) -> list[Found]:
    """Return what an ``EventSource`` does with each case, in a browser.

    :raises NotStartedError: when the browser is not installed, or does not report in time.
    """
    if not shutil.which(BROWSER):
        raise NotStartedError(f"{BROWSER} is not installed")
    with TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        options = [*BROWSER_OPTIONS.split(), f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            [BROWSER, *options, f"{server.address}/page"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            found: list[Found] = json.loads(server.posted.get(timeout=BROWSING))
        except Empty:
            raise NotStartedError(f"no report after {BROWSING} s") from None
        finally:
            end(process)
    return found


def became(found: Found) -> str:
    """Say what became of an ``EventSource``, in a few words.

    :raises ValueError: when it is in a state that no case is about.
    """
    match found["state"], found["errors"]:
        case 1, []:
            return "stays open"
        case 1, [0, *_]:
            return "asks again"
        case 2, []:
            return "closed by its page"
        case 2, [*_, 2]:
            return "closed for good"
    raise ValueError(f"an EventSource that nobody foresaw: {found}")


Row = dict[str, str]


def cells(found: Found, asked: Asked) -> Row:
    """Return what is recorded of a case.

    :param found: what the browser did.
    :param asked: its requests.
    """
    events = [event for event in found["events"] if event != GOES_ON]
    row = {
        "EventSource": became(found),
        "events": "; ".join(events),
        "readyState at an error": " ".join(map(str, found["errors"])),
    }
    if len(asked.times) > 1:
        first, second, *_ = asked.times
        row["asks again after, seconds"] = str(round(second - first, 1))
        row["Last-Event-ID"] = asked.last[1]
    return row


def measure() -> Iterator[Row]:
    """Yield a row for each case."""
    measured_on = {"versions": made_of(BROWSER), "date": date.today().isoformat()}
    with AnsweringServer() as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        try:
            rows = [cells(*each) for each in zip(browse(server), server.asked, strict=True)]
        except NotStartedError as error:
            rows = [{"not measured": str(error)} for _ in CASES]
        finally:
            server.shutdown()
    for case, row in zip(CASES, rows, strict=True):
        yield {"answer": case.name} | row | measured_on


def main() -> None:
    """Measure all answers, and write their rows."""
    rows = list(measure())
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write(EVENTSOURCE_CSV, [columns, *([row.get(name, "") for name in columns] for row in rows)])


if __name__ == "__main__":
    main()
