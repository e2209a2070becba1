"""Compress a stream with gzip, Brotli or zstd, and flush the compressor for each chunk.

Brotli needs the package ``brotli``, and zstd needs Python 3.14 or ``backports.zstd``. A coding
whose package is missing is left out.
"""

import re
import sys
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from functools import partial
from importlib import import_module
from typing import NamedTuple

from flask import Response, make_response, request
from werkzeug.datastructures import Accept
from werkzeug.exceptions import NotAcceptable

from .chunks import SIZE
from .closing import close

#: Media types that become smaller. Images, videos, archives and Office files are compressed.
COMPRESSIBLE = re.compile(
    r"text/.+|application/(json|jsonl|x-ndjson|json-seq|javascript|xml)|.+\+(json|xml)"
)

#: Headers that describe the bytes of the body, and so the body without a compression.
OF_THE_BODY = ("Content-Length", "Accept-Ranges", "Content-Digest", "Repr-Digest", "Content-MD5")


class Compressor(NamedTuple):
    """What compresses one body.

    :param compress: returns bytes for more bytes, or none while it collects.
    :param flush: returns all that it has collected, so that a client can decode it.
    :param finish: returns the end of the body.
    """

    compress: Callable[[bytes], bytes]
    flush: Callable[[], bytes]
    finish: Callable[[], bytes]


def gzip() -> Compressor:
    """Return a compressor for gzip."""
    own = zlib.compressobj(wbits=31)  # with the head and the end of gzip
    return Compressor(own.compress, partial(own.flush, zlib.Z_SYNC_FLUSH), own.flush)


def br() -> Compressor:
    """Return a compressor for Brotli."""
    own = import_module("brotli").Compressor(quality=4)  # the default, 11, is made for files
    return Compressor(own.process, own.flush, own.finish)


def zstd() -> Compressor:
    """Return a compressor for zstd."""
    own = import_module(ZSTD).ZstdCompressor()
    return Compressor(own.compress, partial(own.flush, own.FLUSH_BLOCK), own.flush)


ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"

#: What makes a compressor for each coding, and the module that it needs.
CODINGS = {"zstd": (zstd, ZSTD), "br": (br, "brotli"), "gzip": (gzip, "zlib")}


def installed(module: str) -> bool:
    """Return whether a module can be imported.

    >>> installed("zlib"), installed("zlob")
    (True, False)
    """
    try:
        import_module(module)
    except ImportError:
        return False
    return True


#: The codings that this Python has.
INSTALLED = {coding for coding, (_, module) in CODINGS.items() if installed(module)}


def compress(
    pieces: Iterable[str | bytes], coding: str, *, size: int = SIZE, seconds: float = 0.0
) -> Generator[bytes, None, None]:
    r"""Yield the pieces of a body, compressed.

    By default each piece can be decoded when it arrives. If the source fails, the pieces before the
    error are sent, and the end of the body is not, so a client can detect the cut.

    >>> body = compress(["UA 1545\n", "B6 725\n"], "gzip")
    >>> decode = zlib.decompressobj(wbits=31).decompress
    >>> decode(next(body)), decode(next(body))
    (b'UA 1545\n', b'B6 725\n')

    :param pieces: text or bytes. They are closed when this generator is.
    :param coding: ``gzip``, ``br`` or ``zstd``.
    :param size: after this number of bytes, the compressor is flushed.
    :param seconds: this long after the last flush, the next piece flushes the compressor. ``inf``
        leaves it to ``size``.
    :raises Exception: whatever the source raises.
    """
    compressor = CODINGS[coding][0]()
    collected, due = 0, time.monotonic() + seconds
    try:
        for piece in pieces:
            data = piece.encode() if isinstance(piece, str) else piece
            packed = compressor.compress(data) if data else b""
            collected += len(data)
            if collected and (collected >= size or time.monotonic() >= due):
                packed += compressor.flush()
                collected, due = 0, time.monotonic() + seconds
            if packed or not data:  # an empty piece lets the server send its headers
                yield packed
    except Exception:
        if collected:
            yield compressor.flush()
        raise
    else:
        yield compressor.finish()
    finally:
        close(pieces)


def compressed(
    response: Response,
    codings: Iterable[str] = ("zstd", "br", "gzip"),
    *,
    size: int = SIZE,
    seconds: float = 0.0,
) -> Response:
    """Compress a streamed response if its client and its media type allow that.

    Call it in the view, or for all views with ``app.after_request(compressed)``.

    A client that accepts no coding of the response receives 406. A strong ETag becomes weak,
    because its bytes differ by coding.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> with app.test_request_context(headers={"Accept-Encoding": "gzip"}):
    ...     response = compressed(Response(iter(["UA 1545"]), mimetype="text/csv"))
    >>> response.headers["Content-Encoding"], response.headers["Vary"]
    ('gzip', 'Accept-Encoding')

    :param response: a response whose body is a generator. Other responses are returned as they
        are, and so are responses with ``Content-Encoding``, ``Content-Range`` or ``no-transform``.
    :param codings: the best first. A coding without its package is left out. For pieces of less
        than 100 bytes, gzip alone is smallest.
    :param size: as for :func:`compress`.
    :param seconds: as for :func:`compress`.
    """
    headers = response.headers
    streamed = response.is_streamed and not response.direct_passthrough
    unchanged = response.status_code == 304  # it has the headers of the 200, and no body
    if not (streamed or unchanged) or not COMPRESSIBLE.fullmatch(response.mimetype or ""):
        return response
    response.vary.add("Accept-Encoding")
    kept = "Content-Encoding" in headers or "Content-Range" in headers
    if kept or response.cache_control.no_transform or response.status_code == 204:
        return response
    if unchanged:
        weaken(response)
        return response
    coding = best(request.accept_encodings, filter(INSTALLED.__contains__, codings))
    if coding is None:
        response.close()
        refused = make_response(NotAcceptable("no coding of this response is acceptable"))
        refused.vary.add("Accept-Encoding")
        return refused
    if coding != "identity":
        source = response.response
        response.response = compress(source, coding, size=size, seconds=seconds)
        response.call_on_close(partial(close, source))  # a HEAD request never starts the generator
        headers["Content-Encoding"] = coding
        for name in OF_THE_BODY:
            headers.pop(name, None)
        weaken(response)
    return response


def weaken(response: Response) -> None:
    """Make a strong ETag weak.

    >>> response = Response(headers={"ETag": '"january"'})
    >>> weaken(response)
    >>> response.headers["ETag"]
    'W/"january"'
    """
    etag, weak = response.get_etag()
    if etag and not weak:
        response.set_etag(etag, weak=True)


def best(accepted: Accept, codings: Iterable[str]) -> str | None:
    """Return the coding that a client prefers, ``identity``, or None where it accepts no coding.

    >>> from werkzeug.http import parse_accept_header
    >>> for header in ("gzip, br", "gzip;q=1.0, br;q=0.5", "*;q=0", "identity;q=0", "", "UA"):
    ...     print(header, best(parse_accept_header(header), ["zstd", "br", "gzip"]), sep=": ")
    gzip, br: br
    gzip;q=1.0, br;q=0.5: gzip
    *;q=0: None
    identity;q=0: None
    : identity
    UA: identity

    :param accepted: the header ``Accept-Encoding`` (:rfc:`9110#section-12.5.3`).
    :param codings: the codings of the server, the best first.
    """
    coding = max(codings, key=accepted.quality, default="identity")
    wanted, plain = accepted.quality(coding), accepted.quality("identity")
    if wanted and wanted >= plain:
        return coding
    refused = not plain and any(name.lower() in ("identity", "*") for name, _ in accepted)
    return None if refused else "identity"
