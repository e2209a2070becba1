"""Receive uploads of any size while they arrive, as files that are whole or absent."""

from contextlib import ExitStack
from pathlib import Path

from flask import Flask, abort, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from examples.kit.file_name import download_name
from examples.kit.receive import form_parts, read_rest, read_text, receive_file, whole_file

app = Flask(__name__)

#: The environment variable ``FLASK_UPLOAD_FOLDER`` sets where the files are, and
#: ``FLASK_UPLOAD_LIMIT`` the most bytes of a body.
app.config.from_mapping(
    UPLOAD_FOLDER=str(Path(__file__).parent.parent / ".uploads"), UPLOAD_LIMIT=2 * 1024**3
)
app.config.from_prefixed_env()


def place(name: str) -> Path:
    """Return where the file of a name is.

    :raises werkzeug.exceptions.HTTPException: 400 when a file cannot have this name, and 409 when
        a folder has it.
    """
    download_name(name)
    folder = Path(app.config["UPLOAD_FOLDER"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    return abort(409, "a folder has that name") if path.is_dir() else path


@app.before_request
def refuse_other_sites() -> None:
    """Let only pages of this site send a form: another page can send one too."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        abort(403)


@app.get("/")
def index() -> str:
    """Send a form that uploads a file, with a bar."""
    return render_template("upload.html")


@app.put("/files/<name>")
def put_file(name: str) -> tuple[dict[str, object], int, dict[str, str]]:
    """Receive a file. The response has its size and SHA-256."""
    path = place(name)
    status = 200 if path.exists() else 201
    received = receive_file(path, app.config["UPLOAD_LIMIT"])
    return received._asdict(), status, {"Location": url_for("put_file", name=name)}


@app.post("/forms")
def post_form() -> tuple[dict[str, object], int]:
    """Receive the fields and the files of a form, or none of its files."""
    fields, files = {}, {}
    with ExitStack() as all_or_none:
        for part, pieces in form_parts(app.config["UPLOAD_LIMIT"]):
            if part.filename is None:
                fields[part.name] = read_text(pieces)
            elif part.filename in files:
                abort(400, "two files have the same name")
            elif part.filename:  # it is empty where no file was chosen
                file = all_or_none.enter_context(whole_file(place(part.filename)))
                file.writelines(pieces)
                files[part.filename] = file.tell()
    return {"fields": fields, "files": files}, 201


@app.errorhandler(HTTPException)
def refuse(error: HTTPException) -> HTTPException:
    """Read the rest of a body that is refused, so that the client receives the status."""
    read_rest()
    return error
