"""Receive uploads that a client can resume after a lost connection (tus 1.0, POSIX)."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from flask import Blueprint, Response, abort, request, url_for
from werkzeug.exceptions import HTTPException

from .receive import body_pieces, read_rest

#: The name of an upload: a secret, and its length.
NAME = re.compile(r"[0-9a-f]{32}-([0-9]+)")

#: Ends the name of an empty file, which is created when ``finished`` has returned.
FINISHED = ".finished"

#: The media type of a part of an upload.
PART_TYPE = "application/offset+octet-stream"


def resumable_uploads(folder: Path, limit: int, finished: Callable[[Path], object]) -> Blueprint:
    """Return the views that create an upload, tell its offset, and append to it.

    >>> from flask import Flask
    >>> app = Flask(__name__)
    >>> uploads = resumable_uploads(Path("unfinished"), 2 * 1024**3, print)
    >>> app.register_blueprint(uploads, url_prefix="/uploads")
    >>> sorted(rule.rule for rule in app.url_map.iter_rules() if "uploads" in rule.rule)
    ['/uploads', '/uploads/<name>', '/uploads/<name>']

    :param folder: where the uploads are. All workers and hosts need the same folder.
    :param limit: the most bytes of an upload.
    :param finished: is called with the file when all of it has arrived, and again after it has
        failed or its process was killed. Leave the file there: a client that lost the last
        response requests its offset again.
    """
    uploads = Blueprint("uploads", __name__)

    def find(name: str) -> tuple[Path, int]:
        path, parts = folder / name, NAME.fullmatch(name)
        return (path, int(parts[1])) if parts and path.is_file() else abort(404)

    @contextmanager
    def locked(path: Path) -> Generator[BinaryIO, None, None]:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                abort(423)  # another request appends
            file.seek(0, os.SEEK_END)  # the file may have grown since it was opened
            yield file

    def finish(path: Path, size: int, length: int) -> None:
        done = path.with_name(f"{path.name}{FINISHED}")
        if size == length and not done.exists():
            finished(path)
            done.touch()

    @uploads.post("")
    def create() -> tuple[str, int, dict[str, str]]:
        length = request.headers.get("Upload-Length", -1, type=int)
        if not 0 <= length <= limit:
            abort(413 if length > limit else 400)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{secrets.token_hex(16)}-{length}"
        path.touch()
        finish(path, 0, length)
        return "", 201, {"Location": url_for(".append", name=path.name)}

    @uploads.route("/<name>", methods=["HEAD"])
    def offset(name: str) -> tuple[str, int, dict[str, str]]:
        path, length = find(name)
        size = path.stat().st_size
        if size == length:
            with locked(path):
                finish(path, size, length)
        sizes = {"Upload-Offset": str(size), "Upload-Length": str(length)}
        return "", 200, {**sizes, "Cache-Control": "no-store"}

    @uploads.patch("/<name>")
    def append(name: str) -> tuple[str, int, dict[str, str]]:
        path, length = find(name)
        if request.mimetype != PART_TYPE:
            abort(415)
        with locked(path) as file:
            if request.headers.get("Upload-Offset") != str(file.tell()):
                abort(409)
            file.writelines(body_pieces(length - file.tell()))  # keeps what arrives before a cut
            file.flush()
            finish(path, file.tell(), length)
            return "", 204, {"Upload-Offset": str(file.tell())}

    @uploads.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> HTTPException:
        read_rest()
        return error

    @uploads.after_request
    def add_version(response: Response) -> Response:
        response.headers["Tus-Resumable"] = "1.0.0"
        return response

    return uploads
