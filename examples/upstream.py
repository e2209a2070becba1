"""Answer like an OpenAI-compatible server, word by word, so that no key is needed.

The answer repeats the question. These words of a question have an effect:

- ``/wait`` is silent for two seconds, ``/silent`` until the client disconnects. At the beginning
  they delay the status too, unless ``/open`` is before them.
- ``/401``, ``/429`` or another status, if it is the first other word, refuses the request.
- ``/endless`` never ends, and ``/tool`` calls a function.
- ``/error`` sends an error in the stream, and ``/cut`` ends the stream without ``[DONE]``.
"""

import json
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import EVENT_READ, DefaultSelector
from socket import socket
from typing import Any

from flask import Flask, Response, jsonify, request

from examples.kit.sse import HEADERS, event

#: Seconds between two words.
PACE = 0.03

#: The words that are silent, and for how many seconds.
PAUSES = {"/wait": 2.0, "/silent": 600.0}

#: The parts of a function call. Its arguments are JSON text, in parts too.
CALL: list[dict[str, Any]] = [
    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "departure"}},
    {"index": 0, "function": {"arguments": '{"flight": '}},
    {"index": 0, "function": {"arguments": '"UA 1545"}'}},
]

app = Flask(__name__)

#: The newest answers: the question, how the answer ended, and when, in seconds since 1970.
answers: deque[dict[str, Any]] = deque(maxlen=1000)


class DisconnectedError(Exception):
    """The client disconnected while the server waited."""


def pause(connection: socket, seconds: float) -> None:
    """Wait, unless the client disconnects.

    :raises DisconnectedError: when it does.
    """
    with DefaultSelector() as selector:
        selector.register(connection, EVENT_READ)
        if selector.select(seconds):
            raise DisconnectedError


@contextmanager
def remembered(answer: dict[str, Any]) -> Iterator[None]:
    """Remember when an answer ended, and whether the client disconnected."""
    try:
        yield
    except DisconnectedError:
        answer["end"] = "disconnected"
    except GeneratorExit:
        answer["end"] = "disconnected"
        raise
    finally:
        answer["at"] = time.time()


@app.post("/v1/chat/completions")
def complete() -> Response:
    """Answer the last message of a chat."""
    question = request.get_json()
    words = deque(question["messages"][-1]["content"].split())
    answer = {"question": " ".join(words), "end": "", "at": 0.0}
    answers.append(answer)
    connection = request.environ["werkzeug.socket"]
    with remembered(answer):
        while words and words[0] in PAUSES:
            pause(connection, PAUSES[words.popleft()])
    if words and (status := re.fullmatch("/([345][0-9][0-9])", words[0])):
        answer["end"] = "refused"
        error = {"error": {"message": "refused, as the question asks"}}
        return Response(json.dumps(error), int(status[1]), {"Retry-After": "7"})
    events = stream(question, words, connection, answer)
    return Response(events, mimetype="text/event-stream", headers=HEADERS)


def stream(
    question: dict[str, Any], words: deque[str], connection: socket, answer: dict[str, Any]
) -> Iterator[bytes]:
    """Yield the answer as events.

    :param question: the JSON of the request.
    :param words: the words of its last message.
    :param connection: the socket of the client.
    :param answer: what is remembered of the answer.
    """
    with remembered(answer):
        sent = 0
        yield part(role="assistant", content="")
        while words:
            pause(connection, PACE)
            match words.popleft():
                case "/wait" | "/silent" as word:
                    pause(connection, PAUSES[word])
                case "/endless":
                    words.extend(["more", "/endless"])
                case "/cut":
                    answer["end"] = "cut"
                    return
                case "/error":
                    answer["end"] = "error"
                    yield event(json.dumps({"error": {"message": "overloaded", "code": 503}}))
                    return
                case "/tool":
                    for each in CALL:
                        yield part(tool_calls=[each])
                case word if not word.startswith("/"):
                    yield part(content=f"{word} ")
                    sent += 1
        yield part("stop")
        if question.get("stream_options"):
            usage = {"prompt_tokens": sent, "completion_tokens": sent, "total_tokens": 2 * sent}
            yield event(json.dumps({"choices": [], "usage": usage}))
        yield event("[DONE]")
        answer["end"] = "whole"


def part(finish: str | None = None, **delta: Any) -> bytes:
    """Return an event with a part of the answer.

    :param finish: why the answer ends here.
    :param delta: what the answer grows by.
    """
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event(json.dumps({"object": "chat.completion.chunk", "choices": [choice]}))


@app.get("/answers")
def newest() -> Response:
    """Return the newest answers as JSON."""
    return jsonify(list(answers))
