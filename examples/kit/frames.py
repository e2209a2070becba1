"""Send the frames of one camera to every viewer of every process, as MJPEG."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from .chunks import prime
from .closing import close
from .sse import HEADERS

logger = logging.getLogger(__name__)

#: What is between two frames. In the header it has no hyphens, and in the body two before it.
BOUNDARY = "frame"

#: The type of the stream.
CONTENT_TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"

#: Headers of the stream. Pages of another origin cannot show it.
IMAGE_HEADERS = HEADERS | {"Cross-Origin-Resource-Policy": "same-origin"}

#: Seconds for which the camera stays open after its last viewer, such as while a page reloads.
LINGER = 2.0

#: Seconds between two looks at the frame of another process.
PAUSE = 0.01

#: Seconds after which a camera that failed is opened again.
RETRY = 1.0

#: The option of a connection that limits what the kernel keeps of unsent bytes. Python has its name
#: since 3.12, and macOS has another number.
NOT_SENT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

#: Bytes that the kernel keeps for a slow viewer. By default it keeps megabytes of old frames.
KEPT = 16 * 1024


def jpeg(image: Any) -> bytes:
    """Return an image of Pillow as JPEG.

    :param image: an ``Image``, or anything that saves itself into a file.
    """
    file = BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def skip_old_frames(environ: dict[str, Any]) -> None:
    """Let the kernel refuse a frame while a slow viewer still receives the one before it.

    :param environ: the WSGI environment of the request. gunicorn and Werkzeug put the connection
        in it. On other servers this does nothing.
    """
    connection = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection:
        with suppress(OSError):  # a Unix socket has no such option
            connection.setsockopt(socket.IPPROTO_TCP, NOT_SENT, KEPT)


def multipart(frames: Iterable[bytes], *, lengths: bool = False) -> Iterator[bytes]:
    r"""Yield each frame as a part of ``multipart/x-mixed-replace``.

    Chromium draws a part when it has the headers of the next part, so they follow each frame.

    >>> list(multipart([b"UA", b"AA"]))[1]
    b'AA\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n'
    >>> list(multipart([b"UA", b"AA"], lengths=True))[1]
    b'--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 2\r\n\r\nAA\r\n'

    :param frames: JPEG images. They are closed when this generator is.
    :param lengths: whether each part has a ``Content-Length``, for programs. Then Chromium is one
        frame late, because the length of the next frame is not known yet.
    """
    start = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
    following = "" if lengths else f"{start}\r\n"
    before = following
    try:
        for jpeg in frames:
            if lengths:
                before = f"{start}Content-Length: {len(jpeg)}\r\n\r\n"
            yield before.encode() + jpeg + f"\r\n{following}".encode()
            before = ""
    finally:
        close(frames)


def seconds_from_now(status: os.stat_result) -> float:
    """Return how far the time of a file is from now, also after the clock was set back."""
    return abs(time.time() - status.st_mtime)


class SharedCamera:
    """A camera that one process opens, for the viewers of all processes.

    A lock file elects the process, and the kernel unlocks it when the process is killed. The
    other processes read the latest frame from a file.

    :param source: opens the camera, and yields JPEG images at its own pace. It is closed when
        nobody watches.
    :param folder: for the lock and the frame, the same for all processes, and owned by their user.
        Use one in memory, such as below ``/dev/shm`` or ``/run``.
    :param again: seconds without a new frame after which a viewer receives the last one again. A
        viewer that has disconnected is noticed then.
    :param patience: seconds without a new frame after which a stream ends.
    """

    def __init__(
        self,
        source: Callable[[], Iterable[bytes]],
        folder: Path,
        *,
        again: float = 1.0,
        patience: float = 10.0,
    ) -> None:
        self.source, self.folder = source, folder
        self.again, self.patience = again, patience
        #: How many watch in this process.
        self.viewers = 0
        #: The latest frame, and how many there were before it.
        self.jpeg, self.number = b"", 0
        self.seen = (0, 0)
        self.changed = Condition()
        self.thread: Thread | None = None

    def response(self, fps: float = 60, *, lengths: bool = False) -> Response:
        """Return a response that shows the camera.

        :param fps: the most frames in a second.
        :param lengths: as in :func:`multipart`.
        :raises werkzeug.exceptions.ServiceUnavailable: when the camera yields no frame.
        """
        skip_old_frames(request.environ)
        body = prime(multipart(self.frames(fps), lengths=lengths))
        return Response(body, content_type=CONTENT_TYPE, headers=IMAGE_HEADERS)

    def frames(self, fps: float = 60) -> Generator[bytes, None, None]:
        """Yield the latest frame each time that the viewer is ready for one.

        :param fps: the most frames in a second.
        :raises werkzeug.exceptions.ServiceUnavailable: when the camera yields no frame.
        """
        with self.viewing():
            number, end = -1, time.monotonic() + self.patience
            while time.monotonic() < end:
                found, jpeg = self.newer(number)
                if jpeg:
                    now = time.monotonic()
                    if found != number:
                        number, end = found, now + self.patience
                    yield jpeg
                    time.sleep(max(0, now + 1 / fps - time.monotonic()))
        raise ServiceUnavailable("the camera sends no frames")

    def newer(self, number: int) -> tuple[int, bytes]:
        """Wait for another frame than the one with a number, and return the latest."""
        with self.changed:
            self.changed.wait_for(lambda: self.jpeg and self.number != number, self.again)
            return self.number, self.jpeg

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """Let the camera run while the block does.

        :raises PermissionError: for a folder of another user, who could see the frames.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.lstat().st_uid != os.geteuid():
            raise PermissionError(f"{self.folder} belongs to another user")
        with self.changed:
            self.viewers += 1
        try:
            with self.changed:
                if not self.thread or not self.thread.is_alive():  # such as after a fork
                    self.thread = Thread(target=self.follow, daemon=True)
                    self.thread.start()
            yield
        finally:
            with self.changed:
                self.viewers -= 1

    def follow(self) -> None:
        """Draw, or read what another process draws, while somebody watches in this process."""
        while self.watched():
            try:
                self.draw_or_read()
            except Exception:
                logger.exception("the camera failed")
                time.sleep(RETRY)

    def watched(self) -> bool:
        """Tell whether this process has viewers. Without them its thread ends."""
        with self.changed:
            if not self.viewers:
                self.thread, self.jpeg = None, b""
            return self.viewers > 0

    def draw_or_read(self) -> None:
        """Draw until nobody watches, or read a frame where another process draws."""
        (self.folder / "watched").touch()
        with (self.folder / "owner").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.read()
                time.sleep(PAUSE)
            else:
                self.draw()

    def draw(self) -> None:
        """Open the camera, and publish each frame until no process has viewers.

        :raises EOFError: when the camera yields no more frames.
        """
        frames = self.source()
        try:
            for each in frames:
                file = self.folder / "next.jpg"
                file.write_bytes(each)
                file.replace(self.folder / "latest.jpg")  # a reader has the old or the new frame
                self.show(each)
                watched = self.folder / "watched"
                if self.viewers:
                    watched.touch()
                elif seconds_from_now(watched.stat()) > LINGER:
                    return
        finally:
            close(frames)
        raise EOFError("the camera yields no more frames")

    def read(self) -> None:
        """Show the frame that another process has published, if it is new."""
        with suppress(FileNotFoundError), (self.folder / "latest.jpg").open("rb") as file:
            status = os.fstat(file.fileno())
            seen = (status.st_ino, status.st_mtime_ns)
            if seen != self.seen and seconds_from_now(status) < LINGER:
                self.seen = seen
                self.show(file.read())

    def show(self, jpeg: bytes) -> None:
        """Wake the viewers of this process."""
        with self.changed:
            self.jpeg = jpeg
            self.number += 1
            self.changed.notify_all()
