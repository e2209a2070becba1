"""Show the output of a command while it runs, and end the command when the client disconnects."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flask import Flask, Response, abort, render_template, request

from examples.kit.command import Commands, Events, Form, Page, PlainText

#: A program that prints a line every half second.
BOARD = """
import time
for flight in ("UA 1545", "UA 1714", "AA 1141", "B6 725"):
    print(f"\\x1b[32m{flight}\\x1b[0m boards")
    time.sleep(0.5)
"""

app = Flask(__name__)

#: What may run, by name. A user may replace ``None``, and no other argument. The environment
#: variable ``FLASK_COMMANDS`` sets it as JSON, ``FLASK_AT_ONCE`` how many commands may run in a
#: process, ``FLASK_SECONDS`` how long, and ``FLASK_SILENCE`` the seconds between two heartbeats.
app.config.from_mapping(
    COMMANDS={
        "board": [sys.executable, "-c", BOARD],
        "search": ["grep", "-rnI", "--color=always", "--fixed-strings", "--", None, "kit"],
    },
    AT_ONCE=4,
    SECONDS=60,
    SILENCE=15,
)
app.config.from_prefixed_env()

commands = Commands(*(app.config[name] for name in ("AT_ONCE", "SECONDS", "SILENCE")))

FORMS: dict[str, Callable[[], Form]] = {
    "text": PlainText,
    "events": Events,
    "page": partial(Page, "Output"),
}


@app.before_request
def refuse_other_sites() -> None:
    """Let only pages of this site start a command: another page can send a form too."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        abort(403)


@app.get("/")
def page() -> str:
    """Show a form for each command."""
    return render_template("command.html", commands=app.config["COMMANDS"])


@app.post("/commands/<name>")
def run(name: str) -> Response:
    """Run a command, and stream its output as text, or with ``?as=events`` or ``?as=page``."""
    allowed = app.config["COMMANDS"].get(name) or abort(404)
    form = FORMS.get(request.args.get("as", "text")) or abort(400, "as is text, events or page")
    word = request.form.get("word", "")
    if None in allowed and not (0 < len(word) <= 100 and word.isprintable()):
        abort(400, "a word has 1 to 100 printable characters")
    arguments = [word if each is None else each for each in allowed]
    return commands.response(arguments, form(), folder=str(Path(__file__).parent))
