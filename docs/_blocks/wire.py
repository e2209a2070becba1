"""Run an ``http`` block: send its request over a raw socket and compare the bytes that answer."""

import re
import socket

from sybil import Example

from docs._blocks.matching import compare
from docs._blocks.page import page_of

TIMEOUT = 20  # seconds
ANSWER = re.compile(r"^(?=HTTP/\d)", re.MULTILINE)


def exchange(request: bytes, port: int) -> bytes:
    """Send a request and return all that the server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def to_wire(shown: str) -> bytes:
    """Return the bytes that a request on a page stands for: each line end is CR LF.

    The line ends are those of :rfc:`9112#section-2.1`.
    """
    return shown.replace("\n", "\r\n").encode()


def show(character: str) -> str:
    r"""Return what stands for a character on a page: itself, or an escape such as ``\n``."""
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    octets = character.encode("utf-8", "surrogateescape")
    return named.get(character) or "".join(f"\\x{octet:02x}" for octet in octets)


def to_page(wire: bytes) -> str:
    r"""Return the text that shows some bytes on a page, no two the same.

    CR LF becomes a line end. A byte that a reader could not see is escaped as Python does it:
    ``\n`` for a line feed alone, ``\xff`` for what is not UTF-8, ``\\`` for a backslash.
    """
    lines = wire.decode("utf-8", "surrogateescape").split("\r\n")
    return "\n".join("".join(map(show, line)) for line in lines)


def complete(answer: str) -> str:
    """Put back the line ends that reStructuredText drops at the end of a block.

    They are the empty line after a head without a body, and the one after the last chunk.
    """
    answer = answer.rstrip("\n")
    head, _, body = answer.partition("\n\n")
    if not body:
        return f"{answer}\n\n"
    if "transfer-encoding: chunked" not in head.lower():
        return answer
    return f"{answer}\n\n" if answer.endswith("\n0") else f"{answer}\n"


def compare_wire(example: Example) -> str | None:
    """Send the request of a block to the page's app and compare the answer, byte for byte."""
    parts = ANSWER.split(example.parsed, maxsplit=1)
    if len(parts) != 2:
        return "an 'http' block is a request, an empty line, and the answer from 'HTTP/1.1' on"
    request, expected = parts
    port = page_of(example.namespace).port()
    return compare(complete(expected), to_page(exchange(to_wire(request), port)))
