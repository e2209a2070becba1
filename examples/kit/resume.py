"""Receive uploads that a client can resume after a lost connection, by the protocol tus 1.0."""

import fcntl
import secrets
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, abort, request, url_for

from .file_name import download_name
from .receive import body_pieces

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
    :param finished: is called with the file when all of it has arrived. Leave the file there: a
        client that lost the last response requests its offset again.
    """
    uploads = Blueprint("uploads", __name__)

    def find(name: str) -> Path:
        download_name(name)  # 400 for a name such as ..
        path = folder / name
        return path if path.is_file() else abort(404)

    def length(path: Path) -> int:
        return int(path.name.rpartition("-")[2])

    @uploads.post("")
    def create() -> tuple[str, int, dict[str, str]]:
        size = request.headers.get("Upload-Length", -1, type=int)
        if not 0 <= size <= limit:
            abort(413 if size > limit else 400)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{secrets.token_hex(16)}-{size}"
        path.touch()
        if size == 0:
            finished(path)
        return "", 201, {"Location": url_for(".append", name=path.name)}

    @uploads.route("/<name>", methods=["HEAD"])
    def offset(name: str) -> tuple[str, int, dict[str, str]]:
        path = find(name)
        sizes = {"Upload-Offset": str(path.stat().st_size), "Upload-Length": str(length(path))}
        return "", 200, {**sizes, "Cache-Control": "no-store"}

    @uploads.patch("/<name>")
    def append(name: str) -> tuple[str, int, dict[str, str]]:
        path = find(name)
        if request.mimetype != PART_TYPE:
            abort(415)
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                abort(423)  # another request appends
            if request.headers.get("Upload-Offset") != str(file.tell()):
                abort(409)
            rest = length(path) - file.tell()
            file.writelines(body_pieces(rest))  # keeps what arrives before a cut
            size = file.tell()
        if rest and size == length(path):
            finished(path)
        return "", 204, {"Upload-Offset": str(size)}

    @uploads.after_request
    def add_version(response: Response) -> Response:
        response.headers["Tus-Resumable"] = "1.0.0"
        return response

    return uploads
