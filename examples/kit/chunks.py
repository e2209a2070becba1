"""Join small pieces into larger chunks, and produce the first chunk before the response starts."""

import time
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from .closing import close

Piece = TypeVar("Piece", str, bytes)

#: Characters or bytes in a chunk: 64 KiB.
SIZE = 64 * 1024

#: Seconds after which the next piece sends a smaller chunk.
SECONDS = 1.0


def join_chunks(
    pieces: Iterable[Piece],
    size: int = SIZE,
    *,
    seconds: float = SECONDS,
    until: Piece | None = None,
) -> Generator[bytes, None, None]:
    """Join text or bytes into chunks of at least a size. The last chunk may be smaller.

    Only one chunk is in memory at a time. Text is encoded as UTF-8, once for each chunk.

    The time is checked when a piece arrives. If the source waits longer than ``seconds`` for its
    next piece, the pieces before it wait too.

    If the source fails, the pieces before the error are sent first. If they would be the first
    chunk, they are dropped: no status was sent yet, so the error can become an error page.

    >>> list(join_chunks(["ab", "cd", "ef"], size=3))
    [b'abcd', b'ef']
    >>> list(join_chunks(["ab", "cd", "ef"], seconds=0))
    [b'ab', b'cd', b'ef']
    >>> list(join_chunks(["<p>", "</head>", "a", "b"], until="</head>"))
    [b'<p></head>', b'ab']

    :param pieces: text or bytes, in pieces of any size. They are closed when this generator is.
    :param size: a chunk with this number of characters or bytes is sent.
    :param seconds: this long after the previous chunk, the next piece sends a smaller chunk.
    :param until: the first chunk is sent with the piece that contains this. Every piece contains
        the empty string, so ``until=""`` sends the first piece immediately.
    :raises Exception: whatever the source raises.
    """
    held: list[Piece] = []
    length, due, started = 0, time.monotonic() + seconds, False
    try:
        for piece in pieces:
            length += len(piece)
            held.append(piece)
            wanted = until is not None and until in piece
            if length and (wanted or length >= size or time.monotonic() >= due):
                chunk, held, length, until = joined(held), [], 0, None
                yield chunk
                due, started = time.monotonic() + seconds, True
    except Exception:
        if length and started:
            yield joined(held)
        raise
    else:
        if length:
            yield joined(held)
    finally:
        close(pieces)


def joined(pieces: list[Any]) -> bytes:
    """Return pieces of text, or pieces of bytes, as one chunk."""
    chunk = ("" if isinstance(pieces[0], str) else b"").join(pieces)
    return chunk.encode() if isinstance(chunk, str) else chunk


def prime(chunks: Iterable[Piece]) -> Iterator[Piece]:
    """Produce the first chunk now, so that an error before it becomes an error page.

    The stream that this returns closes the original stream, even if it is never iterated, as
    after a HEAD request.

    >>> list(prime(chunk for chunk in ["ab", "cd"]))
    ['ab', 'cd']

    :param chunks: a stream that has not started.
    :raises TypeError: when the first chunk is neither text nor bytes.
    :raises Exception: whatever the stream raises before its first chunk.
    """

    def resume() -> Iterator[Any]:
        try:
            source = iter(chunks)
            first = list(islice(source, 1))
            if first and not isinstance(first[0], (str, bytes)):
                raise TypeError(f"a chunk is str or bytes, not {type(first[0]).__name__}")
            yield ""  # stops here until the server asks for the first chunk
            yield from chain(first, source)
        finally:
            close(chunks)

    primed = resume()
    next(primed)
    return primed
