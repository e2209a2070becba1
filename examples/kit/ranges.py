"""Send a file, or bytes that you produce, in ranges, so that a client can resume a download."""

import mimetypes
import os
import re
import stat
from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from flask import Response, abort, request
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable

from .closing import close
from .file_name import download_name

#: Bytes that are read from a file at a time: 64 KiB.
SIZE = 64 * 1024

#: Two offsets, of which the second may be missing, or the number of last bytes.
ONE_RANGE = re.compile(r"bytes=(?:(\d{1,30})-(\d{0,30})|-(\d{1,30}))", re.ASCII | re.IGNORECASE)

#: Returns the bytes from one offset to another, which is not included.
Read = Callable[[int, int], Iterable[bytes]]


def file_response(folder: str | Path, name: str) -> Response:
    """Send a file of a folder as a download, whole or the range that the client requests.

    The file is open when this returns. A file that is replaced or deleted later is sent as it was.

    :param folder: a folder into which only your own programs write.
    :param name: the name of a file in it, which a client may choose.
    :raises werkzeug.exceptions.BadRequest: for a name that :func:`.file_name.download_name`
        refuses, such as ``..`` or a hidden file.
    :raises werkzeug.exceptions.NotFound: for a symbolic link, and for everything but a file.
    :raises werkzeug.exceptions.HTTPException: whatever :func:`answer_range` raises.
    """
    names = download_name(name)
    file = open_file(Path(folder, name))
    about = os.fstat(file.fileno())
    kind, packed = mimetypes.guess_type(name)
    response = Response(mimetype="application/octet-stream" if packed or not kind else kind)
    response.call_on_close(file.close)
    response.set_etag(f"{about.st_ino:x}-{about.st_mtime_ns:x}-{about.st_size:x}")
    response.last_modified = datetime.fromtimestamp(about.st_mtime, UTC)
    response.cache_control.no_cache = True  # a cache compares the ETag before it uses its copy
    response.headers.set("Content-Disposition", "attachment", **names)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return answer_range(response, partial(read_file, file), about.st_size)


def open_file(path: Path) -> BinaryIO:
    """Open a file, but no symbolic link, folder, pipe or device.

    :raises werkzeug.exceptions.NotFound: for all of these, and for a missing file.
    :raises OSError: for another error, such as too many open files. Caches may keep a 404 response.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            abort(404)
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        abort(404)


def read_file(file: BinaryIO, start: int, stop: int) -> Generator[bytes, None, None]:
    """Yield the bytes of a file from one offset to another.

    :raises EOFError: when the file has become shorter.
    """
    file.seek(start)
    while start < stop:
        piece = file.read(min(SIZE, stop - start))
        if not piece:
            raise EOFError(f"the file has {start} bytes, and {stop} were promised")
        start += len(piece)
        yield piece


def part_of(pieces: Iterable[bytes], start: int, stop: int) -> Generator[bytes, None, None]:
    r"""Yield the bytes of a stream from one offset to another. The bytes before them are dropped.

    >>> list(part_of([b"UA 1545\n", b"B6 725\n"], 3, 10))
    [b'1545\n', b'B6']
    >>> list(part_of([], 0, 0))
    []

    :param pieces: the bytes from offset 0. They are closed when this generator is.
    :raises EOFError: when they end too early.
    """
    offset = 0
    try:
        for piece in pieces:
            if wanted := piece[max(start - offset, 0) : stop - offset]:
                yield wanted
            offset += len(piece)
            if offset >= stop:
                return
    finally:
        close(pieces)
    if offset < stop:
        raise EOFError(f"the stream has {offset} bytes, and {stop} were promised")


def answer_range(response: Response, read: Read, length: int) -> Response:
    """Give a response its body: all bytes, or the range that the client requests.

    The status is 200 or 206, or 304 when the client has these bytes already.
    A range of another unit and several ranges at once are ignored (:rfc:`9110#section-14.2`).

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> def read(start, stop):
    ...     yield b"UA 1545"[start:stop]
    >>> with app.test_request_context(headers={"Range": "bytes=3-"}):
    ...     response = answer_range(Response(headers={"ETag": '"january"'}), read, 7)
    >>> response.status_code, response.headers["Content-Range"], response.data
    (206, 'bytes 3-6/7', b'1545')

    :param response: a response with a strong ETag. Give other bytes another ETag.
        The response is closed when the request is refused.
    :param read: returns the same bytes for the same offsets.
    :param length: how many bytes there are in all.
    :raises ValueError: for a response without a strong ETag.
    :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: for a range outside of the bytes, and
        for a malformed range.
    :raises werkzeug.exceptions.PreconditionFailed: when ``If-Match`` names other bytes.
    """
    etag, weak = response.get_etag()
    if etag is None or weak:
        raise ValueError("a range needs a strong ETag")
    response.accept_ranges = "bytes"
    response.content_length = length
    try:
        response.make_conditional(request)  # without accept_ranges it ignores the range
        if response.status_code == 412:
            abort(412)
        chosen = chosen_range(f'"{etag}"', length) if response.status_code == 200 else None
    except HTTPException:
        response.close()
        raise
    start, stop = chosen or (0, length)
    if response.status_code == 200:
        response.response = read(start, stop)
        if chosen:
            response.status_code = 206
            response.content_range.set(start, stop, length)
            response.content_length = stop - start
    return response


def chosen_range(etag: str, length: int) -> tuple[int, int] | None:
    """Return the two offsets of the range that the client requests, or ``None`` for all bytes.

    :param etag: the ETag of the bytes, with its quotes.
    :raises werkzeug.exceptions.RequestedRangeNotSatisfiable: for a range outside of the bytes, and
        for a malformed range.
    """
    wanted = request.headers.get("Range", "")
    unit = wanted.partition("=")[0].lower()
    current = request.headers.get("If-Range", etag) == etag  # a weak ETag or a date is no match
    if request.method != "GET" or unit != "bytes" or "," in wanted or not current or not length:
        return None
    start = stop = 0
    if match := ONE_RANGE.fullmatch(wanted):
        first, last, suffix = match.groups()
        start = int(first) if first else max(length - int(suffix), 0)
        stop = min(int(last) + 1, length) if last else length
    if start >= stop:
        raise RequestedRangeNotSatisfiable(length)
    return start, stop
