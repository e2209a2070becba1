"""Send what a thread or a callback produces, with a heartbeat and an end when the client leaves."""

from collections.abc import Callable, Generator, Iterable
from queue import Empty, SimpleQueue
from threading import Event, Semaphore, Thread, current_thread
from typing import Any, TypeVar

from werkzeug import exceptions

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

    def work(put: Callable[[Item], None]) -> None:
        try:
            for item in source:
                put(item)
        finally:
            close(source)

    return from_callback(work, size, beat=beat, seconds=seconds, cancel=cancel)


def from_callback(
    work: Callable[[Callable[[Item], None]], object],
    size: int = 10,
    *,
    beat: Callable[[], Item] | None = None,
    seconds: float = 15,
    cancel: Callable[[], object] | None = None,
) -> Generator[Item, None, None]:
    """Yield what a library hands to its callback.

    A thread of its own calls ``work(put)``, and ``put`` is the callback. Any thread may call it.
    The stream ends when ``work`` returns. The thread has no request, as in :func:`in_background`.

    >>> def complete(prompt, on_token):
    ...     for token in prompt.split():
    ...         on_token(token)
    >>> list(from_callback(lambda put: complete("UA 1545 boards", on_token=put)))
    ['UA', '1545', 'boards']

    :param work: calls the library. An error that it raises is an error of the stream. ``put``
        waits while ``size`` items wait for the client, and raises Werkzeug's
        ``ClientDisconnected`` when the stream is closed.
    :param size: how many items wait for the client. Then ``put`` waits.
    :param beat: as in :func:`in_background`.
    :param seconds: as in :func:`in_background`.
    :param cancel: called when the stream is closed before ``work`` has returned. It must make
        ``work`` return while the library is silent, and where the library catches that
        error.
    """
    ready: SimpleQueue[Any] = SimpleQueue()
    room, gone = Semaphore(size), Event()
    end, errors = object(), list[BaseException]()

    def put(item: Item) -> None:
        room.acquire()  # waits for the client
        if gone.is_set():
            room.release()  # for the next call
            raise exceptions.ClientDisconnected
        ready.put(item)

    def produce() -> None:
        try:
            work(put)
        except BaseException as error:
            errors.append(error)
        ready.put(end)

    thread = Thread(target=produce, daemon=True)  # Python does not wait for it at exit
    thread.start()
    try:
        yield from received(ready, end, room.release, beat, seconds)
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


def received(
    ready: "SimpleQueue[Any]",
    end: object,
    taken: Callable[[], object],
    beat: Callable[[], Item] | None,
    seconds: float,
) -> Generator[Item, None, None]:
    """Yield the items of a queue until its end mark, and a beat after each silence.

    >>> ready = SimpleQueue()
    >>> for each in ("UA 1545", None):
    ...     ready.put(each)
    >>> list(received(ready, None, list, None, 15))
    ['UA 1545']

    :param ready: the queue.
    :param end: the end mark.
    :param taken: called when an item has left the queue.
    :param beat: as in :func:`in_background`.
    :param seconds: as in :func:`in_background`.
    """
    while True:
        try:
            item = ready.get(timeout=seconds if beat else None)
        except Empty:
            assert beat
            yield beat()
            continue
        if item is end:
            return
        taken()
        yield item
