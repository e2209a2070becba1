"""Send files as a ZIP archive that is written while it is sent.

``FLASK_ARCHIVE_FOLDER`` is the folder of the files. Without it, they are the flights of January, a
CSV file for each carrier.
"""

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask, Response, abort, request

from examples.kit.archive import files_of, send_zip
from examples.rows import Flight, read_january

app = Flask(__name__)
app.config["ARCHIVE_FOLDER"] = None
app.config.from_prefixed_env()

EMBEDDED = Path(__file__).parent.parent / ".archive"


@cache
def embedded() -> Path:
    """Write a file for each carrier, and return their folder."""
    carriers = defaultdict(list)
    for row in read_january():
        carriers[row[Flight._fields.index("carrier")]].append(row)
    EMBEDDED.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=EMBEDDED, prefix=".") as part:
        for carrier, rows in carriers.items():
            path = Path(part, f"{carrier}.csv")
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([Flight._fields, *rows])
            path.replace(EMBEDDED / path.name)  # complete, also for a worker that reads it now
    return EMBEDDED


@app.get("/flights.zip")
def flights() -> Response:
    """Send all files, or the files that are chosen by ``?file=UA.csv&file=B6.csv``.

    A name that is no file of the folder is a 404 response, and a name that is given twice a 400.
    """
    found = files_of(Path(app.config["ARCHIVE_FOLDER"] or embedded()))
    chosen = request.args.getlist("file") or list(found)
    if not set(chosen) <= found.keys():
        abort(404, "there is no such file")
    if len(set(chosen)) < len(chosen):
        abort(400, "each file may be chosen once")
    return send_zip({name: found[name] for name in chosen}, "flights.zip")
