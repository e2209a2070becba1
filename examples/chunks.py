"""Join the small pieces of a stream into chunks worth sending, and start it before it is sent."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, TypeVar

Piece = TypeVar("Piece", str, bytes)
Chunk = TypeVar("Chunk")

#: Characters or bytes in a chunk: 64 KiB.
SIZE = 64 * 1024

#: Seconds after which a chunk is sent that is not full yet.
SECONDS = 1.0

#: Pieces that are taken at a time, where they are small and all come in so many seconds.
FEW, QUICK = 16, 0.001


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
    for its next piece. Small pieces that come quickly are taken a few at a time.

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
    """
    now = time.monotonic
    source = iter(pieces)
    held: list[Any] = []
    join: Callable[[list[Any]], Any]
    length, few, at = 0, 1, now()
    due = at + seconds
    try:
        while run := list(islice(source, few)):
            join = "".join if isinstance(run[0], str) else b"".join
            piece = join(run)
            held.append(piece)
            length += len(piece)
            before, at = at, now()
            small = at - before < QUICK and at < due and len(piece) * FEW < size
            few = min(2 * few, FEW) if small and until is None else 1
            if length and (length >= size or at >= due or (until is not None and until in piece)):
                yield encoded(join(held))
                held.clear()
                length, until, at = 0, None, now()
                due = at + seconds
        if length:
            yield encoded(join(held))
    finally:
        if hasattr(pieces, "close"):
            pieces.close()


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
