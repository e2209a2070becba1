"""Join the small pieces of a stream into chunks worth sending, and start it before it is sent."""

import time
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from .closing import close

Piece = TypeVar("Piece", str, bytes)

#: Characters or bytes in a chunk: 64 KiB.
SIZE = 64 * 1024

#: Seconds after which a chunk is sent that is not full yet.
SECONDS = 1.0


def join_chunks(
    pieces: Iterable[Piece],
    size: int = SIZE,
    *,
    seconds: float = SECONDS,
    until: Piece | None = None,
) -> Generator[bytes, None, None]:
    """Join text or bytes into chunks of at least a size; the last one holds what is left.

    Nothing is held beside the chunk that is being joined, and text is encoded once a chunk, as
    UTF-8. A piece that comes when the time is up is sent with what is held, so a source that is
    slower than that sends each piece at once. What was held when the source falls silent waits
    for its next piece.

    An error of the source is raised when what came before it was sent. If that would be the
    first chunk, it is dropped: then no status was sent either, and the error can be a page.

    >>> list(join_chunks(["ab", "cd", "ef"], size=3))
    [b'abcd', b'ef']
    >>> list(join_chunks(["ab", "cd", "ef"], seconds=0))
    [b'ab', b'cd', b'ef']
    >>> list(join_chunks(["<p>", "</head>", "a", "b"], until="</head>"))
    [b'<p></head>', b'ab']

    :param pieces: text or bytes, in pieces of any size. It is closed when this generator is.
    :param size: the number of characters or bytes from which a chunk is sent.
    :param seconds: how long after the chunk before it a chunk is sent that has not that size.
    :param until: the first chunk is sent sooner, with the piece that has this in it. Every piece
        has the empty string in it, so with that the first one is sent at once.
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
    """Make the first chunk now, so that what fails before it fails in the view.

    The stream that comes back closes the one it was given, even if it is never iterated,
    as after a HEAD request.

    >>> list(prime(chunk for chunk in ["ab", "cd"]))
    ['ab', 'cd']

    :param chunks: a stream that was not started.
    :raises TypeError: when its first chunk is neither text nor bytes.
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
