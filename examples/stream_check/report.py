"""Say what was seen of a response, and what to try next."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional
from urllib.parse import urljoin

from .request import Options
from .response import Framing


@dataclass
class Report:
    """What was seen of a response. Times are seconds since the request was sent."""

    asked: str  #: The method and the URL without its password, or the path and the app.
    verdict: str = ""  #: How the body came: ``streamed``, ``delayed`` ...
    proof: str = ""  #: The times that say so.
    ending: str = ""  #: How the response ended: ``complete``, ``cut short`` ...
    reason: str = ""  #: What says that it ended so.
    ok: bool = False  #: It is no error page, streamed and ended cleanly.
    http: str = ""  #: The version of HTTP of the answer.
    status: int = 0  #: The status code; 0 when no head came.
    framing: Optional[Framing] = None  #: What marks the end of the body.
    head: Optional[float] = None  #: When the head had come.
    first_byte: Optional[float] = None  #: When the first byte of the body came.
    last_byte: Optional[float] = None  #: When its last byte came.
    end: float = 0.0  #: When the response ended, or the waiting.
    size: int = 0  #: Bytes of the body, without its framing.
    unit: str = "part"  #: What ``pieces`` counts: chunks, items of an app, or what a read gave.
    pieces: int = 0  #: How many of them came whole.
    headers: dict[str, str] = field(
        default_factory=dict
    )  #: Those that say how it is sent, and by whom.
    next: list[str] = field(default_factory=list)  #: What to try next.


def amount(number: int, unit: str = "byte") -> str:
    """Return a number of things in words.

    >>> amount(1, "chunk"), amount(20)
    ('1 chunk', '20 bytes')
    """
    return f"{number} {unit}{'' if number == 1 else 's'}"


def conclude(seen: Report) -> Iterator[str]:
    """Yield the lines that sum up a report."""
    verdict = seen.ending if seen.head is None else f"{seen.verdict}, {seen.ending}"
    yield f"verdict: {verdict} ({seen.reason})"
    if seen.first_byte is not None:
        times = f"from {seen.first_byte:.3f} s to {seen.last_byte:.3f} s"
        yield f"body:    {amount(seen.pieces, seen.unit)}, {amount(seen.size)}, {times}"
    if seen.proof:
        yield f"times:   {seen.proof}"
    yield from (f"header:  {name}: {value}" for name, value in seen.headers.items())
    yield from (f"next:    {advice}" for advice in seen.next)


BEHIND = "Ask the server behind each proxy, then the app itself with --app."
FRAMED = "The server frames the body: take Transfer-Encoding and Content-Length out of the app."

#: What to try next, by a part of the reason.
BY_REASON = {
    "^TLS": "These bytes are TLS: ask with https.",
    "^HTTP/2": "This tool speaks HTTP/1: ask another port, or look with curl --http2 -N.",
    "^Transfer-Enc|^it has a|after the end|than it said": FRAMED,
    "^SSLCert": "The certificate is not trusted here, or is another's: -k asks all the same.",
    "^SSL.*alert no application": "The server wants HTTP/2, and this tool speaks HTTP/1.",
    "^SSL.*alert": "The server refuses such TLS: look at its versions and client certificates.",
    "^SSL": "This port may speak no TLS: ask with http.",
    "^gaierror": "The name has no address: check it, or give an address with --resolve.",
    "CONNECT": "The proxy of -x refused: ask without it, or with its password.",
    "without a byte": "It may want https; otherwise read the server's log, for a worker that died.",
}

#: The same, by how the response ended.
BY_ENDING = {
    "no answer": "Look whether the server runs, at this port, and whether it is http or https.",
    "malformed": "Look what listens there, and whether the app sets headers of the framing.",
    "cut short": "Read the server's log: the app raised, a worker was ended, or a proxy gave up.",
    "ended by closing": "Nothing marks the end: let the body end with an end marker.",
    "stopped at the time limit": "Leave an endless stream with --abort-after 3, or give a slow"
    " one more with -m.",
    "the app raised": "The status has left: some servers cut here, and some end the response as"
    " if it were complete.",
}

#: The same, by the status of an error page.
BY_STATUS = {
    400: "The server refuses the request: compare it with what your client sends.",
    401: "It wants to know who asks: -u USER:PASSWORD, or a cookie or token with -H.",
    403: "It refuses you: send the cookie, the token or the headers of your client with -H.",
    404: "Nothing is at this address: check the path, and the prefix that a proxy adds.",
    407: "The proxy of -x wants to know who asks: -x http://USER:PASSWORD@HOST:PORT.",
    429: "You have asked too often: wait, and ask again.",
    502: "A proxy got no valid answer: look whether the server behind it runs, and ask that.",
    503: "It is too busy, or a proxy has no server to ask: ask again, then behind the proxy.",
    504: "A proxy gave up waiting: send a first piece earlier, or raise the proxy's time limit.",
}


def advise(seen: Report, options: Options, opening: bytes) -> Iterator[str]:
    """Yield what to try next.

    :param opening: the first bytes of the body.
    """
    unanswered = [text for part, text in BY_REASON.items() if re.search(part, seen.reason)]
    if unanswered and seen.ending in ("no answer", "malformed"):
        yield unanswered[0]
    elif seen.ending == "stopped at the time limit" and seen.first_byte is None:
        yield "Ask the server behind each proxy: one that collects sends no small endless stream."
        yield "Is that silent too? Other streams hold every worker, or the first chunk is slow."
    elif seen.ending == "the app raised" and seen.head is None:
        yield "Nothing was sent yet: a server can still answer with an error page."
    elif seen.ending in BY_ENDING:
        yield BY_ENDING[seen.ending]
    if seen.ending == "ended by closing" and options.version == "1.0":
        yield "Ask with HTTP/1.1, which can mark the end."
    if seen.ending == "malformed":
        return
    if 300 <= seen.status < 400 and "Location" in seen.headers:
        yield from advise_redirected(seen)
    elif seen.status == 400 and re.search(b"(?i)https|ssl|tls", opening):
        yield "It wants TLS: ask with https."
    elif seen.status == 405:
        yield f"It wants another method: -X, with one of {seen.headers.get('Allow', 'its own')}."
    elif seen.status >= 400:
        yield BY_STATUS.get(seen.status, "It is an error page: read the server's log.")
    elif options.method == "HEAD":
        yield "HEAD has no body to watch: ask without -I."
    elif seen.verdict == "no body" and 200 <= seen.status < 300 and seen.status != 204:
        yield "It is empty: some servers end so when the app raises early. Ask the app with --app."
    elif seen.verdict == "at once":
        yield "It was too quick to tell: ask for a stream that takes a second or more."
    elif seen.verdict not in ("streamed", "read slowly", "no body"):
        yield from advise_held(seen)


def advise_redirected(seen: Report) -> Iterator[str]:
    """Yield where a redirect leads."""
    target = urljoin(seen.asked.partition(" ")[2], seen.headers["Location"])
    if seen.unit == "item":
        yield f"It is a redirect: ask for {seen.headers['Location']}"
    elif re.match("https?://", target):
        yield f"It is a redirect: ask {target}"
    else:
        yield f"It is a redirect to {target}, which this tool cannot ask."


def advise_held(seen: Report) -> Iterator[str]:
    """Yield where to look for what held a response back, or made it so."""
    if seen.verdict == "in one piece":
        yield "It came as one: let the app yield smaller pieces."
    if "Content-Encoding" in seen.headers:
        yield "Compression may buffer the response: turn it off for this content type."
    if "Content-Length" in seen.headers:
        yield "Its length was known: a view, a hook or a middleware made all of it first."
    if seen.headers.get("Server", "").startswith("nginx"):
        yield "nginx buffers: for a live stream send X-Accel-Buffering: no."
        yield "Or set proxy_buffering off, and with uwsgi_pass uwsgi_buffering off."
    if seen.unit == "item":
        yield "No server is involved: look at the view, then at hooks and middleware."
    else:
        yield BEHIND
        yield "If the app shows the same times, it made them so: let it yield earlier."
