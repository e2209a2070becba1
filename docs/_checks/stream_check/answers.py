"""Let ``stream_check`` read what a server sends, over a pair of sockets."""

import socket
from typing import Any

from examples.stream_check.client import exchange
from examples.stream_check.report import Report
from examples.stream_check.request import PLAIN, Options
from examples.stream_check.watch import Watch

WAITS = Options(timeout=0.02)  # seconds that a server which sends no more is waited for


def wire(answer: dict[str, Any]) -> bytes:
    """Return the bytes of an answer as ``answers.toml`` describes it."""
    if "bytes" in answer:
        return bytes.fromhex(answer["bytes"])
    if "sent" in answer:
        return str(answer["sent"]).encode()
    body = "x" * answer["size"] if "size" in answer else answer.get("body", "page")
    length = f"Content-Length: {answer.get('length', len(body))}"
    lines = [f"HTTP/1.1 {answer.get('status', '200 OK')}", length, *answer.get("headers", [])]
    return "\r\n".join([*lines, "", body]).encode()


def run(case: dict[str, Any]) -> Report:
    """Return what is reported of a server that sends the answer of a case."""
    silent = case.get("silent", False)
    watch = Watch("http://127.0.0.1/dir/page", WAITS if silent else PLAIN, str)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire(case))
        if not silent:
            theirs.shutdown(socket.SHUT_WR)
        exchange(ours, b"GET", watch)
    return watch.finish()
