"""Serve all examples on one address, behind a page that links to each."""

from types import ModuleType

from flask import Flask, render_template
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from examples import (
    archive,
    command,
    compressed,
    events,
    files,
    frames,
    greeting,
    json_lines,
    large_csv,
    large_page,
    orders,
    progress,
    relay,
    tokens,
    upload,
)

#: Each example, and a path that shows it at work.
EXAMPLES = {
    large_csv: "large.csv?for=spreadsheet",
    json_lines: "flights.jsonl?end=marker",
    archive: "flights.zip",
    compressed: "words",
    files: "files/january.csv",
    large_page: "my-large-page.html",
    greeting: "stream?name=Ada",
    events: "",
    relay: "relay/large.csv?for=spreadsheet",
    tokens: "",
    orders: "orders.csv?since=2026-01-07T22:00Z&for=spreadsheet",
    command: "",
    upload: "",
    progress: "",
    frames: "",
}

app = Flask(__name__)


def name_of(module: ModuleType) -> str:
    """Return the name of an example, which is also its place in the demo.

    >>> name_of(greeting)
    'greeting'
    """
    return module.__name__.rpartition(".")[2]


@app.get("/")
def index() -> str:
    """Link to every example, with the first line of its documentation."""
    links = [
        (f"{name_of(module)}/{path}", str(module.__doc__).partition("\n")[0])
        for module, path in EXAMPLES.items()
    ]
    return render_template("demo.html", links=links)


app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]  # how Flask documents it
    app.wsgi_app, {f"/{name_of(module)}": module.app for module in EXAMPLES}
)
