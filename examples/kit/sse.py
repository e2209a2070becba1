"""Format server-sent events (SSE), so that no text can forge an event."""

import re

#: What ends a line in a stream of events. ``str.splitlines`` also splits at other characters.
LINE_END = re.compile(r"\r\n|\r|\n")

#: A comment, which every ``EventSource`` ignores. Send it while a stream is silent. Then the server
#: detects that a client has disconnected, and a proxy does not end the response.
HEARTBEAT = b":\n"

#: Headers of a stream of events: caches do not store it, and nginx does not buffer it.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event(data: str, **fields: str | int) -> bytes:
    r"""Return an event for an ``EventSource``, by the `HTML standard`__.

    __ https://html.spec.whatwg.org/multipage/server-sent-events.html

    :param data: its text. Each line becomes a ``data`` field, and the browser joins them.
    :param fields: its ``event``, ``id`` and ``retry`` (in milliseconds).
    :raises ValueError: for a field of another name, for CR, LF or NUL in a field, and for
        half of a surrogate pair, which UTF-8 cannot encode.

    >>> event("UA 1545\nboards", event="EWR", id=7)
    b'event: EWR\nid: 7\ndata: UA 1545\ndata: boards\n\n'
    >>> event("boards", id="7\ndata: cancelled")
    Traceback (most recent call last):
    ValueError: no field of an event: 'id': '7\ndata: cancelled'
    """
    for name, value in fields.items():
        if name not in ("event", "id", "retry") or re.search(r"[\r\n\0]", str(value)):
            raise ValueError(f"no field of an event: {name!r}: {value!r}")
    lines = [f"{name}: {value}\n" for name, value in fields.items()]
    lines += [f"data: {line}\n" for line in LINE_END.split(data)]
    return ("".join(lines) + "\n").encode()
