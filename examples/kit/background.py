"""Produce a stream in a thread, with a heartbeat while it is silent and a cancel when it closes."""

from collections.abc import Callable, Generator, Iterable
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread, current_thread
from typing import Any, TypeVar

from .closing import close

Item = TypeVar("Item")


def in_background(
    source: Iterable[Item],
    size: int = 10,
    *,
    beat: Callable[[], Item] | None = None,
    seconds: float = 15,
    cancel: Callable[[], object] | None = None,
) -> Generator[Item, None, None]:
    """Yield the items of a source that a thread of its own iterates and closes.

    The thread has no request. Read what the source needs of the request in the view, and open in
    the source what it reads. The thread starts with the first item and ends with its process.

    When the stream is closed, the source is closed at its next item. The stream waits for that
    for one second at most.

    >>> list(in_background(f"UA {number}" for number in (1545, 1714)))
    ['UA 1545', 'UA 1714']
    >>> news = Event()
    >>> def silent():
    ...     news.wait(10)
    ...     yield "UA 1545"
    >>> stream = in_background(silent(), beat=lambda: ":", seconds=0.01, cancel=news.set)
    >>> next(stream)
    ':'
    >>> stream.close()
    >>> news.is_set()
    True

    :param source: what is slow. An error that it raises is an error of the stream.
    :param size: how many items wait for the client. Then the source waits.
    :param beat: called after each silence. The stream sends what it returns, and ends with what it
        raises.
    :param seconds: the silence, in seconds, after which ``beat`` is called.
    :param cancel: called when the stream is closed before the source has ended. It must end the
        wait of the source: close the upstream, cancel the query or terminate the process. The
        source may end at the same moment, so it must work on a source that has ended.
    """
    ready: SimpleQueue[Any] = SimpleQueue()
    room, gone = Semaphore(size), Event()
    end, errors = object(), list[BaseException]()

    def work() -> None:
        try:
            try:
                for item in source:
                    room.acquire()  # waits for the client
                    if gone.is_set():
                        break
                    ready.put(item)
            finally:
                close(source)
        except BaseException as error:
            errors.append(error)
        ready.put(end)

    def take() -> Any:
        try:
            item = ready.get(timeout=seconds if beat else None)
        except Empty:
            assert beat
            return beat()
        room.release()
        return item

    thread = Thread(target=work, daemon=True)  # Python does not wait for it at exit
    thread.start()
    try:
        while (item := take()) is not end:
            yield item
        thread.join()
        if errors:
            raise errors.pop()
    finally:
        gone.set()
        room.release()
        if cancel and thread.is_alive():
            cancel()
        if thread is not current_thread():  # where the garbage collector may run this
            thread.join(1)
