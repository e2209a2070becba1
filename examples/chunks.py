"""Join the small pieces of a stream into chunks worth sending, and start it before it is sent."""

from collections.abc import Generator, Iterator
from contextlib import closing

#: Characters in a chunk: 32 KiB of ASCII.
SIZE = 32 * 1024


def join_chunks(
    pieces: Iterator[str], size: int = SIZE, until: str | None = None
) -> Generator[str, None, None]:
    """Join text into chunks of at least a size; the last one holds what is left.

    Nothing is held beside the chunk that is being joined.

    >>> list(join_chunks(iter(["ab", "cd", "ef"]), size=3))
    ['abcd', 'ef']
    >>> list(join_chunks(iter(["<p>", "</head>", "a", "b"]), until="</head>"))
    ['<p></head>', 'ab']

    :param pieces: the text, in pieces of any size. It is closed when this generator is.
    :param size: the number of characters from which a chunk is sent.
    :param until: the first chunk is sent sooner, when a piece has this text in it.
    """
    held: list[str] = []
    length = 0
    try:
        for piece in pieces:
            held.append(piece)
            length += len(piece)
            if length >= size or (until is not None and until in piece):
                yield "".join(held)
                held.clear()
                length, until = 0, None
        if held:
            yield "".join(held)
    finally:
        if hasattr(pieces, "close"):
            pieces.close()


def prime(chunks: Generator[str, None, None]) -> Iterator[str]:
    """Make the first chunk now, so that what fails before it fails in the view.

    The stream that comes back closes the one it was given, even if it is never iterated,
    as after a HEAD request.

    >>> list(prime(chunk for chunk in ["ab", "cd"]))
    ['ab', 'cd']

    :param chunks: a stream that was not started.
    :raises Exception: whatever the stream raises before its first chunk.
    """

    def resume() -> Iterator[str]:
        with closing(chunks):
            first = next(chunks, None)
            yield ""  # stops here until the server asks for the first chunk
            if first is not None:
                yield first
                yield from chunks

    primed = resume()
    next(primed)
    return primed
