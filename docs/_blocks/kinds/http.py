"""Run an ``http`` block: send its request over a raw socket and compare the bytes that answer."""

import re
import socket
import time

from sybil import Example

from docs._blocks.matching import compare
from docs._blocks.page import ADDRESS, PRINTED_PORT, page_of

ANSWER_LIMIT = 20  # seconds
ANSWER = re.compile(r"^(?=HTTP/\d)", re.MULTILINE)


def exchange(request: bytes, port: int) -> bytes:
    """Send a request and return all that the server answers until it closes the connection.

    :raises TimeoutError: when it does not do so in time.
    """
    end = time.monotonic() + ANSWER_LIMIT
    answer = b""
    with socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT) as connection:
        connection.sendall(request)
        while time.monotonic() < end:
            received = connection.recv(65536)
            if not received:
                return answer
            answer += received
    raise TimeoutError(f"the answer did not end within {ANSWER_LIMIT} seconds")


def show(character: str) -> str:
    r"""Return what stands for a character on a page: itself, or an escape such as ``\n``."""
    if character.isprintable() and character != "\\":
        return character
    return repr(character.encode("utf-8", "surrogateescape"))[2:-1]


def to_page(wire: bytes) -> str:
    r"""Return the text that shows some bytes on a page, no two the same.

    CR LF becomes a line end. A byte that a reader could not see is escaped as Python does it:
    ``\n`` for a line feed alone, ``\x20`` for a space at the end of a line, ``\xff`` for what
    is not UTF-8, ``\\`` for a backslash.
    """
    lines = wire.decode("utf-8", "surrogateescape").split("\r\n")
    shown = ("".join(map(show, line)) for line in lines)
    return "\n".join(f"{line[:-1]}\\x20" if line.endswith(" ") else line for line in shown)


def whole_chunks(body: bytes) -> bool:
    """Tell whether a body is a number of complete chunks (:rfc:`9112#section-7.1`)."""
    while body:
        size, _, rest = body.partition(b"\r\n")
        end = int(size, 16)
        if rest[end : end + 2] != b"\r\n":
            return False
        body = rest[end + 2 :]
    return True


def answer_to_page(wire: bytes, *, body_expected: bool) -> str:
    r"""Return the text that shows an answer on a page, with all its line ends.

    reStructuredText drops the line ends at the end of a block. Those of chunks follow from their
    sizes, and are not shown. Of another body each is escaped, as ``\r\n``.

    :param body_expected: whether the request was no HEAD.
    :raises ValueError: when the answer is cut, or its body has not the length that its header says.
    """
    head, end, body = wire.partition(b"\r\n\r\n")
    text = to_page(body)
    shown = text.rstrip("\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    if not end:
        raise ValueError(f"the answer ends inside its headers:\n{to_page(head)}")
    if b"transfer-encoding: chunked" in head.lower():
        if not whole_chunks(body):
            raise ValueError(f"the body ends inside a chunk:\n{text}")
    elif length and body_expected and int(length[1]) != len(body):
        raise ValueError(f"the body has {len(body)} bytes, not {length[1].decode()}:\n{text}")
    else:
        shown += r"\r\n" * (len(text) - len(shown))
    return "\n\n".join(filter(None, [to_page(head), shown]))


def compare_wire(example: Example) -> str | None:
    """Send the request of a block to the page's app and compare the answer, byte for byte."""
    parts = ANSWER.split(example.parsed, maxsplit=1)
    if len(parts) != 2 or "\n\n" not in parts[0]:
        return "an 'http' block is a request, an empty line, and the answer from 'HTTP/1.1' on"
    request, expected = parts[0], parts[1].rstrip("\n")
    host = ADDRESS.search(request)
    port = page_of(example.namespace).servers.port(int(host[0]) if host else PRINTED_PORT)
    # Each line end is CR LF: RFC 9112, section 2.1.
    wire = exchange(request.replace("\n", "\r\n").encode(), port)
    try:
        return compare(expected, answer_to_page(wire, body_expected=request[:5] != "HEAD "))
    except ValueError as error:
        return str(error)
