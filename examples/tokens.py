"""Answer a chat with the tokens of a language model, and stop the model when the client stops."""

import json
import re
from collections.abc import Iterable, Iterator
from threading import Lock, Thread
from typing import Any

import click
import httpx2
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import (
    BadGateway,
    BadRequest,
    GatewayTimeout,
    HTTPException,
    TooManyRequests,
)
from werkzeug.serving import make_server, run_simple

from examples import upstream
from examples.kit.background import in_background
from examples.kit.chat import ChatEvents, UIMessageStream, read_messages
from examples.kit.query import flag
from examples.kit.relay import Connection
from examples.kit.sse import HEARTBEAT

app = Flask(__name__)
app.config.update(UPSTREAM_URL="", UPSTREAM_KEY="", UPSTREAM_MODEL="local")
app.config["MAX_CONTENT_LENGTH"] = 256 * 1024
app.config.from_prefixed_env()

#: Seconds of silence before a heartbeat. The second one after a Stop fails, and stops the model.
BEAT = 0.4

#: How many heartbeats the view waits for the status. Later, a refusal becomes an event.
BEATS = 2

#: Seconds to connect, and seconds that the model may be silent.
TIMEOUT = httpx2.Timeout(5, read=120)

#: The certificates of the system, which take 50 ms to load.
CERTIFICATES = httpx2.create_ssl_context()

starting = Lock()


def check_configuration() -> None:
    """Find a wrong configuration now, not at a request.

    :raises ValueError: for a URL that is none, and for a key that no header may contain.
    """
    url = httpx2.URL(str(app.config["UPSTREAM_URL"]))
    if str(url) and (url.scheme not in ("http", "https") or not url.host):
        raise ValueError("UPSTREAM_URL is a URL such as https://api.openai.com/v1")
    key = app.config["UPSTREAM_KEY"] = str(app.config["UPSTREAM_KEY"]).strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("UPSTREAM_KEY has a character that no header may contain")


check_configuration()


def base_url() -> str:
    """Return the URL of the upstream.

    Without a configured URL it is :mod:`examples.upstream`, which starts in this process.
    """
    with starting:
        if not app.config["UPSTREAM_URL"]:
            server = make_server("127.0.0.1", 0, upstream.app, threaded=True)
            Thread(target=server.serve_forever, daemon=True).start()
            app.config["UPSTREAM_URL"] = f"http://127.0.0.1:{server.port}/v1"
    return str(app.config["UPSTREAM_URL"]).rstrip("/")


@app.cli.command("upstream")
@click.option("--port", default=5001, show_default=True)
def run_upstream(port: int) -> None:
    """Run the local model server."""
    run_simple("127.0.0.1", port, upstream.app, threaded=True)


class UpstreamError(Exception):
    """The upstream did not answer, or not to its end.

    :param message: what the reader may see. It has no word of the upstream.
    :param status: the status of the upstream, if it refused.
    :param http: the error response before the first byte.
    """

    def __init__(
        self, message: str, status: int | None = None, http: HTTPException | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status = message, status
        self.http = http or BadGateway(message)


class Answer:
    """An answer of the upstream.

    :param messages: the chat, as :func:`~examples.kit.chat.read_messages` returns it.
    """

    def __init__(self, messages: list[dict[str, str]]) -> None:
        self.messages = messages
        #: The connection to the upstream, which a Stop ends.
        self.connection = Connection()
        #: Whether the upstream has accepted the request.
        self.accepted = False
        #: The numbers of tokens, which the upstream sends last.
        self.usage: dict[str, Any] | None = None

    def texts(self) -> Iterator[str]:
        """Yield an empty text when the upstream accepts the request, then each token.

        :raises UpstreamError: when it does not, and when the answer is not whole.
        """
        try:
            with (
                httpx2.Client(verify=CERTIFICATES, timeout=TIMEOUT) as client,
                client.sse(f"{base_url()}/chat/completions", **self.request()) as events,
            ):
                check_status(events.response)
                self.accepted = True
                yield ""
                for event in events:
                    if event.data == "[DONE]":
                        return
                    yield self.read(json.loads(event.data))
        except httpx2.TimeoutException:
            message = "the model is silent"
            raise UpstreamError(message, http=GatewayTimeout(message)) from None
        except httpx2.HTTPError:
            raise UpstreamError("the connection to the model failed") from None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise UpstreamError("the model sent no chunk of an answer") from None
        raise UpstreamError("the answer of the model has no end")

    def request(self) -> dict[str, Any]:
        """Return the request for the upstream, in the words of HTTPX 2."""
        headers = {"Accept-Encoding": "identity"}
        if key := app.config["UPSTREAM_KEY"]:
            headers["Authorization"] = f"Bearer {key}"
        question = {
            "model": app.config["UPSTREAM_MODEL"],
            "messages": self.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        extensions = {"trace": self.connection.trace}
        return {"method": "POST", "json": question, "headers": headers, "extensions": extensions}

    def read(self, chunk: dict[str, Any]) -> str:
        """Return the text of a chunk, and keep its usage.

        :raises UpstreamError: for an error of the upstream.
        """
        if error := chunk.get("error"):
            code = error.get("code") if isinstance(error, dict) else None
            raise UpstreamError("the model failed", code if isinstance(code, int) else None)
        self.usage = chunk.get("usage") or self.usage
        choices = chunk.get("choices") or []
        return "".join(choice["delta"].get("content") or "" for choice in choices)


def check_status(response: httpx2.Response) -> None:
    """Continue with a stream of events.

    :raises UpstreamError: for any other response.
    """
    status = response.status_code
    if status == 429:
        seconds = re.fullmatch("[0-9]{1,6}", response.headers.get("Retry-After", ""))
        busy = TooManyRequests(retry_after=int(seconds[0]) if seconds else None)
        raise UpstreamError("the model is busy", 429, busy)
    if status != 200:
        raise UpstreamError("the model refused the request", status)
    if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        raise UpstreamError("the model sent no stream of events")


@app.get("/")
def page() -> str:
    """Show a page to chat with the model."""
    return render_template("chat.html")


@app.post("/chat")
def chat() -> Response:
    """Stream the answer to ``{"messages": [...]}``.

    ``?format=ui`` streams it for ``useChat`` of the AI SDK.
    """
    form = UIMessageStream() if flag("format", "ui") else ChatEvents()
    try:
        body = request.get_json()
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    answer = Answer(read_messages(body))
    texts = in_background(answer.texts(), beat=str, seconds=BEAT, cancel=answer.connection.end)
    try:
        for _ in range(BEATS):
            next(texts)  # an empty text: accepted, or a heartbeat
            if answer.accepted:
                break
    except UpstreamError as error:
        app.logger.error("upstream: %s (%s)", error.message, error.status)
        raise error.http from None
    response = Response(
        events(answer, texts, form), mimetype="text/event-stream", headers=form.headers
    )
    response.call_on_close(texts.close)
    return response


def events(
    answer: Answer, texts: Iterable[str], form: ChatEvents | UIMessageStream
) -> Iterator[bytes]:
    """Yield the events of an answer.

    :param answer: the answer, whose usage is known at its end.
    :param texts: its tokens. An empty text becomes a heartbeat.
    :param form: how to format them.
    """
    yield HEARTBEAT + form.begin()
    try:
        for text in texts:
            yield form.text(text) if text else HEARTBEAT
    except UpstreamError as error:
        app.logger.error("upstream: %s (%s)", error.message, error.status)
        yield form.error(error.message, error.status)
    else:
        yield form.end(answer.usage)
