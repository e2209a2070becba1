"""Show the progress of long work, which one process does for all web processes."""

import sys
import time
from collections.abc import Generator
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import mean

import click
from flask import Flask, Response, abort, render_template, request, url_for
from huey import SqliteHuey

from examples.kit.consumer import consume, start
from examples.kit.jobs import Jobs
from examples.rows import iter_all_rows

app = Flask(__name__)

#: Environment variables set them: ``FLASK_PROGRESS_FOLDER`` is for the queue, the states and the
#: lock. ``PAUSE`` is seconds that a row takes, ``MOST`` how many jobs may wait, ``SILENCE`` the
#: seconds between two heartbeats, and ``IDLE`` the seconds without a job after which the consumer
#: ends. With ``START=false`` the app starts no consumer: run ``flask consumer`` as a service.
app.config.from_mapping(
    MAX_CONTENT_LENGTH=200,  # bytes of a request: a job is a number
    PROGRESS_FOLDER=str(Path(__file__).parent.parent / ".progress"),
    PROGRESS_PAUSE=0.05,
    PROGRESS_MOST=20,
    PROGRESS_SILENCE=15,
    PROGRESS_IDLE=60,
    PROGRESS_START=True,
)
app.config.from_prefixed_env()

FOLDER = Path(app.config["PROGRESS_FOLDER"]).resolve()
LOCK = FOLDER / "consumer.lock"
QUEUE = SqliteHuey(
    "progress", results=False, create_tables=False, filename=str(FOLDER / "queue.sqlite")
)


@cache
def jobs() -> Jobs:
    """Return the jobs, and create their folder, which only this user may read."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    QUEUE.storage.initialize_schema()
    return Jobs(
        FOLDER / "jobs.sqlite",
        most=app.config["PROGRESS_MOST"],
        silence=app.config["PROGRESS_SILENCE"],
        wake=start_consumer,
    )


def start_consumer() -> None:
    """Start the consumer, unless it runs."""
    if app.config["PROGRESS_START"]:
        start([sys.executable, "-m", "flask", "--app", __name__, "consumer"], LOCK)


@app.cli.command("consumer")
@click.option("--idle", default=app.config["PROGRESS_IDLE"], show_default=True, type=float)
def consumer_command(idle: float) -> None:
    """Run the jobs, until SIGTERM or so many seconds without a job."""
    if not consume(QUEUE, jobs(), LOCK, idle=idle):
        click.echo("Another process runs the jobs.")


@QUEUE.task()  # type: ignore[untyped-decorator]  # huey has no types
def measure(job_id: str, rows: int) -> None:
    """Run a job. The queue calls it in the consumer."""
    jobs().run(job_id, measure_delays(rows))


def measure_delays(rows: int) -> Generator[tuple[int, int], None, dict[str, float]]:
    """Yield how many flights were read, and return the mean delay of each airport, in minutes.

    :param rows: how many flights to read.
    """
    delays: dict[str, list[int]] = {}
    for done, flight in enumerate(islice(iter_all_rows(), rows), 1):
        if isinstance(flight.delay, int):
            delays.setdefault(flight.origin, []).append(flight.delay)
        time.sleep(app.config["PROGRESS_PAUSE"])  # work that takes longer than this
        yield done, rows
    return {airport: round(mean(each), 1) for airport, each in sorted(delays.items())}


@app.post("/jobs")
def add() -> Response:
    """Add a job, such as ``{"rows": 200}``, and answer 202 with its address."""
    body = request.get_json()
    rows = body.get("rows") if isinstance(body, dict) else None
    if type(rows) is not int or not 1 <= rows <= 10_000:
        abort(400, 'send {"rows": 1} to {"rows": 10000}')
    job = jobs().add(measure, rows, key=request.headers.get("Idempotency-Key"))
    response = Response(job.text(), 202, mimetype="application/json")
    response.location = url_for("page", job_id=job.id)
    return response


@app.get("/jobs/<job_id>/events")
def events(job_id: str) -> Response:
    """Send the state of a job, and each change of it."""
    return jobs().response(job_id)


@app.delete("/jobs/<job_id>")
def cancel(job_id: str) -> Response:
    """Cancel a job: 204 when it is cancelled, 202 when it runs, and 409 when it has ended."""
    return Response(status=204 if jobs().cancel(job_id).ended else 202)


@app.get("/")
@app.get("/jobs/<job_id>")
def page(job_id: str | None = None) -> str:
    """Show the button that starts a job, and the bar of a job."""
    return render_template("progress.html", job=jobs().get(job_id) if job_id else None)
