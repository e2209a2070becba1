"""Send what an async generator yields: all streams of a process share one event loop."""

import asyncio
import os
from collections.abc import AsyncIterable, Callable, Generator
from queue import SimpleQueue
from threading import Event, Lock, Thread, current_thread
from typing import Any, TypeVar

from .background import received

Item = TypeVar("Item")


class LoopThread(Thread):
    """A thread that runs an event loop as long as its process lives."""

    def __init__(self) -> None:
        super().__init__(name="event loop", daemon=True)
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        """Run the event loop."""
        self.loop.run_forever()


_starting = Lock()
_threads: dict[int, LoopThread] = {}  # of each process, because a thread does not survive a fork


def loop_thread() -> LoopThread:
    """Return the thread that runs the event loop of this process, and start it the first time.

    Under gevent one loop at most can run in a process, and this is the one. An async client that
    all streams share belongs to its ``loop``.

    >>> loop_thread() is loop_thread()
    True
    >>> asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "UA 1545"), loop_thread().loop).result()
    'UA 1545'
    """
    with _starting:
        process = os.getpid()
        if process not in _threads or not _threads[process].is_alive():
            _threads[process] = LoopThread()
            _threads[process].start()
        return _threads[process]


def from_async(
    source: AsyncIterable[Item],
    size: int = 10,
    *,
    beat: Callable[[], Item] | None = None,
    seconds: float = 15,
) -> Generator[Item, None, None]:
    """Yield the items of an async generator, which runs in the event loop of the process.

    The source has no request. Read what it needs of the request in the view. It starts with the
    first item of the stream.

    When the stream is closed, the source is cancelled: its ``await`` raises
    :exc:`asyncio.CancelledError`, and its ``finally`` runs. The stream waits for that for one
    second at most.

    >>> async def flights():
    ...     for number in (1545, 1714):
    ...         await asyncio.sleep(0)
    ...         yield f"UA {number}"
    >>> list(from_async(flights()))
    ['UA 1545', 'UA 1714']
    >>> async def silent():
    ...     try:
    ...         await asyncio.sleep(60)
    ...         yield "late"
    ...     finally:
    ...         print("closed")
    >>> stream = from_async(silent(), beat=lambda: ":", seconds=0.01)
    >>> next(stream)
    ':'
    >>> stream.close()
    closed

    :param source: an async generator, or another async iterable. An error that it raises is an
        error of the stream. It must not block: all streams of the process wait for it.
    :param size: how many items wait for the client. Then the source waits.
    :param beat: called after each silence. The stream sends what it returns, and ends with what it
        raises.
    :param seconds: the silence, in seconds, after which ``beat`` is called.
    """
    ready: SimpleQueue[Any] = SimpleQueue()
    room = asyncio.Semaphore(size)
    end, ended = object(), Event()

    async def work() -> None:
        try:
            async for item in source:
                await room.acquire()  # waits for the client
                ready.put(item)
        finally:
            try:
                if hasattr(source, "aclose"):
                    await source.aclose()
            finally:
                ended.set()
                ready.put(end)

    def taken() -> None:
        thread.loop.call_soon_threadsafe(room.release)

    thread = loop_thread()
    task = asyncio.run_coroutine_threadsafe(work(), thread.loop)
    try:
        yield from received(ready, end, taken, beat, seconds)
        task.result()
    finally:
        task.cancel()
        if thread is not current_thread():  # where the garbage collector may run this
            ended.wait(1)
