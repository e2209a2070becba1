"""Read the messages of a chat, and format the answer as a stream of events."""

import json
import re
from typing import Any

from werkzeug.exceptions import BadRequest

from .sse import HEADERS, event

#: Who may have written a message.
ROLES = ("system", "user", "assistant")


def read_messages(body: Any, count: int = 100, length: int = 20_000) -> list[dict[str, str]]:
    """Return the messages of a chat, in the form that OpenAI-compatible servers read.

    A message has a ``role``, and a text as ``content`` or in ``parts``, which the AI SDK sends.
    Parts without text are left out, and so are earlier messages without text.

    >>> read_messages({"messages": [{"role": "user", "content": "When does UA 1545 leave?"}]})
    [{'role': 'user', 'content': 'When does UA 1545 leave?'}]
    >>> parts = [{"type": "step-start"}, {"type": "text", "text": "At 5:17."}]
    >>> read_messages({"messages": [{"role": "user", "parts": parts}]})
    [{'role': 'user', 'content': 'At 5:17.'}]
    >>> read_messages({"messages": []})
    Traceback (most recent call last):
    werkzeug.exceptions.BadRequest: 400 Bad Request: messages is a list of 1 to 100 messages

    :param body: the JSON of the request.
    :param count: the largest number of messages.
    :param length: the largest number of characters in a message.
    :raises werkzeug.exceptions.BadRequest: for a body of another form.
    """
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not 1 <= len(messages) <= count:
        raise BadRequest(f"messages is a list of 1 to {count} messages")
    read = [read_message(message, length) for message in messages]
    if not read[-1]["content"]:
        raise BadRequest("the last message has no text")
    return [message for message in read if message["content"]]


def read_message(message: Any, length: int) -> dict[str, str]:
    """Return the role and the text of a message.

    :raises werkzeug.exceptions.BadRequest: for a message of another form.
    """
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise BadRequest(f"a message has one of the roles {', '.join(ROLES)}")
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

        :param usage: the numbers of tokens that the upstream counted, or ``None``.
        """
        return event(json.dumps({"usage": usage}), event="end")

    def error(self, message: str, status: int | None) -> bytes:
        """Return the end of an answer that is not whole.

        :param message: what went wrong, for the reader.
        :param status: the status of the upstream, if it refused.
        """
        return event(json.dumps({"message": message, "upstream_status": status}), event="error")


class UIMessageStream:
    r"""Format an answer as the `UI message stream`__ of the AI SDK, which ``useChat`` reads.

    __ https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol

    >>> ui = UIMessageStream()
    >>> ui.text("At 5:17.")
    b'data: {"type": "text-delta", "id": "0", "delta": "At 5:17."}\n\n'
    >>> ui.error("the model sent no end", None)
    b'data: {"type": "error", "errorText": "the model sent no end"}\n\ndata: [DONE]\n\n'
    """

    #: The headers of the response.
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
