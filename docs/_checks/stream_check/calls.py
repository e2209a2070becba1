"""Call ``stream_check`` from a program: with a full disk, with a caller or an app that fails."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from docs._checks.stream_check.answers import wire
from docs._checks.stream_check.server import serving
from examples.stream_check.client import check
from examples.stream_check.command import main
from examples.stream_check.request import FORM, PLAIN, Options
from examples.stream_check.wsgi import check_app

PAGE = wire({})
CUT = wire({"size": 299, "length": 300})


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, text: str) -> int:  # noqa: ARG002 -- as its base has it
        """Write nothing."""
        raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self) -> int:
        """Return a file that nobody needs."""
        return os.open(os.devnull, os.O_WRONLY)


def refusing() -> Callable[[str], object]:
    """Return what fails at the first line about a piece, and then no more, as a log may."""
    failed: list[str] = []

    def refuse(line: str) -> None:
        if not failed and ("part" in line or "item" in line):
            failed.append(line)
            raise OSError(errno.EIO, "the caller's disk")

    return refuse


def printed(output: io.StringIO, *options: str) -> str:
    """Run the command against a server, and return its exit status."""
    with serving(PAGE, []) as port, redirect_stdout(output), redirect_stderr(io.StringIO()):
        return f"exit {main([f'http://127.0.0.1:{port}/', *options])}"


def shown(answer: bytes, show: Callable[[str], object]) -> str:
    """Ask a server, and return how its response ended."""
    with serving(answer, []) as port:
        return check(f"http://127.0.0.1:{port}/", PLAIN, show).ending


def asked(options: Options) -> str:
    """Ask where nobody need listen, and return how that ended."""
    return check("http://127.0.0.1/", options).ending


def called(
    name: str, show: Callable[[str], object] = str, options: Options = PLAIN, path: str = "/"
) -> str:
    """Call an app of this module, and return how it ended, why, and what to do next."""
    seen = check_app(f"{__name__}:{name}", path, options, show)
    return " ".join([seen.ending, seen.reason, *seen.next])


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[Any]:
    """Answer as an app does, or break the rules of :pep:`3333` as the path says."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] == "/never":
        return []
    if environ["PATH_INFO"] == "/moved":
        start_response("302 Found", [("Location", "/here")])
        return [b""]
    write = start_response("200 OK", [])
    if environ["PATH_INFO"] == "/text":
        return ["text"]
    if environ["PATH_INFO"] == "/late":
        write(b"text")
        start_response("500 Oh", [], (ValueError, ValueError("too late"), None))
    if body and (environ["CONTENT_TYPE"], environ.get("HTTP_ACCEPT")) != (FORM, "text/csv"):
        raise ValueError("this is not what was sent")
    return [body or environ["REQUEST_METHOD"].encode()]


SENT = Options(method="POST", data=b"a=1", headers=(("Accept", "text/csv"),))
SENT_AS_CSV = SENT._replace(headers=(("Content-Type", "text/csv"),))


def create_app(fails: bool = False) -> Callable[..., Iterator[bytes]]:
    """Return an app, as a factory does, which may fail at its second item."""

    def made(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        yield from app(environ, start_response)
        if fails:
            raise OSError(errno.EIO, "the app's disk")

    return made


#: A call, the words that it must return or raise, and the call.
Call = tuple[str, str, Callable[[], str]]


def call(what: str, expected: str, function: Callable[[], str]) -> Call:
    """Return a call whose errors are words."""

    def find() -> str:
        try:
            return function()
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    return what, expected, find


SMUGGLED = Options(headers=(("A", "b\r\nX: y"),))
SMUGGLED_METHOD = Options(method="GET\r\nX: y")
DISK = "OSError: [Errno 5] the caller's disk"

#: The calls, by the fault that they belong to; every second one is the opposite of the one before.
CALLS = {
    "secrets, and what a request must not carry": [
        call(
            "CR LF in a program's header", "'A: b\\r\\nX: y' is no header", lambda: asked(SMUGGLED)
        ),
        call(
            "CR LF in a program's method",
            "'GET\\r\\nX: y' is no method",
            lambda: asked(SMUGGLED_METHOD),
        ),
    ],
    "crashes": [
        call("a full disk", "exit 2", lambda: printed(Full())),
        call("a disk with room", "exit 1", lambda: printed(io.StringIO())),
        call("a full disk for JSON", "exit 2", lambda: printed(Full(), "--report-json")),
        call("JSON on a disk with room", "exit 1", lambda: printed(io.StringIO(), "--report-json")),
        call("show raises", DISK, lambda: shown(PAGE, refusing())),
        call("show does not", "complete", lambda: shown(PAGE, str)),
        call("show raises, of an app", DISK, lambda: called("app", refusing())),
        call("the app raises", "the app raised", lambda: called("create_app(True)")),
        call("a server that says nothing", "no answer", lambda: shown(b"", refusing())),
        call("a server that stops", "cut short", lambda: shown(CUT, str)),
    ],
    "what it could not ask": [
        call("module:create_app()", "complete", lambda: called("create_app()")),
        call("an app that fails", "the app raised", lambda: called("create_app(True)")),
        call("an app, and data", "complete", lambda: called("app", str, SENT)),
        call(
            "an app, and data of another type",
            "the app raised ValueError: this is not",
            lambda: called("app", str, SENT_AS_CSV),
        ),
        call(
            "an app that moved",
            "complete the app gave its last item It is a redirect: ask for /here",
            lambda: called("app", str, PLAIN, "/moved"),
        ),
        call(
            "an app that never starts",
            "the app raised RuntimeError: start_response was not called Nothing was sent",
            lambda: called("app", str, PLAIN, "/never"),
        ),
        call(
            "an app of text",
            "the app raised TypeError: an item is str, not bytes",
            lambda: called("app", str, PLAIN, "/text"),
        ),
        call(
            "an app that starts again",
            "the app raised ValueError: too late The status has left",
            lambda: called("app", str, PLAIN, "/late"),
        ),
        call("module:app", "complete", lambda: called("app")),
        call("module:app()", "ValueError", lambda: called("app()")),
    ],
}
