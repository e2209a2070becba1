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
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from threading import Lock
from typing import NamedTuple

from docs.measurements.behaviour import canned
from docs.measurements.lab.measurement import Measurement
from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.results import Cells

CLIENTS_TOML = Path(__file__).with_suffix(".toml")
CLIENTS_HTML = Path(__file__).with_suffix(".html")
ENDINGS_TOML = Path(__file__).with_name("endings.toml")

ALL_READ = 120  # seconds that a program may take to read every ending
HANGS = 40  # seconds after which a command counts as one that does not end
INSTALLING = 600  # seconds that npm or pip may take
ONE_INSTALLS = Lock()  # what they install is in one folder

#: What is seen of a cut that a client does not report.
NO_LOAD_EVENT, NO_END = SILENT = "no load event", "no end"

TRAILER = "stopped on purpose"

ROWS = b"a row...\n" * 1000
LAST_LINE = b"2000 rows\n"
GZIP = zlib.compressobj(wbits=31)

#: The parts of bodies, as ``endings.toml`` names them.
PARTS = {
    "rows": ROWS,
    "last line": LAST_LINE,
    "chunk": canned.chunk(ROWS),
    "half a chunk": canned.chunk(ROWS)[: len("2328\r\n") + len(ROWS) // 2],
    "chunk of the last line": canned.chunk(LAST_LINE),
    "last chunk": b"0\r\n\r\n",
    "error trailer": f"0\r\nX-Error: {TRAILER}\r\n\r\n".encode(),
    "gzip without its end": GZIP.compress(ROWS) + GZIP.flush(zlib.Z_SYNC_FLUSH),
}


def ending(
    headers: list[str], body: list[str], version: str = "1.1", then: canned.Then = "closed late"
) -> canned.Answer:
    """Return an answer as ``endings.toml`` describes it."""
    lines = [f"HTTP/{version} 200 OK", "Content-Type: text/plain", *headers, "", ""]
    return canned.Answer("\r\n".join(lines).encode() + b"".join(PARTS[part] for part in body), then)


#: The responses that clients read, by framing and ending.
ENDINGS = {
    name: ending(**table) for name, table in tomllib.loads(ENDINGS_TOML.read_text("utf-8")).items()
}
ANSWERS = list(ENDINGS.values())


def answering(path: str, _: str) -> canned.Answer:
    """Return the ending with a number, or the page that reads all in one of a browser's ways."""
    place = path.strip("/")
    if place.isdecimal():
        return ANSWERS[int(place)]
    return canned.page(CLIENTS_HTML, COUNT=len(ANSWERS))


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


class Client(NamedTuple):
    """A way to download, as ``clients.toml`` describes it.

    :param language: in which it is written, or the program that it is.
    :param name: what the guide calls it.
    :param call: what a reader would write.
    :param command: what runs its program.
    :param program: in which the call is put.
    :param like: the language whose program this one runs.
    :param debian: the packages of Debian that bring it.
    :param install: what installs it for this measurement alone.
    """

    language: str
    name: str
    call: str
    command: str = ""
    program: str = ""
    like: str = ""
    debian: str = ""
    install: str = ""


def clients() -> Iterator[Client]:
    """Yield each client of ``clients.toml``."""
    tables = tomllib.loads(CLIENTS_TOML.read_text("utf-8"))
    for language, table in tables.items():
        for name, call in table.pop("calls").items():
            client = Client(language, name, call.strip(), **table)
            if like := client.like:
                client = client._replace(language=like, program=tables[like]["program"])
            yield client


CLIENTS = list(clients())


def fill(text: str, **values: object) -> str:
    """Put values in the places of a text that have their names."""
    for name, value in values.items():
        for line in re.findall(rf"(?m)^([ \t]+){name}$", text):
            text = text.replace(f"{line}{name}", indent(str(value), line))
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


def run_program(client: Client, address: str, folder: Path) -> str:
    """Let a program read every ending, and return the versions that it prints.

    :raises NotStartedError: when it is not installed, or does not run.
    """
    values = {"CALL": client.call, "ADDRESS": address, "COUNT": len(ANSWERS)}
    package = client.name.partition(",")[0]
    file = folder / client.command.split()[-1]
    file.write_text(fill(client.program, **values, PACKAGE=package), "utf-8")
    done = start(client.command, folder, ALL_READ)
    if done.returncode:
        raise NotStartedError(" ".join(done.stderr.split()[-40:]))
    return " ".join(done.stdout.split())


def run_commands(client: Client, address: str, folder: Path) -> str:
    """Let a command read each ending, and return its version.

    :raises NotStartedError: when it is not installed.
    """
    for number in range(len(ANSWERS)):
        files = {"FILE": f"{number}.body", "HEAD": f"{number}.head"}
        command = fill(client.call, URL=f"{address}/{number}", **files)
        try:
            status = start(command, folder, HANGS).returncode
            error = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            error = NO_END
        (folder / f"{number}.error").write_text(error)
    return canned.version_of(client.call.split()[0])


def text_of(file: Path) -> str:
    """Return what a client wrote into a file, if it did."""
    return file.read_text("utf-8", "replace").strip() if file.exists() else ""


def taken_from(folder: Path) -> list[Taken]:
    """Return what a client wrote down of each ending."""
    results = []
    for number in range(len(ANSWERS)):
        body = folder / f"{number}.body"
        error = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text_of(folder / f"{number}.error"))
        headers = text_of(folder / f"{number}.head")
        results.append(Taken(body.read_bytes() if body.exists() else b"", error, headers))
    return results


def run_browser(client: Client, folder: Path) -> list[Taken]:
    """Return what a browser takes from each ending in one of its ways.

    :raises NotStartedError: when it is not installed, or does not report in time.
    """
    downloads, profile = folder / "downloads", folder / "Default"
    downloads.mkdir()
    profile.mkdir()
    preferences = {
        "download": {"default_directory": str(downloads), "prompt_for_download": False},
        "profile": {"default_content_setting_values": {"automatic_downloads": 1}},
    }
    (profile / "Preferences").write_text(json.dumps(preferences), "utf-8")
    way = client.name.removeprefix("Chromium, ")
    with canned.serve(answering) as server:
        found = canned.browse(server, f"/page#{way}", folder, ALL_READ)
    if way != "a download":
        return [Taken(each["body"].encode(), each["error"]) for each in found]
    files = [downloads / f"{number}.txt" for number in range(len(ANSWERS))]
    return [Taken(file.read_bytes()) if file.exists() else Taken(error="no file") for file in files]


def cells(results: Sequence[Taken]) -> Cells:
    """Return what a client took from each ending.

    What it reports is kept of the first cut that it notices: its words vary with its version.
    """
    cells: Cells = {}
    believed: list[str] = []
    for name, taken in zip(ENDINGS, results, strict=True):
        error = taken.error if taken.error in SILENT else "error"
        cells[name] = error if taken.error else f"complete, {len(taken.body)} bytes"
        if not (name.endswith("complete") or taken.error):
            believed.append(name)
    reported = [taken.error for taken in results if taken.error and taken.error not in SILENT]
    trailer = any(TRAILER in taken.headers for taken in results)
    return cells | {
        "takes for complete": "; ".join(believed),
        "reports": reported[0].splitlines()[0] if reported else "",
        "trailers": "shown" if trailer else "not shown",
    }


@cache
def install(command: str, folder: Path) -> str:
    """Install packages for this measurement alone, and return why that failed, if it did."""
    try:
        done = start(command, folder, INSTALLING)
    except NotStartedError as error:
        return str(error)
    return f"{command}: {' '.join(done.stderr.split()[-40:])}" if done.returncode else ""


def measure(client: Client, server: canned.CannedServer, folder: Path) -> Cells:
    """Return what a client takes from each ending, and the versions that took part.

    :param folder: where each client has a folder of its own, beside what is installed.
    :raises NotStartedError: when it is not installed, or does not run.
    """
    own = folder / str(CLIENTS.index(client))
    own.mkdir()
    try:
        with ONE_INSTALLS:
            if client.install and (reason := install(client.install, folder)):
                raise NotStartedError(reason)
        if client.language == "Chromium":
            return cells(run_browser(client, own)) | {"versions": canned.version_of(canned.BROWSER)}
        run = run_program if client.program else run_commands
        versions = run(client, server.address, own)
        return cells(taken_from(own)) | {"versions": versions}
    except (NotStartedError, subprocess.TimeoutExpired) as error:
        comes_with = client.debian or client.install or "pip"
        raise NotStartedError(f"{error} (it comes with {comes_with})") from error


def main(names: Sequence[str]) -> None:
    """Measure some clients, or all."""
    os.environ["no_proxy"] = "127.0.0.1"  # what is asked here stays on this machine
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    temporary = TemporaryDirectory(prefix="clients-", ignore_cleanup_errors=True)
    with temporary as name, canned.serve(answering) as server:
        Measurement(
            "clients",
            CLIENTS,
            names=lambda each: {"language": each.language, "client": each.name, "call": each.call},
            ask=partial(measure, server=server, folder=Path(name)),
            on=lambda _: {"date": date.today().isoformat()},
            at_once=4,  # each mostly waits
        ).run(names)


if __name__ == "__main__":
    main(sys.argv[1:])
