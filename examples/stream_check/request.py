"""Say what to ask and how, and make the request of it."""

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple, Optional
from urllib.parse import quote, unquote, urlsplit

from .response import HEADER

#: The type of what ``-d`` sends.
FORM = "application/x-www-form-urlencoded"


class Options(NamedTuple):
    """How to ask."""

    method: str = "GET"  #: Of the request.
    version: str = "1.1"  #: The version of HTTP: ``1.1`` or ``1.0``.
    headers: tuple[tuple[str, str], ...] = ()  #: More headers to send, or others.
    abort_after: int = 0  #: Leave after so many pieces; 0 is never.
    timeout: float = 30.0  #: The seconds that connecting, and then the exchange, may take.
    data: Optional[bytes] = None  #: The body of the request.
    insecure: bool = False  #: Accept any certificate.
    resolve: tuple[str, ...] = ()  #: ``host:port:address``: where to connect instead.
    unix_socket: str = ""  #: Connect to this path instead.
    proxy: str = ""  #: The address of a proxy, of http, to ask through.
    limit_rate: float = 0.0  #: Read no more bytes a second than these; 0 is all.
    pause: float = 0.0  #: Seconds without reading after the first bytes; they extend ``timeout``.


PLAIN = Options()


class Address(NamedTuple):
    """Where to ask, as a URL says it."""

    scheme: str  #: ``http`` or ``https``.
    host: str
    port: int
    authority: str  #: Host and port as a request names them.
    user: str  #: What stands before the host, as ``user:password``.


def without_password(text: str) -> str:
    """Return a text with an address in it without the user and password of that.

    >>> without_password("http://ada:secret@127.0.0.1/@home")
    'http://127.0.0.1/@home'
    """
    return re.sub("(//|^)[^/?#]*@", r"\1", text)


def read_url(url: str, schemes: Sequence[str] = ("http", "https")) -> Address:
    """Read where to ask.

    :raises ValueError: when the URL is none, with its password left out.
    """
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
        known = f"{schemes[-1].rstrip('s')}://127.0.0.1:5000/path"
        raise ValueError(f"{without_password(url)!r} is no URL such as {known}")
    user, _, authority = parts.netloc.rpartition("@")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    authority = authority.encode("idna").decode()
    return Address(parts.scheme, parts.hostname, port, authority, unquote(user))


def origin_form(url: str) -> str:
    """Return the path and query of a URL as a request carries them, in ASCII.

    >>> origin_form("http://127.0.0.1/vols São Paulo?q=é&r=%C3%A9#top")
    '/vols%20S%C3%A3o%20Paulo?q=%C3%A9&r=%C3%A9'
    """
    parts = urlsplit(url)
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path, parts.query))
    return f"/{path.removeprefix('/')}" + (f"?{query}" if query else "")


def basic(user: str) -> str:
    """Return the value of a header that signs in with ``user:password`` (:rfc:`7617`)."""
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def request_bytes(address: Address, path: str, options: Options) -> bytes:
    """Return a request.

    :raises ValueError: when a method or a header would be more than one.
    """
    fields = {"Host": address.authority, "Accept": "*/*", "Connection": "close"}
    if address.user:
        fields["Authorization"] = basic(address.user)
    if options.data is not None:
        fields["Content-Type"] = FORM
        fields["Content-Length"] = str(len(options.data))
    if options.proxy and address.scheme == "http":
        proxy = read_url(options.proxy, ["http"])
        path = f"http://{address.authority}{path}"
        if proxy.user:
            fields["Proxy-Authorization"] = basic(proxy.user)
    given = {name.title() for name, _ in options.headers}
    sent = [(name, value) for name, value in fields.items() if name not in given]
    lines = [f"{name}: {value}" for name, value in [*sent, *options.headers]]
    for line in lines:
        if not HEADER.fullmatch(line.encode("utf-8", "surrogateescape")):
            raise ValueError(f"{line!r} is no header such as 'Name: value'")
    if not re.fullmatch("[!#$%&'*+.^_`|~0-9A-Za-z-]+", options.method):
        raise ValueError(f"{options.method!r} is no method such as POST")
    lines.insert(0, f"{options.method} {path} HTTP/{options.version}")
    text = "\r\n".join([*lines, "", ""])
    return text.encode("utf-8", "surrogateescape") + (options.data or b"")
