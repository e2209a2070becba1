"""Measure which clients can tell a download that was cut from one that is complete.

``python -m docs.measurements.clients`` ends responses in every way, lets each client read them,
and writes ``results/clients.csv``. No app takes part: what arrives is what a server, a proxy or
a network can leave behind.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from platform import python_version
from queue import Empty, Queue
from socket import SO_LINGER, SOL_SOCKET
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import requests
import urllib3

from docs.measurements.processes import NotStartedError, end
from docs.measurements.recorder import RESET
from docs.measurements.results import RESULTS, write

CLIENTS_CSV = RESULTS / "clients.csv"

PATIENCE = 10  # seconds that a client may wait
BROWSING = 120  # seconds that the browser may take for all it is asked
UNREAD = 0.2  # seconds in which a client reads what has come, before the connection ends
AT_ONCE = 6  # how many clients ask side by side; each mostly waits

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
    def bytes(self) -> bytes:
        """All that is sent."""
        head = f"HTTP/{self.version} 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        return f"{head}{self.headers}\r\n".encode() + self.sent


def chunk(piece: bytes, announced: int = 0) -> bytes:
    """Return a chunk of a chunked body; it can announce more than it has."""
    return b"%x\r\n%s\r\n" % (announced or len(piece), piece)


def gzip_begun() -> bytes:
    """Return the first piece of a compressed body, without the end."""
    gzip = zlib.compressobj(wbits=31)
    return gzip.compress(PIECES[0]) + gzip.flush(zlib.Z_SYNC_FLUSH)


CHUNKED = "Transfer-Encoding: chunked\r\n"
TRAILED = f"{CHUNKED}Trailer: X-Error\r\n"
LENGTH = f"Content-Length: {len(BODY)}\r\n"
GZIP = "Content-Encoding: gzip\r\n"
FIRST = chunk(PIECES[0])
LAST = b"0\r\n"
HALF = chunk(PIECES[1][: ROWS // 2 * len(b"a row...\n")], len(PIECES[1])).removesuffix(b"\r\n")
ALL = b"".join(map(chunk, PIECES))
ERROR = f"X-Error: {TRAILER}\r\n\r\n".encode()

ENDINGS = [
    Ending("chunked, complete", CHUNKED, ALL + LAST + b"\r\n"),
    Ending("chunked, cut after a chunk", CHUNKED, FIRST),
    Ending("chunked, cut inside a chunk", CHUNKED, FIRST + HALF),
    Ending("chunked, reset", CHUNKED, FIRST, reset=True),
    Ending("chunked, ended with an error trailer", TRAILED, FIRST + LAST + ERROR),
    Ending("length, complete", LENGTH, BODY),
    Ending("length, cut", LENGTH, PIECES[0]),
    Ending("length, reset", LENGTH, PIECES[0], reset=True),
    Ending("close, complete", "", BODY),
    Ending("close, cut", "", PIECES[0]),
    Ending("close, reset", "", PIECES[0], reset=True),
    Ending("HTTP/1.0 close, complete", "", BODY, version="1.0"),
    Ending("HTTP/1.0 close, cut", "", PIECES[0], version="1.0"),
    Ending("close, gzip, cut", GZIP, gzip_begun()),
]


@dataclass
class Taken:
    """What a client took from a response.

    :param body: what it handed over.
    :param error: the error that it reported, if it did.
    :param length: the Content-Length that it shows.
    :param headers: all other text that it shows of the response, beside the body.
    """

    body: bytes = b""
    error: str = ""
    length: str | None = None
    headers: str = ""


class EndingServer(ThreadingHTTPServer):
    """A server that sends each of :data:`ENDINGS`, at ``/`` and its number."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EndingHandler)
        self.posted: Queue[bytes] = Queue()
        self.address = f"http://127.0.0.1:{self.server_port}"


class EndingHandler(BaseHTTPRequestHandler):
    """What answers a request."""

    server: EndingServer

    def do_GET(self) -> None:
        """Send a response, and end it its way."""
        place = self.path.strip("/")
        if place == "page":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE)
        elif place.isdecimal():
            ending = ENDINGS[int(place)]
            self.wfile.write(ending.bytes)
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


def show(response: object, taken: Taken) -> None:
    """Keep what the response of a library shows of its head and its trailers."""
    headers = getattr(response, "headers", {})
    taken.length = headers.get("Content-Length")
    taken.headers = f"{headers} {getattr(response, 'trailers', '')}"


def requests_get(url: str, taken: Taken) -> None:
    """Read all at once."""
    response = requests.get(url, timeout=PATIENCE)
    taken.body = response.content
    show(response, taken)


def requests_content(url: str, taken: Taken) -> None:
    """Read as it comes."""
    with requests.get(url, stream=True, timeout=PATIENCE) as response:
        for data in response.iter_content(None):
            taken.body += data
        show(response, taken)


def requests_lines(url: str, taken: Taken) -> None:
    """Read line by line."""
    with requests.get(url, stream=True, timeout=PATIENCE) as response:
        for line in response.iter_lines():
            taken.body += line + b"\n"
        show(response, taken)


def requests_raw(url: str, taken: Taken) -> None:
    """Copy what is below requests into a file."""
    file = BytesIO()
    with requests.get(url, stream=True, timeout=PATIENCE) as response:
        try:
            shutil.copyfileobj(response.raw, file)
        finally:
            taken.body = file.getvalue()
        show(response, taken)


def httpx_get(url: str, taken: Taken) -> None:
    """Read all at once."""
    response = httpx.get(url, timeout=PATIENCE)
    taken.body = response.content
    show(response, taken)


def httpx_stream(url: str, taken: Taken) -> None:
    """Read as it comes."""
    with httpx.stream("GET", url, timeout=PATIENCE) as response:
        for data in response.iter_bytes():
            taken.body += data
        show(response, taken)


def urllib3_request(url: str, taken: Taken) -> None:
    """Read all at once."""
    response = urllib3.request("GET", url, timeout=PATIENCE)
    taken.body = response.data
    show(response, taken)


def urllib3_stream(url: str, taken: Taken) -> None:
    """Read as it comes."""
    response = urllib3.request("GET", url, preload_content=False, timeout=PATIENCE)
    for data in response.stream():
        taken.body += data
    show(response, taken)


@contextmanager
def http_client(url: str) -> Iterator[HTTPResponse]:
    """Ask with the standard library's client."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
        connection.request("GET", parts.path)
        yield connection.getresponse()


def http_client_read(url: str, taken: Taken) -> None:
    """Read all at once."""
    with http_client(url) as response:
        taken.body = response.read()
        show(response, taken)


def http_client_pieces(url: str, taken: Taken) -> None:
    """Read so many bytes at a time, as any loop over a file does."""
    with http_client(url) as response:
        while data := response.read(4096):
            taken.body += data
        show(response, taken)


def urlopen_read(url: str, taken: Taken) -> None:
    """Read all at once."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        taken.body = response.read()
        show(response, taken)


def urlopen_lines(url: str, taken: Taken) -> None:
    """Read line by line."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        for line in response:
            taken.body += line
        show(response, taken)


def urlretrieve(url: str, taken: Taken) -> None:
    """Copy into a file."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "file")
        try:
            _, headers = urllib.request.urlretrieve(url, file)
        finally:
            taken.body = file.read_bytes() if file.exists() else b""
        taken.length, taken.headers = headers["Content-Length"], str(headers)


def curl(url: str, taken: Taken) -> None:
    """Download into a file."""
    run("curl -s -o file -D headers", url, taken)


def curl_compressed(url: str, taken: Taken) -> None:
    """Download into a file, and undo the compression."""
    run("curl --compressed -s -o file -D headers", url, taken)


def wget(url: str, taken: Taken) -> None:
    """Download into a file, in one attempt."""
    run("wget --tries=1 -q -O file", url, taken)


def run(command: str, url: str, taken: Taken) -> None:
    """Run a program that downloads into ``file``, and may write the head into ``headers``."""
    with TemporaryDirectory() as folder:
        done = subprocess.run([*command.split(), url], cwd=folder, timeout=PATIENCE)
        file, head = Path(folder, "file"), Path(folder, "headers")
        taken.error = f"exit status {done.returncode}" if done.returncode else ""
        taken.body = file.read_bytes() if file.exists() else b""
        taken.headers = head.read_text("latin-1") if head.exists() else ""
    length = re.search(r"Content-Length: (\d+)", taken.headers, re.IGNORECASE)
    taken.length = length[1] if length else None


class Client(NamedTuple):
    """A way to download.

    :param name: what the guide calls it.
    :param call: what a reader would write.
    :param read: does it, and raises what the client raises.
    :param program: the program that it takes, if it takes one.
    :param package: or the package.
    """

    name: str
    call: str
    read: Callable[[str, Taken], None]
    program: str = ""
    package: str = ""


CLIENTS = [
    Client("curl", "curl -o FILE", curl, program="curl"),
    Client("curl --compressed", "curl --compressed -o FILE", curl_compressed, program="curl"),
    Client("wget", "wget --tries=1 -O FILE", wget, program="wget"),
    Client("requests, content", "get().content", requests_get, package="requests"),
    Client(
        "requests, iter_content",
        "get(stream=True).iter_content(None)",
        requests_content,
        package="requests",
    ),
    Client(
        "requests, iter_lines",
        "get(stream=True).iter_lines()",
        requests_lines,
        package="requests",
    ),
    Client(
        "requests, raw",
        "copyfileobj(get(stream=True).raw, FILE)",
        requests_raw,
        package="requests",
    ),
    Client("httpx, content", "get().content", httpx_get, package="httpx"),
    Client("httpx, iter_bytes", 'stream("GET").iter_bytes()', httpx_stream, package="httpx"),
    Client("urllib3, data", 'request("GET").data', urllib3_request, package="urllib3"),
    Client(
        "urllib3, stream",
        'request("GET", preload_content=False).stream()',
        urllib3_stream,
        package="urllib3",
    ),
    Client("http.client, read()", "getresponse().read()", http_client_read),
    Client("http.client, read(size)", "getresponse().read(4096)", http_client_pieces),
    Client("urllib.request, read()", "urlopen().read()", urlopen_read),
    Client("urllib.request, lines", "for line in urlopen()", urlopen_lines),
    Client("urllib.request, urlretrieve", "urlretrieve(URL, FILE)", urlretrieve),
]

#: What the libraries raise.
ERRORS = (
    requests.RequestException,
    httpx.HTTPError,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
)


def read_all(client: Client, address: str) -> list[Taken]:
    """Return what a client takes from each ending.

    :raises NotStartedError: when its program is not installed.
    """
    if client.program and not shutil.which(client.program):
        raise NotStartedError(f"{client.program} is not installed")
    results = []
    for number in range(len(ENDINGS)):
        taken = Taken()
        try:
            client.read(f"{address}/{number}", taken)
        except ERRORS as error:
            taken.error = type(error).__name__
        results.append(taken)
    return results


#: What a page does in a browser: read every ending each way, and report.
PAGE = b"""<!doctype html>
<script>
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const ways = {
  async "fetch().text()"(url, taken) {
    const response = await fetch(url);
    taken.length = response.headers.get("Content-Length");
    taken.body = await response.text();
  },
  async "fetch() and a reader"(url, taken) {
    const response = await fetch(url);
    taken.length = response.headers.get("Content-Length");
    for await (const text of response.body.pipeThrough(new TextDecoderStream()))
      taken.body += text;
  },
  async "a page"(url, taken) {
    const frame = document.createElement("iframe");
    const loaded = new Promise((done) => frame.onload = () => done(""));
    frame.src = url;
    document.body.append(frame);
    taken.error = await Promise.race([loaded, pause(2000).then(() => "no load event")]);
    taken.body = frame.contentDocument.body.innerText;
  },
  async "a download"(url) {
    const link = document.createElement("a");
    link.href = url;
    link.download = url;
    document.body.append(link);
    link.click();
    await pause(500);
  },
};
async function attempt(read, url) {
  const taken = {body: "", error: "", length: null};
  try {
    await read(url, taken);
  } catch (error) {
    taken.error = `${error.name}: ${error.message}`;
  }
  return taken;
}
async function main() {
  const found = {};
  for (const [way, read] of Object.entries(ways)) {
    found[way] = [];
    for (let number = 0; number < COUNT; number++)
      found[way].push(await attempt(read, `${number}`));
  }
  await pause(3000);
  await fetch("outcomes", {method: "POST", body: JSON.stringify(found)});
}
onload = main;
</script>
""".replace(b"COUNT", str(len(ENDINGS)).encode())

#: The ways in which the page reads, and how a reader would write them.
BROWSER_WAYS = {
    "fetch().text()": "await (await fetch(URL)).text()",
    "fetch() and a reader": "for await (const chunk of (await fetch(URL)).body)",
    "a page": "<iframe src=URL>",
    "a download": "<a href=URL download>",
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
            way: [Taken(each["body"].encode(), each["error"], each["length"]) for each in taken]
            for way, taken in found.items()
        }
        for number, taken in enumerate(results["a download"]):
            file = downloads / f"{number}.txt"
            taken.body = file.read_bytes() if file.exists() else b""
            taken.error = "" if file.exists() else "no file"
    return results


Row = dict[str, str]


def cells(results: Sequence[Taken]) -> Row:
    """Return what a client took from each ending, and what a check of its own would tell it.

    How many bytes a page shows of what was cut varies from run to run; nothing else does.
    """
    row: Row = {}
    believed: list[str] = []
    by_length: list[str] = []
    by_line: list[str] = []
    for ending, taken in zip(ENDINGS, results, strict=True):
        verdict = f"error {taken.error}" if taken.error else "complete"
        row[ending.name] = f"{verdict}, {len(taken.body)} bytes"
        if ending.cut and not taken.error:
            believed.append(ending.name)
            if taken.length and int(taken.length) != len(taken.body):
                by_length.append(ending.name)
            if not taken.body.endswith(LAST_LINE):
                by_line.append(ending.name)
    trailer = any(TRAILER in taken.headers for taken in results)
    return row | {
        "takes for complete": "; ".join(believed),
        "of these Content-Length tells": "; ".join(by_length),
        "of these the last line tells": "; ".join(by_line),
        "trailers": "shown" if trailer else "not shown",
    }


def made_of(program: str, package: str = "") -> str:
    """Return the version of a program, if one is named and installed, or of a package."""
    if package:
        return f"{package} {version(package)}"
    if not program or not shutil.which(program):
        return ""
    printed = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"\d+\.\d+[\w.]*", printed)
    return f"{program} {found[0] if found else 'of no version'}"


def row(name: str, call: str, take: Callable[[], Sequence[Taken]], versions: str) -> Row:
    """Return what is recorded of a client.

    :param name: of the client.
    :param call: what a reader would write.
    :param take: returns what it took from each ending.
    :param versions: what it is made of.
    """
    row = {"client": name, "call": call}
    try:
        row |= cells(take()) | {"versions": versions}
    except NotStartedError as error:
        row["not measured"] = str(error)
    return row | {"python": python_version(), "date": date.today().isoformat()}


def measure() -> Iterator[Row]:
    """Yield a row for each client."""
    with serve() as server, ThreadPoolExecutor(AT_ONCE) as pool:
        reading = [pool.submit(read_all, client, server.address) for client in CLIENTS]
        for client, taken in zip(CLIENTS, reading, strict=True):
            versions = made_of(client.program, client.package)
            yield row(client.name, client.call, taken.result, versions)
        browsing = pool.submit(browse, server)
        for way, call in BROWSER_WAYS.items():
            take = partial(lambda way: browsing.result()[way], way)
            yield row(f"Chromium, {way}", call, take, made_of(BROWSER))


def main() -> None:
    """Measure all clients, and write their rows."""
    os.environ["no_proxy"] = "127.0.0.1"  # what is asked here stays on this machine
    rows = list(measure())
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write(CLIENTS_CSV, [columns, *([row.get(name, "") for name in columns] for row in rows)])


if __name__ == "__main__":
    main()
