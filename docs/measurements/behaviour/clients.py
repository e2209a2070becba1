"""Measure which clients can tell a download that was cut from one that is complete.

``nox -s measure -- clients`` ends responses in every way, lets each client of
``clients.toml`` read them, and writes ``results/recorded/clients.csv``; with names it asks only
those. No app takes part: what arrives is what a server, a proxy or a network can leave behind.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from queue import Empty, Queue
from socket import SO_LINGER, SOL_SOCKET
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import NamedTuple, NotRequired, TypedDict, cast

from docs.measurements.lab.processes import NotStartedError, end
from docs.measurements.lab.recorder import RESET
from docs.measurements.lab.results import RECORDED, update, write

CLIENTS_CSV = RECORDED / "clients.csv"
CLIENTS_TOML = Path(__file__).with_suffix(".toml")
CLIENTS_HTML = Path(__file__).with_suffix(".html")

PATIENCE = 120  # seconds that a program may take for all that it is asked
HANGS = 40  # seconds after which a command counts as one that does not end
INSTALLING = 600  # seconds that npm and pip may take
BROWSING = 120  # seconds that the browser may take for all it is asked
UNREAD = 0.2  # seconds in which a client reads what has come, before the connection ends
AT_ONCE = 4  # how many programs run side by side; each mostly waits

#: What is seen of a cut that a client does not report.
_, NO_END = SILENT = "no load event", "no end"

#: The pieces of every body: two of as many rows, and a last line that counts them.
ROWS = 1000
LAST_LINE = b"%d rows\n" % (2 * ROWS)
PIECES = (b"a row...\n" * ROWS, b"a row...\n" * ROWS, LAST_LINE)
BODY = b"".join(PIECES)
TRAILER = "stopped on purpose"


class Ending(NamedTuple):
    """A response that ends in some way.

    :param name: of its framing and its ending.
    :param headers: what tells where it ends.
    :param sent: the bytes of its body, with their framing.
    :param reset: whether the connection is reset in the end.
    :param version: of HTTP.
    """

    name: str
    headers: str
    sent: bytes
    reset: bool = False
    version: str = "1.1"

    @property
    def cut(self) -> bool:
        """Whether less was sent than belongs to it."""
        return not self.name.endswith("complete")

    @property
    def kept(self) -> bool:
        """Whether the connection is open for the next request afterwards."""
        return not (self.cut or CLOSE in self.headers)

    @property
    def bytes(self) -> bytes:
        """All that is sent."""
        head = f"HTTP/{self.version} 200 OK\r\nContent-Type: text/plain\r\n"
        return f"{head}{self.headers}\r\n".encode() + self.sent


def chunk(piece: bytes, announced: int = 0) -> bytes:
    """Return a chunk of a chunked body; it can announce more than it has."""
    return b"%x\r\n%s\r\n" % (announced or len(piece), piece)


def gzip_begun() -> bytes:
    """Return the first piece of a compressed body, without the end."""
    gzip = zlib.compressobj(wbits=31)
    return gzip.compress(PIECES[0]) + gzip.flush(zlib.Z_SYNC_FLUSH)


CLOSE = "Connection: close\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
TRAILED = f"{CHUNKED}Trailer: X-Error\r\n"
LENGTH = f"Content-Length: {len(BODY)}\r\n"
GZIP = "Content-Encoding: gzip\r\n"
FIRST = chunk(PIECES[0])
LAST = b"0\r\n"
HALF = chunk(PIECES[1][: ROWS // 2 * len(b"a row...\n")], len(PIECES[1])).removesuffix(b"\r\n")
ALL = b"".join(map(chunk, PIECES))
ERROR = f"X-Error: {TRAILER}\r\n\r\n".encode()

#: The endings that a server can announce with ``Connection: close``, or not.
FRAMED = [
    Ending("chunked, complete", CHUNKED, ALL + LAST + b"\r\n"),
    Ending("chunked, cut after a chunk", CHUNKED, FIRST),
    Ending("chunked, cut inside a chunk", CHUNKED, FIRST + HALF),
    Ending("length, complete", LENGTH, BODY),
    Ending("length, cut", LENGTH, PIECES[0]),
]
ENDINGS = [
    *FRAMED,
    *(
        Ending(f"Connection: close, {name}", CLOSE + headers, sent)
        for name, headers, sent, *_ in FRAMED
    ),
    Ending("chunked, reset", CHUNKED, FIRST, reset=True),
    Ending("chunked, ended with an error trailer", TRAILED, FIRST + LAST + ERROR),
    Ending("length, reset", LENGTH, PIECES[0], reset=True),
    Ending("close, complete", CLOSE, BODY),
    Ending("close, cut", CLOSE, PIECES[0]),
    Ending("close, reset", CLOSE, PIECES[0], reset=True),
    Ending("HTTP/1.0 close, complete", CLOSE, BODY, version="1.0"),
    Ending("HTTP/1.0 close, cut", CLOSE, PIECES[0], version="1.0"),
    Ending("close, gzip, cut", CLOSE + GZIP, gzip_begun()),
]


@dataclass
class Taken:
    """What a client took from a response.

    :param body: what it handed over.
    :param error: the error that it reported, if it did.
    :param headers: all that it wrote of the response beside the body.
    """

    body: bytes = b""
    error: str = ""
    headers: str = ""


def page() -> bytes:
    """Return the page that reads every ending in a browser, and reports."""
    return CLIENTS_HTML.read_bytes().replace(b"COUNT", b"%d" % len(ENDINGS))


class EndingServer(ThreadingHTTPServer):
    """A server that sends each of :data:`ENDINGS`, at ``/`` and its number."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EndingHandler)
        self.posted: Queue[bytes] = Queue()
        self.address = f"http://127.0.0.1:{self.server_port}"


class EndingHandler(BaseHTTPRequestHandler):
    """What answers a request."""

    server: EndingServer
    protocol_version = "HTTP/1.1"
    timeout = 2  # seconds that a connection may be idle after a whole response

    def do_GET(self) -> None:
        """Send a response, and end it its way."""
        place = self.path.strip("/")
        if place == "page":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + page())
            self.close_connection = True
        elif place.isdecimal():
            ending = ENDINGS[int(place)]
            self.wfile.write(ending.bytes)
            if ending.kept:
                return
            self.close_connection = True
            time.sleep(UNREAD)
            if ending.reset:
                self.connection.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
                self.connection.close()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Take what the page found out."""
        self.server.posted.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve() -> Iterator[EndingServer]:
    """Serve all endings until the block ends."""
    with EndingServer() as server:
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        yield server
        server.shutdown()


#: What a client took from each ending, and the versions that took part.
Answers = tuple[list[Taken], str]

#: How packages are installed that are used here alone: into the folder of this measurement.
MANAGERS = {
    "npm": ["npm", "install", "--no-audit", "--no-fund"],
    "pip": [sys.executable, "-m", "pip", "install", "--target", "packages"],
}
#: What those say that could not.
Missing = dict[str, str]


class Language(TypedDict):
    """A table of ``clients.toml``: a language, or a program, and the calls that download in it."""

    calls: dict[str, str]
    command: NotRequired[str]
    program: NotRequired[str]
    like: NotRequired[str]
    debian: NotRequired[str]
    npm: NotRequired[str]
    pip: NotRequired[str]


def languages(names: Sequence[str] = ()) -> dict[str, Language]:
    """Return what is called, and how, by the names of the languages.

    :param names: of the only clients to call, if there are any.
    """
    tables = cast("dict[str, Language]", tomllib.loads(CLIENTS_TOML.read_text("utf-8")))
    for table in tables.values():
        if "like" in table:
            table["program"] = tables[table["like"]]["program"]
        if names:
            table["calls"] = {
                name: table["calls"][name] for name in names if name in table["calls"]
            }
    return {language: table for language, table in tables.items() if table["calls"]}


def fill(text: str, **values: object) -> str:
    """Put values in the places of a text that have their names."""
    for name, value in values.items():
        for line in re.findall(rf"(?m)^([ \t]+){name}$", text):
            text = text.replace(f"{line}{name}", indent(str(value).strip(), line))
        text = re.sub(rf"\b{name}\b", str(value).replace("\\", r"\\"), text)
    return text


def start(command: str, folder: Path, limit: float) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder.

    :param limit: seconds that it may take.
    :raises NotStartedError: when it is not installed.
    :raises subprocess.TimeoutExpired: when it does not end in time.
    """
    paths = f"{folder.parent / 'node_modules/.bin'}{os.pathsep}{os.environ['PATH']}"
    program, *arguments = shlex.split(command)
    found = shutil.which(program, path=paths) or shutil.which(folder / program)
    if not found:
        raise NotStartedError(f"{program} is not installed")
    return subprocess.run(
        [found, *arguments],
        cwd=folder,
        env=os.environ | {"PATH": paths},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit,
    )


def made_of(program: str, package: str = "") -> str:
    """Return the version of a program, if one is named and installed, or of a package."""
    if package:
        return f"{package} {version(package)}"
    if not program or not shutil.which(program):
        return ""
    command = [program] if program == "busybox" else [program, "--version"]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"\d+\.\d+[\w.]*", printed)
    return f"{program} {found[0] if found else 'of no version'}"


def text_of(file: Path) -> str:
    """Return what a client wrote into a file, if it did."""
    return file.read_text("utf-8", "replace").strip() if file.exists() else ""


def take(language: Language, name: str, address: str, folder: Path, missing: Missing) -> Answers:
    """Return what a client takes from each ending, and the versions that took part.

    :raises NotStartedError: when it is not installed, or does not run.
    """
    for manager in language.keys() & missing.keys():
        raise NotStartedError(missing[manager])
    call = language["calls"][name]
    folder.mkdir()
    if "program" in language:
        program = fill(
            language["program"],
            CALL=call,
            ADDRESS=address,
            COUNT=len(ENDINGS),
            PACKAGE=name.partition(",")[0],
        )
        command = language["command"]
        (folder / command.split()[-1]).write_text(program, "utf-8")
        done = start(command, folder, PATIENCE)
        if done.returncode:
            raise NotStartedError(" ".join(done.stderr.split()[-40:]))
        versions = " ".join(done.stdout.split())
    else:
        versions = made_of(call.split()[0])
        for number in range(len(ENDINGS)):
            files = {"FILE": f"{number}.body", "HEAD": f"{number}.head"}
            command = fill(call, URL=f"{address}/{number}", **files)
            try:
                status = start(command, folder, HANGS).returncode
            except subprocess.TimeoutExpired:
                (folder / f"{number}.error").write_text(NO_END)
            else:
                if status:
                    (folder / f"{number}.error").write_text(f"exit status {status}")
    results = []
    for number in range(len(ENDINGS)):
        body = folder / f"{number}.body"
        results.append(
            Taken(
                body.read_bytes() if body.exists() else b"",
                re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text_of(folder / f"{number}.error")),
                text_of(folder / f"{number}.head"),
            )
        )
    return results, versions


#: The ways in which ``clients.html`` reads, and how a reader would write them.
BROWSER_WAYS = {
    "Chromium, fetch().text()": "await (await fetch(URL)).text()",
    "Chromium, fetch() and a reader": "for await (const chunk of (await fetch(URL)).body)",
    "Chromium, a page": "<iframe src=URL>",
    "Chromium, a download": "<a href=URL download>",
}
BROWSER = "chromium"
BROWSER_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-background-networking"
)


def browse(server: EndingServer) -> dict[str, list[Taken]]:
    """Return what a browser takes from each ending, for each of its ways.

    :raises NotStartedError: when it is not installed, or does not report in time.
    """
    if not shutil.which(BROWSER):
        raise NotStartedError(f"{BROWSER} is not installed")
    with TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as name:
        downloads, profile = Path(name, "downloads"), Path(name, "Default")
        downloads.mkdir()
        profile.mkdir()
        preferences = {
            "download": {"default_directory": str(downloads), "prompt_for_download": False},
            "profile": {"default_content_setting_values": {"automatic_downloads": 1}},
        }
        (profile / "Preferences").write_text(json.dumps(preferences), "utf-8")
        process = subprocess.Popen(
            [
                BROWSER,
                *BROWSER_OPTIONS.split(),
                f"--user-data-dir={name}",
                f"{server.address}/page",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            found = json.loads(server.posted.get(timeout=BROWSING))
        except Empty:
            raise NotStartedError(f"no report after {BROWSING} s") from None
        finally:
            end(process)
        results = {
            f"Chromium, {way}": [Taken(each["body"].encode(), each["error"]) for each in taken]
            for way, taken in found.items()
        }
        for number, taken in enumerate(results["Chromium, a download"]):
            file = downloads / f"{number}.txt"
            taken.body = file.read_bytes() if file.exists() else b""
            taken.error = "" if file.exists() else "no file"
    return results


def browsed(browsing: Future[dict[str, list[Taken]]], way: str) -> Answers:
    """Return what the browser took in one of its ways, and its version.

    :raises NotStartedError: when it is not installed, or does not report in time.
    """
    return browsing.result()[way], made_of(BROWSER)


Row = dict[str, str]


def cells(results: Sequence[Taken]) -> Row:
    """Return what a client took from each ending.

    What it reports is kept of the first cut that it notices: its words vary with its version.
    """
    row: Row = {}
    believed: list[str] = []
    for ending, taken in zip(ENDINGS, results, strict=True):
        error = taken.error if taken.error in SILENT else "error"
        row[ending.name] = error if taken.error else f"complete, {len(taken.body)} bytes"
        if ending.cut and not taken.error:
            believed.append(ending.name)
    reported = [taken.error for taken in results if taken.error and taken.error not in SILENT]
    trailer = any(TRAILER in taken.headers for taken in results)
    return row | {
        "takes for complete": "; ".join(believed),
        "reports": reported[0].splitlines()[0] if reported else "",
        "trailers": "shown" if trailer else "not shown",
    }


def row(names: Row, take: Callable[[], Answers], comes_with: str) -> Row:
    """Return what is recorded of a client.

    :param names: of the client and its language, and the call that a reader would write.
    :param take: returns what it took from each ending, and the versions that took part.
    :param comes_with: what to install where it is missing.
    """
    row = names
    try:
        results, versions = take()
        row |= cells(results) | {"versions": versions}
    except (NotStartedError, subprocess.TimeoutExpired) as error:
        row["not measured"] = f"{error} (it comes with {comes_with})"
    return row | {"date": date.today().isoformat()}


def install(tables: dict[str, Language], folder: Path) -> Missing:
    """Install what npm and pip bring in a folder, and return which of them could not, and why."""
    missing = {}
    for manager, command in MANAGERS.items():
        packages = " ".join(str(table.get(manager, "")) for table in tables.values()).split()
        if not packages:
            continue
        if not shutil.which(command[0]):
            missing[manager] = f"{manager} is not installed"
            continue
        done = subprocess.run(
            [*command, *packages], cwd=folder, capture_output=True, text=True, timeout=INSTALLING
        )
        if done.returncode:
            missing[manager] = f"{manager}: {' '.join(done.stderr.split()[-40:])}"
    return missing


def measure(names: Sequence[str], folder: Path) -> Iterator[Row]:
    """Yield a row for each client.

    :param names: of the only clients to call, if there are any.
    :param folder: where each has a folder of its own, and npm and pip their packages.
    """
    tables = languages(names)
    ways = {way: call for way, call in BROWSER_WAYS.items() if not names or way in names}
    missing = install(tables, folder)
    with serve() as server, ThreadPoolExecutor(AT_ONCE) as pool:
        browsing = pool.submit(browse, server) if ways else Future()
        asked: list[tuple[Row, Callable[[], Answers], str]] = []
        for language, table in tables.items():
            for name, call in table["calls"].items():
                place = folder / str(len(asked))
                answers = pool.submit(take, table, name, server.address, place, missing)
                named = {"language": table.get("like", language), "client": name}
                comes_with = table.get("debian") or table.get("npm") or table.get("pip") or "pip"
                asked.append((named | {"call": call.strip()}, answers.result, comes_with))
        for each in asked:
            yield row(*each)
        for way, call in ways.items():
            named = {"language": "Chromium", "client": way, "call": call}
            yield row(named, partial(browsed, browsing, way), BROWSER)


def main(names: Sequence[str]) -> None:
    """Measure some clients, or all, and write their rows."""
    os.environ["no_proxy"] = "127.0.0.1"  # what is asked here stays on this machine
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with TemporaryDirectory(prefix="clients-") as folder:
        rows = list(measure(names, Path(folder)))
    if names:
        order = [[name] for table in languages().values() for name in table["calls"]]
        order += [[way] for way in BROWSER_WAYS]
        for row in rows:
            update(CLIENTS_CSV, row, key=["client"], order=order)
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write(CLIENTS_CSV, [columns, *([row.get(name, "") for name in columns] for row in rows)])


if __name__ == "__main__":
    main(sys.argv[1:])
