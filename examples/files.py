"""Send the files of a folder, so that a client can resume a download.

``FLASK_FILES_FOLDER`` names the folder. Without it, the app creates a folder with one file.
"""

import gzip
from functools import cache
from pathlib import Path
from secrets import token_hex

from flask import Flask, Response

from examples.kit.ranges import file_response
from examples.rows import HERE, JANUARY

app = Flask(__name__)
app.config["FILES_FOLDER"] = None
app.config.from_prefixed_env()


@cache
def example_folder() -> Path:
    """Return a folder with the file ``january.csv``, and create both where they are missing."""
    folder = HERE.parent / ".files"
    file, part = folder / "january.csv", folder / f".{token_hex(8)}"
    if not file.exists():
        folder.mkdir(exist_ok=True)
        part.write_bytes(gzip.decompress(JANUARY.read_bytes()))
        part.replace(file)
    return folder


@app.get("/files/<name>")
def file(name: str) -> Response:
    """Send a file of the folder, whole or a range of it."""
    return file_response(app.config["FILES_FOLDER"] or example_folder(), name)
