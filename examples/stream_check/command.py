"""Read the command line, ask, and print what was seen."""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Optional

from .client import check
from .report import conclude
from .request import Options, basic
from .response import HEADER
from .wsgi import check_app


def read_header(text: str) -> tuple[str, str]:
    """Split a header into its name and its value.

    >>> read_header("Accept: text/event-stream")
    ('Accept', 'text/event-stream')

    :raises argparse.ArgumentTypeError: when it is none, or would be more than one.
    """
    found = HEADER.fullmatch(text.encode("utf-8", "surrogateescape"))
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no header such as 'Name: value'")
    return found[1].decode(), found[2].decode("utf-8", "surrogateescape").strip(" \t")


def read_seconds(text: str) -> float:
    """Return a number of seconds.

    :raises argparse.ArgumentTypeError: when it is none that can be waited.
    """
    with suppress(ValueError):
        if 0 < float(text) < 1e6:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def read_rate(text: str) -> float:
    """Return bytes a second, which may be given as ``10k`` or ``1M``.

    :raises argparse.ArgumentTypeError: when it is no such number.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?)([kKmMgG]?)", text)
    rate = float(found[1]) * 1024 ** " kmg".index(found[2].lower() or " ") if found else 0.0
    if not rate:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes a second such as 10k")
    return rate


def read_resolve(text: str) -> str:
    """Return where to connect instead, as ``host:port:address``.

    :raises argparse.ArgumentTypeError: when it is no such thing.
    """
    if not re.fullmatch(r"[^:]+:[0-9]+:[^,]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT:ADDRESS")
    return text


def read_data(values: Sequence[str]) -> bytes:
    """Return the body of a request: the texts, or the files named after ``@``, joined by ``&``.

    :raises ValueError: when a file cannot be read.
    """
    parts = []
    for value in values:
        try:
            part = Path(value[1:]).read_bytes() if value.startswith("@") else value.encode()
        except OSError as error:
            raise ValueError(f"cannot read the file of -d: {error}") from error
        parts.append(re.sub(b"[\r\n\0]", b"", part) if value.startswith("@") else part)
    return b"&".join(parts)


def say(line: str) -> None:
    """Print a line at once; what a terminal would not show or would obey is escaped."""
    print(re.sub("[^ -~]", lambda it: it[0].encode("unicode_escape").decode(), line), flush=True)


def command_line() -> argparse.ArgumentParser:
    """Return what reads the command line. Where curl has an option, it has the same name."""
    parser = argparse.ArgumentParser(
        prog="stream_check",
        description="Tell whether a response streams.",
        epilog="Exit status: 0 when it streamed and ended cleanly, 1 when not, 2 when it could"
        " not ask or print.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("url", help="an address of http or https; with --app, a path")
    add("--app", metavar="MODULE:APP", help="call this WSGI app, or MODULE:create_app()")
    add("--abort-after", type=int, default=0, metavar="N", help="leave after N chunks")
    add("--pause", type=read_seconds, default=0.0, metavar="SECONDS", help="stop reading so long")
    add("--report-json", action="store_true", help="print one JSON object and nothing else")
    add("-X", "--request", metavar="METHOD", help="ask with this method")
    add("-I", "--head", action="store_true", help="ask with HEAD")
    add("-0", "--http1.0", action="store_true", dest="old", help="ask with HTTP/1.0")
    add("--http2", "--http3", action="store_true", help="is refused: it speaks HTTP/1")
    add("-H", "--header", type=read_header, action="append", default=[], help="'Name: value'")
    add("-d", "--data", action="append", metavar="DATA", help="send it with POST; @FILE is a file")
    add("-u", "--user", metavar="USER:PASSWORD", help="sign in")
    add("--compressed", action="store_true", help="accept gzip, as browsers do")
    add("-m", "--max-time", type=read_seconds, default=30.0, metavar="SECONDS", help="30 if unset")
    add("--limit-rate", type=read_rate, default=0.0, metavar="BYTES", help="read so many a second")
    add("-k", "--insecure", action="store_true", help="accept any certificate")
    add("--resolve", type=read_resolve, action="append", default=[], metavar="HOST:PORT:ADDRESS")
    add("--unix-socket", default="", metavar="PATH", help="connect to this socket")
    add("-x", "--proxy", default="", metavar="URL", help="ask through this proxy")
    return parser


def options_of(given: argparse.Namespace) -> Options:
    """Return how the command line says to ask.

    :raises ValueError: when it cannot be done.
    """
    if given.http2:
        raise ValueError("it speaks HTTP/1 alone: look at HTTP/2 and 3 with curl -N")
    network = [given.insecure, given.resolve, given.unix_socket, given.proxy]
    if given.app and any([*network, given.limit_rate, given.pause]):
        raise ValueError("with --app there is no connection to set")
    data = read_data(given.data) if given.data else None
    method = "HEAD" if given.head else "GET" if data is None else "POST"
    headers = [*given.header, *[("Accept-Encoding", "gzip")] * given.compressed]
    if given.user:
        headers.append(("Authorization", basic(given.user)))
    return Options(
        given.request or method,
        "1.0" if given.old else "1.1",
        tuple(headers),
        given.abort_after,
        given.max_time,
        data,
        given.insecure,
        tuple(given.resolve),
        given.unix_socket,
        given.proxy,
        given.limit_rate,
        given.pause,
    )


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Check what the command line says.

    :returns: 0 when it streamed and ended cleanly; 2 when what it prints cannot be written;
        otherwise 1.
    :raises SystemExit: with 2 when the command line cannot be read.
    """
    parser = command_line()
    given = parser.parse_args(arguments)
    show = str if given.report_json else say
    try:
        options = options_of(given)
        if given.app:
            report = check_app(given.app, given.url, options, show)
        else:
            report = check(given.url, options, show)
        lines = json.dumps(asdict(report), indent=2).splitlines()
        for line in lines if given.report_json else conclude(report):
            say(line)
    except ValueError as error:
        parser.error(str(error))
    except (OSError, KeyboardInterrupt) as error:  # nobody reads what this prints any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, (BrokenPipeError, KeyboardInterrupt)):
            return 1
        print(f"stream_check: error: cannot print: {error}", file=sys.stderr)
        return 2
    return 0 if report.ok else 1
