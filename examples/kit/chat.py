"""Read the messages of a chat, and stream the answer of a language model as events."""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from flask import Request, Response
from werkzeug.exceptions import (
    BadGateway,
    BadRequest,
    GatewayTimeout,
    HTTPException,
    TooManyRequests,
)

from .closing import close
from .sse import HEADERS, HEARTBEAT, event

logger = logging.getLogger(__name__)

#: The roles that OpenAI-compatible servers know, without those of tools.
ROLES = ("system", "user", "assistant")


def read_messages(
    request: Request,
    *,
    size: int = 256 * 1024,
    count: int = 100,
    length: int = 20_000,
    roles: Sequence[str] = ROLES,
) -> list[dict[str, str]]:
    """Return the messages of a request, in the form that OpenAI-compatible servers read.

    A message has a ``role``, and a text as ``content`` or in ``parts``, which the AI SDK sends.
    Parts without text are left out, and so are earlier messages without text.

    >>> from flask import Flask, request
    >>> app = Flask(__name__)
    >>> def read(*messages):
    ...     with app.test_request_context(method="POST", json={"messages": messages}):
    ...         return read_messages(request)
    >>> read({"role": "user", "content": "When does UA 1545 leave?"})
    [{'role': 'user', 'content': 'When does UA 1545 leave?'}]
    >>> read({"role": "user", "parts": [{"type": "step"}, {"type": "text", "text": "At 5:17."}]})
    [{'role': 'user', 'content': 'At 5:17.'}]
    >>> read()
    Traceback (most recent call last):
    werkzeug.exceptions.BadRequest: 400 Bad Request: messages is a list of 1 to 100 messages

    :param request: the request, with ``{"messages": [...]}`` as JSON.
    :param size: the largest number of bytes of the request.
    :param count: the largest number of messages.
    :param length: the largest number of characters in a message.
    :param roles: who may have written a message.
    :raises werkzeug.exceptions.HTTPException: 400 for a body of another form, 413 for a body that
        is too long, 415 for another content type.
    """
    request.max_content_length = size
    try:
        body = request.get_json()
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply") from None
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not 1 <= len(messages) <= count:
        raise BadRequest(f"messages is a list of 1 to {count} messages")
    read = [read_message(message, length, roles) for message in messages]
    if not read[-1]["content"]:
        raise BadRequest("the last message has no text")
    return [message for message in read if message["content"]]


def read_message(message: Any, length: int, roles: Sequence[str]) -> dict[str, str]:
    """Return the role and the text of a message.

    :raises werkzeug.exceptions.BadRequest: for a message of another form.
    """
    if not isinstance(message, dict) or message.get("role") not in roles:
        raise BadRequest(f"a message has one of the roles {', '.join(roles)}")
    content = message.get("content", message.get("parts"))
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    if not all(isinstance(part, dict) for part in parts):
        raise BadRequest("a part of a message is an object")
    texts = [part.get("text") for part in parts if part.get("type") == "text"]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest("the content of a message is text")
    text = "".join(map(str, texts))
    if len(text) > length:
        raise BadRequest(f"a message has at most {length} characters")
    if re.search("[\ud800-\udfff]", text):  # half of a pair, which UTF-8 cannot encode
        raise BadRequest("the content of a message is Unicode text")
    return {"role": message["role"], "content": text}


class ModelError(Exception):
    """The model did not answer, or not to its end.

    :param message: what the client may read.
    :param code: the status that the model sent in its stream.
    """

    def __init__(self, message: str, code: object = None) -> None:
        super().__init__(message)
        self.message, self.code = message, code


async def chunk_texts(chunks: AsyncIterator[Any]) -> AsyncIterator[str | dict[str, Any]]:
    """Yield the texts of a stream of ``openai``, and last its usage, if it has one.

    :param chunks: what ``chat.completions.create(stream=True)`` of ``AsyncOpenAI`` returned.
    :raises ModelError: when the stream ends before the answer.
    """
    finished, usage = False, None
    async for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            yield getattr(choice.delta, "content", None) or ""
            finished = finished or bool(choice.finish_reason)
    if not finished:
        raise ModelError("the answer of the model has no end")
    if usage:
        yield usage.model_dump(exclude_none=True)


class ChatEvents:
    r"""Format an answer as events: its pieces of text, then its end or an error.

    >>> chat = ChatEvents()
    >>> chat.begin() + chat.text("At 5:17.") + chat.end({"total_tokens": 9})
    b'data: {"text": "At 5:17."}\n\nevent: end\ndata: {"usage": {"total_tokens": 9}}\n\n'
    >>> chat.error("the model sent no end", None)
    b'event: error\ndata: {"message": "the model sent no end", "upstream_status": null}\n\n'
    """

    #: The headers of the response.
    headers = HEADERS

    def begin(self) -> bytes:
        """Return what opens the stream."""
        return b""

    def text(self, text: str) -> bytes:
        """Return a piece of the text."""
        return event(json.dumps({"text": text}))

    def end(self, usage: Any) -> bytes:
        """Return the end of a whole answer.

        :param usage: the numbers of tokens that the model counted, or ``None``.
        """
        return event(json.dumps({"usage": usage}), event="end")

    def error(self, message: str, status: int | None) -> bytes:
        """Return the end of an answer that is not whole.

        :param message: what went wrong, for the reader.
        :param status: the status of the model, if it refused.
        """
        return event(json.dumps({"message": message, "upstream_status": status}), event="error")


class UIMessageStream(ChatEvents):
    r"""Format an answer as the `UI message stream`__ of the AI SDK, which ``useChat`` reads.

    __ https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol

    >>> ui = UIMessageStream()
    >>> ui.text("At 5:17.")
    b'data: {"type": "text-delta", "id": "0", "delta": "At 5:17."}\n\n'
    >>> ui.error("the model sent no end", None)
    b'data: {"type": "error", "errorText": "the model sent no end"}\n\ndata: [DONE]\n\n'
    """

    headers = HEADERS | {"x-vercel-ai-ui-message-stream": "v1"}

    def begin(self) -> bytes:
        """Return what opens the message, and its one text."""
        return self.parts({"type": "start"}, {"type": "text-start", "id": "0"})

    def text(self, text: str) -> bytes:
        """Return a piece of the text."""
        return self.parts({"type": "text-delta", "id": "0", "delta": text})

    def end(self, usage: Any) -> bytes:
        """Return the end of a whole message, with its usage as metadata."""
        finish = {"type": "finish", "messageMetadata": {"usage": usage}}
        return self.parts({"type": "text-end", "id": "0"}, finish) + event("[DONE]")

    def error(self, message: str, status: int | None) -> bytes:  # noqa: ARG002  # no place for it
        """Return the end of a message that is not whole."""
        return self.parts({"type": "error", "errorText": message}) + event("[DONE]")

    def parts(self, *parts: dict[str, Any]) -> bytes:
        """Return parts of the stream, each as an event."""
        return b"".join(event(json.dumps(part)) for part in parts)


def chat_response(
    answer: Iterator[str | dict[str, Any]],
    form: ChatEvents | None = None,
    *,
    beats: int = 2,
) -> Response:
    r"""Stream an answer, with heartbeats while the model is silent.

    The first item decides the status. After some heartbeats without an item the stream begins,
    and a later refusal is an event in it.

    >>> def answer():
    ...     yield "At "
    ...     yield ""
    ...     yield "5:17."
    ...     raise ModelError("the model failed")
    >>> for chunk in chat_response(answer()).response:
    ...     chunk
    b':\n'
    b'data: {"text": "At "}\n\n'
    b':\n'
    b'data: {"text": "5:17."}\n\n'
    b'event: error\ndata: {"message": "the model failed", "upstream_status": null}\n\n'

    :param answer: a generator of texts, such as :func:`~examples.kit.from_async.from_async`
        returns. An empty text is a heartbeat, and a dictionary is the usage.
    :param form: the format, :class:`ChatEvents` by default.
    :param beats: for how many heartbeats the response waits for the first item.
    :raises werkzeug.exceptions.HTTPException: 429, with its ``Retry-After``, when the model
        responds so, 504 for a timeout, and 502 for every other error of the model.
    """
    form = form or ChatEvents()
    try:
        first = next((item for item in islice(answer, beats) if item), "")
    except Exception as error:
        log(error)
        raise refusal(error) from None
    response = Response(events(chain([first], answer), form), mimetype="text/event-stream")
    response.headers.update(form.headers)
    response.call_on_close(partial(close, answer))
    return response


def events(answer: Iterator[str | dict[str, Any]], form: ChatEvents) -> Iterator[bytes]:
    """Yield the events of an answer."""
    usage = None
    yield HEARTBEAT + form.begin()
    try:
        for item in answer:
            if isinstance(item, dict):
                usage = item
            else:
                yield form.text(item) if item else HEARTBEAT
    except Exception as error:
        log(error)
        yield form.error(message(error), status(error))
    else:
        yield form.end(usage)


def status(error: Exception) -> int | None:
    """Return the status with which a model refused, by an error of HTTPX 2 or ``openai``."""
    response = getattr(error, "response", None)
    code = getattr(response, "status_code", getattr(error, "code", None))
    return code if isinstance(code, int) else None


def of_a_library(error: Exception) -> bool:
    """Tell whether a library raised an error, whose text may quote your key."""
    return type(error).__module__.partition(".")[0] in ("httpx2", "openai")


def message(error: Exception) -> str:
    """Return what the client may read."""
    return error.message if isinstance(error, ModelError) else "the answer failed"


def refusal(error: Exception) -> HTTPException:
    """Return the error response for a model that refused, before the first byte."""
    if status(error) == 429:
        headers = getattr(getattr(error, "response", None), "headers", {})
        seconds = re.fullmatch("[0-9]{1,6}", headers.get("Retry-After", ""))
        return TooManyRequests(retry_after=int(seconds[0]) if seconds else None)
    timeout = "Timeout" in type(error).__name__  # in HTTPX 2 and openai
    return GatewayTimeout() if timeout else BadGateway(message(error))


def log(error: Exception) -> None:
    """Log an error: of your own code with its trace, of a library without its text."""
    trace = None if of_a_library(error) or isinstance(error, ModelError) else error
    logger.error(
        "the answer failed: %s, status %s", type(error).__name__, status(error), exc_info=trace
    )
