"""Send events to every client of every process, from one log.

Each client receives every event, and continues after its last one when it connects again.
"""

from functools import cache
from pathlib import Path

import click
from flask import Flask, Response, abort, render_template, request

from examples.kit.event_log import Feed, open_log
from examples.kit.sse import HEADERS

app = Flask(__name__)

#: The log: ``sqlite:///PATH``, ``redis://…`` or ``postgresql://…``. The environment variable
#: ``FLASK_EVENTS_URL`` sets it, ``FLASK_EVENTS_KEPT`` how many events it keeps,
#: ``FLASK_EVENTS_SILENCE`` the seconds between two heartbeats, and ``FLASK_EVENTS_LIFETIME`` the
#: seconds after which a stream ends.
app.config.from_mapping(
    EVENTS_URL=f"sqlite:///{Path(__file__).parent.parent / '.events' / 'events.sqlite'}",
    EVENTS_KEPT=10_000,
    EVENTS_SILENCE=15,
    EVENTS_LIFETIME=600,
)
app.config.from_prefixed_env()


@cache
def open_feed(url: str, kept: int, silence: float, lifetime: float) -> Feed:
    """Return the feed of a log, the same one for all requests."""
    return Feed(open_log(url, kept), silence=silence, lifetime=lifetime)


def feed() -> Feed:
    """Return the feed of the configured log.

    :raises ValueError: for the address of something else.
    """
    names = "EVENTS_URL", "EVENTS_KEPT", "EVENTS_SILENCE", "EVENTS_LIFETIME"
    return open_feed(*(app.config[name] for name in names))


feed()  # what is wrong with the address is an error now, not at a request


def publish(data: str, event: str | None = None) -> str:
    """Send an event to all clients and return its id. Any process may call it.

    :param data: its text.
    :param event: its name, for which a client calls ``addEventListener``.
    :raises ValueError: for what cannot be sent.
    """
    return feed().log.append(data, event)


@app.cli.command("publish")
@click.argument("data", metavar="TEXT")
@click.option("--event", metavar="NAME", help="The name of the event.")
def publish_command(data: str, event: str | None) -> None:
    """Send an event to all clients, and print its id."""
    errors: tuple[type[Exception], ...] = (ValueError, *feed().log.errors)
    try:
        click.echo(publish(data, event))
    except errors as error:
        raise click.ClickException(str(error)) from error


@app.get("/events")
def events() -> Response:
    """Send the events after ``Last-Event-ID`` or ``?last=``, or all from now on.

    An ``EventSource`` sends the header when it connects again. The header is newer than its URL.
    """
    last = request.headers.get("Last-Event-ID") or request.args.get("last")
    try:
        stream = feed().listen(last)
    except ValueError as error:
        abort(400, str(error))
    return Response(stream, mimetype="text/event-stream", headers=HEADERS)


@app.get("/")
def page() -> str:
    """Show the events as they arrive."""
    return render_template("events.html")
