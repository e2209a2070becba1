"""Export a table of any size as CSV.

Lines come from one of several sources and leave in chunks, so memory stays flat.
What fails before the first chunk is an error page, not a broken file.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from flask import Flask, Response, abort, request

from examples.kit.chunks import join_chunks, prime
from examples.kit.csv_text import Block, csv_file
from examples.kit.query import flag
from examples.rows import Flight, load_flights

app = Flask(__name__)
app.cli.add_command(load_flights)

#: The sources of lines, modules of :mod:`examples.sources`. The environment variable
#: ``FLASK_CSV_SOURCE`` names the one in use.
SOURCES = ("cursor", "arrow", "copy", "format", "cluster")
app.config["CSV_SOURCE"] = "cursor"
app.config.from_prefixed_env()


def source(name: str) -> Callable[..., Iterator[Block]]:
    """Return the function that reads the lines from a source.

    :param name: one of :data:`SOURCES`.
    :raises ValueError: when it is none of them.
    :raises ImportError: when what the source needs is not installed.
    """
    if name not in SOURCES:
        raise ValueError(f"CSV_SOURCE may be {', '.join(SOURCES)}, not {name!r}")
    blocks: Callable[..., Iterator[Block]] = import_module(f"examples.sources.{name}").blocks
    return blocks


source(app.config["CSV_SOURCE"])  # what is wrong with it is an error now, not at a request


def chosen_columns() -> Sequence[str]:
    """Return the columns that ``?columns=`` names, or all.

    A name that is no column, or stands there twice, is a 400 response, and so are two lists.
    """
    lists = request.args.getlist("columns") or [",".join(Flight._fields)]
    columns = lists[0].split(",")
    repeated = len(lists) > 1 or len(set(columns)) < len(columns)
    if repeated or not set(columns) <= set(Flight._fields):
        abort(400, f"columns may be some of {','.join(Flight._fields)}, each once")
    return columns


@app.get("/large.csv")
def generate_large_csv() -> Response:
    """Send every flight as ``flights.csv``.

    ``?columns=carrier,flight`` sends these columns alone,
    ``?for=spreadsheet`` makes the file safe to open in a spreadsheet,
    ``?end=marker`` lets a program tell a whole file from a part of it.
    """
    columns = chosen_columns()
    spreadsheet = flag("for", "spreadsheet")
    end_marker = flag("end", "marker")
    blocks = source(app.config["CSV_SOURCE"])(columns, spreadsheet=spreadsheet)
    file = csv_file(columns, blocks, spreadsheet=spreadsheet, end_marker=end_marker)
    response = Response(prime(join_chunks(file)), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename="flights.csv")
    return response
