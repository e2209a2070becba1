"""Receive a request body while it arrives, within a limit, as files that are whole or absent."""

import os
import re
import secrets
import sys
import time
from base64 import b64encode
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256, sha512
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from flask import abort, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header

#: Bytes of a piece.
SIZE = 64 * 1024

#: What is in the name of each file that is not whole yet.
PART = ".part"

#: What computes each digest that a client may send.
DIGESTS = {"sha-256": sha256, "sha-512": sha512}

#: A digest in ``Content-Digest``, as in ``sha-256=:47DEQ…=:``.
DIGEST = re.compile(r"\s*([a-z0-9*_.-]+)=:([A-Za-z0-9+/]*=*):\s*")


class Received(NamedTuple):
    """What was received: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


def body_pieces(limit: int, size: int = SIZE) -> Iterator[bytes]:
    """Return the body of the request in pieces, each when it arrives.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> with app.test_request_context(data=b"UA 1545"):
    ...     list(body_pieces(7))
    [b'UA 1545']
    >>> with app.test_request_context(data=b"UA 1545"):
    ...     body_pieces(6)
    Traceback (most recent call last):
    werkzeug.exceptions.RequestEntityTooLarge: 413 Request Entity Too Large: at most 6 bytes

    :param limit: the most bytes. It replaces ``MAX_CONTENT_LENGTH`` for this request.
    :param size: the bytes of a piece, for which servers wait. gunicorn waits for at least 1 KiB.
    :raises werkzeug.exceptions.HTTPException: 413 over the limit, 411 where the server does not
        pass the end of a chunked body on, 415 for a compressed body, 400 for a part of a body.
        While the body is read, 413 and 400 for a body that is cut.
    """
    request.max_content_length = sys.maxsize  # Werkzeug's own limit refuses a body of that size
    if request.headers.get("Content-Encoding", "identity") != "identity":
        abort(415, "send the body without Content-Encoding")
    if "Content-Range" in request.headers:
        abort(400, "send the whole body, without Content-Range")
    if (request.content_length or 0) > limit:
        abort(413, f"at most {limit} bytes")
    sized = request.content_length is not None or "Transfer-Encoding" not in request.headers
    if not sized and "wsgi.input_terminated" not in request.environ:
        abort(411, "send the body with Content-Length")  # Werkzeug would read it as empty
    return read_pieces(limit, size)


def read_pieces(limit: int, size: int) -> Iterator[bytes]:
    """Yield the body of the request in pieces.

    :raises werkzeug.exceptions.HTTPException: 413 over the limit, and 400 for a cut body.
    """
    received = 0
    while piece := read_piece(size):
        received += len(piece)
        if received > limit:
            abort(413, f"at most {limit} bytes")
        yield piece
    if request.content_length not in (None, received):  # some servers do not report it
        abort(400, f"the body ended after {received} of {request.content_length} bytes")


def read_piece(size: int = SIZE) -> bytes:
    """Return the next piece of the body, which is empty at its end.

    :raises werkzeug.exceptions.BadRequest: when the client has disconnected, or sent no chunk.
    """
    try:
        return request.stream.read(size)
    except HTTPException:
        raise
    except Exception as error:  # each server raises its own
        abort(400, f"the body was cut: {type(error).__name__}")


def read_rest(most: int = 10_000_000) -> None:
    """Read what is left of a body that you refuse, so that the client receives your response.

    A server closes a connection with unread bytes by a reset, which can destroy the response.

    :param most: the bytes after which it stops.
    """
    request.max_content_length = sys.maxsize
    with suppress(HTTPException):  # the client has disconnected
        while most > 0 and (piece := read_piece()):
            most -= len(piece)


@contextmanager
def whole_file(path: Path) -> Generator[BinaryIO, None, None]:
    """Open a part file, and move it to its path at the end of the block.

    After an exception the part file is deleted, and a file at the path stays as it was.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder) / "flights.csv") as file:
    ...         _ = file.write(b"UA 1545")
    ...         [each.suffix for each in Path(folder).iterdir()]
    ...     (Path(folder) / "flights.csv").read_text()
    ['.part']
    'UA 1545'

    :param path: where the whole file is to be. Its folder must exist.
    """
    part = path.with_name(f".{secrets.token_hex(8)}{PART}")  # no client may name a file so
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def delete_parts(folder: Path, seconds: float = 3600) -> int:
    """Delete the part files that killed processes left behind, and return how many.

    Call it before your server starts its workers.

    :param seconds: a part file that got a byte later may belong to a running process, such as an
        old worker during a deploy. It is kept.
    """
    deleted, before = 0, time.time() - seconds
    for part in folder.glob(f".*{PART}"):
        with suppress(FileNotFoundError):  # its upload ended meanwhile
            if part.stat().st_mtime < before:
                part.unlink()
                deleted += 1
    return deleted


def receive_file(path: Path, limit: int) -> Received:
    """Write the body of the request to a file, and check ``Content-Digest`` (:rfc:`9530`).

    :param path: where the whole file is to be.
    :param limit: the most bytes.
    :raises werkzeug.exceptions.HTTPException: as :func:`body_pieces`, and 400 for a wrong digest.
    """
    expected = expected_digests()
    hashes = {name: DIGESTS[name]() for name in {"sha-256", *expected}}
    pieces, size = body_pieces(limit), 0
    with whole_file(path) as file:
        for piece in pieces:
            for each in hashes.values():
                each.update(piece)
            size += file.write(piece)
        for name, digest in expected.items():
            if digest != b64encode(hashes[name].digest()).decode():
                abort(400, f"the body does not have the {name} of Content-Digest")
    return Received(size, hashes["sha-256"].hexdigest())


def expected_digests() -> dict[str, str]:
    """Return the digests of the request that can be checked, in Base64.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> with app.test_request_context(headers={"Content-Digest": "sha-256=:rYw=:, md5=:1Q==:"}):
    ...     expected_digests()
    {'sha-256': 'rYw='}

    :raises werkzeug.exceptions.BadRequest: for a header that is no list of digests.
    """
    header = request.headers.get("Content-Digest")
    found = {}
    for member in [] if header is None else header.split(","):
        if not (digest := DIGEST.fullmatch(member)):
            abort(400, "Content-Digest must look like sha-256=:Base64:")
        found[digest[1]] = digest[2]
    return {name: found[name] for name in DIGESTS if name in found}


@dataclass(eq=False)
class Part:
    """A part of a form: the name of its field, and of its file if it is one."""

    name: str = ""
    filename: str | None = None


def form_parts(limit: int, most: int = 100) -> Iterator[tuple[Part, Iterator[bytes]]]:
    """Return the parts of ``multipart/form-data`` while they arrive, each with its pieces.

    Read the pieces of a part before you take the next part. Needs the package python-multipart.

    :param limit: the most bytes of the whole body.
    :param most: the most parts.
    :raises werkzeug.exceptions.HTTPException: as :func:`body_pieces`, 415 for another media type,
        400 for a body that is no form or is cut, and 413 for more parts.
    """
    if request.mimetype != "multipart/form-data":
        abort(415, "send multipart/form-data")
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        abort(400, "the Content-Type has no boundary")
    pieces = form_pieces(body_pieces(limit), boundary, most)
    return ((part, map(itemgetter(1), group)) for part, group in groupby(pieces, itemgetter(0)))


def form_pieces(body: Iterator[bytes], boundary: str, most: int) -> Iterator[tuple[Part, bytes]]:
    """Yield each piece of a form, with its part. The last piece of a part is empty."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    found: list[tuple[Part, bytes]] = []
    parts: list[Part] = []
    header: list[bytes] = [b"", b""]
    ended = []

    def begin() -> None:
        if len(parts) == most:
            abort(413, f"at most {most} parts")
        parts.append(Part())

    def header_end() -> None:
        if header[0].lower() == b"content-disposition":
            options = parse_options_header(header[1].decode("utf-8", "replace"))[1]
            parts[-1].name, parts[-1].filename = options.get("name", ""), options.get("filename")
        header[:] = b"", b""

    def add(number: int, data: bytes, start: int, end: int) -> None:
        header[number] += data[start:end]

    callbacks: Any = {
        "on_part_begin": begin,
        "on_header_field": lambda *slice_: add(0, *slice_),
        "on_header_value": lambda *slice_: add(1, *slice_),
        "on_header_end": header_end,
        "on_part_data": lambda data, start, end: found.append((parts[-1], data[start:end])),
        "on_part_end": lambda: found.append((parts[-1], b"")),
        "on_end": lambda: ended.append(True),
    }
    try:
        parser = MultipartParser(boundary.encode(), callbacks)
        for piece in body:
            parser.write(piece)
            yield from found
            found.clear()
    except FormParserError as error:
        abort(400, f"the body is no form: {error}")
    if not ended:
        abort(400, "the form ended too early")


def read_text(pieces: Iterator[bytes], limit: int = 10_000) -> str:
    """Return the text of a field.

    >>> read_text(iter([b"UA ", b"1545"]))
    'UA 1545'

    :param limit: the most bytes.
    :raises werkzeug.exceptions.HTTPException: 413 over the limit, and 400 for another encoding
        than UTF-8.
    """
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > limit:
            abort(413, f"a field has at most {limit} bytes")
    try:
        return text.decode()
    except UnicodeDecodeError:
        abort(400, "a field must be UTF-8")
