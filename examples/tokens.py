"""Answer a chat with the tokens of a language model, and stop the model when the client stops."""

import json
from collections.abc import Iterator
from threading import Lock, Thread
from typing import Any

import click
import httpx2
from flask import Flask, Response, render_template, request
from werkzeug.serving import make_server, run_simple

from examples import upstream
from examples.kit.background import in_background
from examples.kit.chat import (
    ChatEvents,
    ModelError,
    UIMessageStream,
    chat_response,
    read_messages,
)
from examples.kit.query import flag
from examples.kit.relay import Connection

app = Flask(__name__)
app.config.update(UPSTREAM_URL="", UPSTREAM_KEY="", UPSTREAM_MODEL="local")
app.config.from_prefixed_env()

#: Seconds of silence before a heartbeat. The second one after a Stop fails, and stops the model.
BEAT = 0.4

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


class Answer:
    """An answer of the upstream, which a thread reads.

    :param messages: the chat, as :func:`~examples.kit.chat.read_messages` returns it.
    """

    def __init__(self, messages: list[dict[str, str]]) -> None:
        self.messages = messages
        #: The connection to the upstream, which a Stop ends.
        self.connection = Connection()

    def texts(self) -> Iterator[str | dict[str, Any]]:
        """Yield each text, and last the usage.

        A refusal of the upstream and a failed connection raise the errors of HTTPX 2.

        :raises ModelError: for an error in the stream, and for a stream without its end.
        """
        usage, url = None, base_url()
        encrypted = url.startswith("https:")  # otherwise HTTP_PROXY gets the key
        with (
            httpx2.Client(verify=CERTIFICATES, timeout=TIMEOUT, trust_env=encrypted) as client,
            client.sse(f"{url}/chat/completions", **self.request()) as events,
        ):
            events.response.raise_for_status()
            for event in events:
                if not event.data:  # such as a retry field alone
                    continue
                if event.data.strip() == "[DONE]":
                    if isinstance(usage, dict):
                        yield usage
                    return
                chunk = json.loads(event.data)
                if error := chunk.get("error"):
                    raise ModelError("the model failed", error.get("code"))
                usage = chunk.get("usage") or usage
                deltas = [choice.get("delta") or {} for choice in chunk.get("choices") or []]
                yield "".join(delta.get("content") or "" for delta in deltas)
        raise ModelError("the answer of the model has no end")

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
    answer = Answer(read_messages(request))
    texts = in_background(answer.texts(), beat=str, seconds=BEAT, cancel=answer.connection.end)
    return chat_response(texts, form)
