"""An app whose views each ask one question of what serves it.

Each view streams, and writes down what happens to its stream: when a piece was made, when the
stream was closed, when the hooks ran. The events go to the file that the environment variable
``STREAM_EVENTS`` names, because some servers answer one request at a time.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator

from flask import Flask, Response, request, stream_with_context

app = Flask(__name__)

EVENTS = os.open(os.environ.get("STREAM_EVENTS", os.devnull), os.O_WRONLY | os.O_APPEND)
MIMETYPE = os.environ.get("STREAM_MIMETYPE", "text/plain")

TICKS = 5
TICK = 0.2  # seconds between two ticks
LATE = 1.0  # seconds before the first piece of a stream that starts late
SILENCE = 2.0  # seconds for which a silent stream says nothing
PAUSE = 0.05  # seconds between two pieces of an endless stream
MOST_PIECES = 200  # after which an endless stream ends all the same
BLOCK = b"b" * 64 * 1024
MOST_BLOCKS = 2000


def event_writer() -> Callable[[str], None]:
    """Return what writes down an event of this request, which asked with ``?id=``."""
    owner = request.args.get("id", "-", str)

    def record(event: str) -> None:
        os.write(EVENTS, f"{time.monotonic():.4f} {owner} {event}\n".encode())

    return record


def logged_stream(pieces: Iterable[bytes]) -> Response:
    """Stream pieces, and record what becomes of the stream."""
    record = event_writer()

    def generate() -> Iterator[bytes]:
        record(f"started {request.environ['SERVER_PROTOCOL']}")
        try:
            for piece in pieces:
                record(f"made {len(piece)}")
                yield piece
            record("finished")
        except GeneratorExit:
            record("closed")
            raise

    response = Response(stream_with_context(generate()), mimetype=MIMETYPE)
    response.call_on_close(lambda: record("call_on_close"))
    if accel := os.environ.get("STREAM_ACCEL"):
        response.headers["X-Accel-Buffering"] = accel
    return response


@app.teardown_request
def log_teardown(error: BaseException | None) -> None:
    """Record that Flask takes the request down."""
    event_writer()(f"teardown {type(error).__name__}")


def pieces(count: int = MOST_PIECES) -> Iterator[bytes]:
    """Yield pieces of 1 KiB with pauses between them, as good as without end."""
    for _ in range(count):
        yield b"p" * 1024
        time.sleep(PAUSE)


@app.get("/ping")
def ping() -> str:
    """Answer at once, which tells that the server is ready."""
    return "pong"


@app.get("/ticks")
def ticks() -> Response:
    """Send five pieces, or ``?ticks=`` of them, of ``?size=`` bytes, each when it is made."""
    size = request.args.get("size", 6, int)

    def generate() -> Iterator[bytes]:
        for tick in range(request.args.get("ticks", TICKS, int)):
            if tick:
                time.sleep(TICK)
            yield f"tick{tick}".encode().ljust(size, b".")

    return logged_stream(generate())


@app.get("/late")
def late() -> Response:
    """Send nothing for a while, or with ``?empty=`` an empty piece first, and then one piece."""

    def generate() -> Iterator[bytes]:
        if "empty" in request.args:
            yield b""
        time.sleep(LATE)
        yield b"late"

    return logged_stream(generate())


@app.get("/empty")
def empty() -> Response:
    """Send no piece at all."""
    return logged_stream(())


@app.get("/error")
def error() -> Response:
    """Send ``?after=`` pieces and raise."""

    def generate() -> Iterator[bytes]:
        for number in range(request.args.get("after", 0, int)):
            yield f"piece {number}\n".encode()
            time.sleep(PAUSE)
        raise ValueError("raised on purpose")

    return logged_stream(generate())


@app.get("/endless")
def endless() -> Response:
    """Send pieces until somebody stops, or ``?pieces=`` of them."""
    return logged_stream(pieces(request.args.get("pieces", MOST_PIECES, int)))


@app.get("/silent")
def silent() -> Response:
    """Send one piece, say nothing for a while, and then go on without end."""

    def generate() -> Iterator[bytes]:
        yield b"then silence"
        time.sleep(SILENCE)
        yield from pieces()

    return logged_stream(generate())


@app.get("/blocks")
def blocks() -> Response:
    """Send large blocks as fast as they are taken, or ``?count=`` of them."""
    return logged_stream(BLOCK for _ in range(request.args.get("count", MOST_BLOCKS, int)))


@app.post("/unread")
def unread() -> Response:
    """Answer an upload without reading any of it."""
    return logged_stream((b"01234", b"56789"))


@app.put("/received")
def received() -> str:
    """Read an upload, of ``?limit=`` bytes at most, and record what it read."""
    record, size, end = event_writer(), 0, "failed"
    request.max_content_length = request.args.get("limit", None, int)
    request.environ |= {"wsgi.input_terminated": True} if "terminated" in request.args else {}
    try:
        while piece := request.stream.read(64 * 1024):
            record("first")
            size += len(piece)
        end = "read"
    finally:
        record(f"{end} {size}")
    return str(size)


@app.get("/header")
def header() -> Response:
    """Send ten bytes under the header ``?name=`` with the value ``?value=``."""
    response = logged_stream((b"01234", b"56789"))
    response.headers[request.args["name"]] = request.args["value"]
    return response


@app.get("/bulk")
def bulk() -> Response:
    """Send ``?total=`` bytes in pieces of ``?size=``, without a record."""
    size = request.args.get("size", 1024, int)
    piece = b"r" * size
    count = request.args.get("total", 0, int) // size
    return Response((piece for _ in range(count)), mimetype="text/plain")
