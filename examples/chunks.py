"""Join the small pieces of a stream into chunks worth sending, and start it before it is sent."""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, TypeVar

Piece = TypeVar("Piece", str, bytes)
Chunk = TypeVar("Chunk")

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
    take: int = 1,
) -> Generator[bytes, None, None]:
    """Join text or bytes into chunks of at least a size; the last one holds what is left.

    Nothing is held beside the chunk that is being joined, and text is encoded once a chunk, as
    UTF-8. A piece that comes when the time is up is sent with what is held, so a source that is
    slower than that sends each piece at once. What was held when the source falls silent waits
    for its next piece.

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
    :param take: how many pieces to take before looking at size and time. More than one is faster
        where many small pieces come together, as those of a template do. While there is an
        ``until`` to look for, it is one.
    """
    held: list[str | bytes] = []
    length, due = 0, time.monotonic() + seconds
    try:
        for piece in pieces if take == 1 else runs(pieces, take, until):
            held.append(piece)
            length += len(piece)
            late = time.monotonic() >= due
            if length and (length >= size or late or (until is not None and until in piece)):
                yield encoded(joined(held))
                held.clear()
                length, until, due = 0, None, time.monotonic() + seconds
        if length:
            yield encoded(joined(held))
    finally:
        if hasattr(pieces, "close"):
            pieces.close()


def runs(pieces: Iterable[Piece], take: int, until: Piece | None) -> Iterator[Piece]:
    """Yield pieces as they are through the one with ``until`` in it, then some joined to one.

    >>> list(runs(["<p>", "</head>", "a", "b", "c"], 2, "</head>"))
    ['<p>', '</head>', 'ab', 'c']

    :param pieces: text or bytes.
    :param take: how many are joined.
    :param until: what to look for first, if anything.
    """
    source = iter(pieces)
    if until is not None:
        for piece in source:
            yield piece
            if until in piece:
                break
    while taken := list(islice(source, take)):
        yield joined(taken)


def joined(pieces: list[Any]) -> Any:
    """Return pieces of text as one, or pieces of bytes."""
    return ("" if isinstance(pieces[0], str) else b"").join(pieces)


def encoded(chunk: str | bytes) -> bytes:
    """Return a chunk as bytes."""
    return chunk.encode() if isinstance(chunk, str) else chunk


def prime(chunks: Generator[Chunk, None, None]) -> Iterator[Chunk]:
    """Make the first chunk now, so that what fails before it fails in the view.

    The stream that comes back closes the one it was given, even if it is never iterated,
    as after a HEAD request.

    >>> list(prime(chunk for chunk in ["ab", "cd"]))
    ['ab', 'cd']

    :param chunks: a stream that was not started.
    :raises Exception: whatever the stream raises before its first chunk.
    """

    def resume() -> Iterator[Any]:
        with closing(chunks):
            first = next(chunks, None)
            yield ""  # stops here until the server asks for the first chunk
            if first is not None:
                yield first
                yield from chunks

    primed = resume()
    next(primed)
    return primed
