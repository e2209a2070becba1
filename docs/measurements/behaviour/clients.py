"""Measure which clients can tell a download that was cut from one that is complete.

Responses end in every way of ``endings.toml``, and each client of ``clients.toml`` reads them.
No app takes part: what arrives is what a server, a proxy or a network can leave behind.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from textwrap import indent
from threading import Lock
from typing import NamedTuple

from docs._system.declared import declared
from docs._system.packaged import search_path
from docs.measurements.behaviour import canned
from docs.measurements.lab.environments import INSTALLING, find_program, version_of
from docs.measurements.lab.measurement import Measurement, cases_of
from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.results import Cells

ALL_READ = 120  # seconds that a program may take to read every ending
HANGS = 40  # seconds after which a command counts as one that does not end
ONE_INSTALLS = Lock()  # what they install is in one folder

#: What is seen of a cut that a client does not report.
NO_LOAD_EVENT, NO_END = SILENT = "no load event", "no end"

TRAILER = "stopped on purpose"

BODY_ROWS = b"a row...\n" * 1000
LAST_LINE = b"2000 rows\n"
GZIP = zlib.compressobj(wbits=31)

#: The parts of bodies, as ``endings.toml`` names them.
PARTS = {
    "rows": BODY_ROWS,
    "last line": LAST_LINE,
    "chunk": canned.chunk(BODY_ROWS),
    "half a chunk": canned.chunk(BODY_ROWS)[: len("2328\r\n") + len(BODY_ROWS) // 2],
    "chunk of the last line": canned.chunk(LAST_LINE),
    "last chunk": b"0\r\n\r\n",
    "error trailer": f"0\r\nX-Error: {TRAILER}\r\n\r\n".encode(),
    "gzip without its end": GZIP.compress(BODY_ROWS) + GZIP.flush(zlib.Z_SYNC_FLUSH),
}


def ending(
    headers: list[str], body: list[str], version: str = "1.1", then: canned.Then = "closed late"
) -> canned.Answer:
    """Return an answer as ``endings.toml`` describes it."""
    lines = [f"HTTP/{version} 200 OK", "Content-Type: text/plain", *headers, "", ""]
    return canned.Answer("\r\n".join(lines).encode() + b"".join(PARTS[part] for part in body), then)


#: The responses that clients read, by framing and ending.
ENDINGS = cases_of(
    declared(Path(__file__).with_name("endings.toml")), lambda _, **table: ending(**table)
)
ANSWERS = list(ENDINGS.values())


def answering(path: str, _: str) -> canned.Answer:
    """Return the ending with a number, or the page that reads all in one of a browser's ways."""
    place = path.strip("/")
    if place.isdecimal():
        return ANSWERS[int(place)]
    return canned.filled_page(Path(__file__).with_suffix(".html"), COUNT=len(ANSWERS))


class Client(NamedTuple):
    """A way to download, as ``clients.toml`` describes it.

    :param language: in which it is written, or the program that it is.
    :param name: what the guide calls it.
    :param call: what a reader would write.
    :param command: what runs its program.
    :param program: in which the call is put.
    :param debian: the packages of Debian that bring it.
    :param install: what installs it for this measurement alone.
    """

    language: str
    name: str
    call: str
    command: str = ""
    program: str = ""
    debian: str = ""
    install: str = ""


def clients() -> Iterator[Client]:
    """Yield each client of ``clients.toml``; one that is ``like`` a language runs its program."""
    tables = declared(__file__)
    for name, table in tables.items():
        calls, language = table.pop("calls"), table.pop("like", name)
        table["program"] = tables[language].get("program", "")
        for way, call in calls.items():
            yield Client(language, way, call.strip(), **table)


CLIENTS = list(clients())


def substitute(text: str, **values: object) -> str:
    """Put values in the places of a text that have their names."""
    for name, value in values.items():
        for line in re.findall(rf"(?m)^([ \t]+){name}$", text):
            text = text.replace(f"{line}{name}", indent(str(value), line))
        text = re.sub(rf"\b{name}\b", str(value).replace("\\", r"\\"), text)
    return text


def run_in_folder(command: str, folder: Path, limit: float) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder.

    :param limit: seconds that it may take.
    :raises NotStartedError: when it is not installed.
    :raises subprocess.TimeoutExpired: when it does not end in time.
    """
    paths = f"{folder.parent / 'node_modules/.bin'}{os.pathsep}{search_path()}"
    program, *arguments = shlex.split(command)
    found = shutil.which(folder / program) or find_program(program, paths)
    return subprocess.run(
        [found, *arguments],
        cwd=folder,
        env=os.environ | {"PATH": paths, "no_proxy": "127.0.0.1"},
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
    file.write_text(substitute(client.program, **values, PACKAGE=package), "utf-8")
    done = run_in_folder(client.command, folder, ALL_READ)
    if done.returncode:
        raise NotStartedError(" ".join(done.stderr.split()[-40:]))
    return " ".join(done.stdout.split())


def run_calls(client: Client, address: str, folder: Path) -> str:
    """Let a command read each ending, and return its version.

    :raises NotStartedError: when it is not installed.
    """
    for number in range(len(ANSWERS)):
        files = {"FILE": f"{number}.body", "HEAD": f"{number}.head"}
        command = substitute(client.call, URL=f"{address}/{number}", **files)
        try:
            status = run_in_folder(command, folder, HANGS).returncode
            error = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            error = NO_END
        (folder / f"{number}.error").write_text(error)
    return version_of(client.call.split()[0])


def run_browser(client: Client, folder: Path) -> str:
    """Let a browser read every ending in one of its ways, and return its version.

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
    found = canned.browse(answering, f"/page#{way}", folder, ALL_READ)
    for number, each in enumerate(found):
        (folder / f"{number}.body").write_text(each["body"], "utf-8")
        download = downloads / f"{number}.txt"
        if download.exists():
            download.rename(folder / f"{number}.body")
        elif way == "a download":
            each["error"] = "no file"
        (folder / f"{number}.error").write_text(each["error"], "utf-8")
    return version_of(canned.BROWSER)


def written_text(file: Path) -> str:
    """Return what a client wrote into a file, if it did."""
    return file.read_text("utf-8", "replace").strip() if file.exists() else ""


def taken_from(folder: Path) -> Cells:
    """Return what a client took from each ending, as it wrote it down.

    It wrote the body, the error that it reported, if it did, and the headers, if it shows any.
    What it reports is kept of the first cut that it notices: its words vary with its version.
    """
    cells: Cells = {}
    believed: list[str] = []
    reported: list[str] = []
    for number, name in enumerate(ENDINGS):
        body, error = folder / f"{number}.body", written_text(folder / f"{number}.error")
        size = body.stat().st_size if body.exists() else 0
        cells[name] = f"complete, {size} bytes"
        if error:
            cells[name] = error if error in SILENT else "error"
            reported += [] if error in SILENT else [error.splitlines()[0]]
        elif not name.endswith("complete"):
            believed.append(name)
    trailer = any(TRAILER in written_text(head) for head in folder.glob("*.head"))
    return cells | {
        "takes for complete": "; ".join(believed),
        "reports": re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", reported[0]) if reported else "",
        "trailers": "shown" if trailer else "not shown",
    }


@cache
def install(command: str, folder: Path) -> str:
    """Install packages for this measurement alone, and return why that failed, if it did."""
    try:
        done = run_in_folder(command, folder, INSTALLING)
    except NotStartedError as error:
        return str(error)
    return f"{command}: {' '.join(done.stderr.split()[-40:])}" if done.returncode else ""


def ask(client: Client) -> Cells:
    """Return what a client takes from each ending, and the versions that took part.

    It has a folder of its own, beside what is installed.

    :raises NotStartedError: when it is not installed, or does not run.
    """
    own = Path(gettempdir(), f"client-{CLIENTS.index(client)}")
    own.mkdir()
    try:
        with ONE_INSTALLS:
            if client.install and (reason := install(client.install, own.parent)):
                raise NotStartedError(reason)
        if client.language == "Chromium":
            versions = run_browser(client, own)
        else:
            run = run_program if client.program else run_calls
            with canned.serving_answers(answering) as server:
                versions = run(client, server.address, own)
        return taken_from(own) | {"versions": versions}
    except (NotStartedError, subprocess.TimeoutExpired) as error:
        comes_with = client.debian or client.install or "pip"
        raise NotStartedError(f"{error} (it comes with {comes_with})") from error


MEASUREMENT = Measurement(
    "clients",
    CLIENTS,
    names=lambda each: {"language": each.language, "client": each.name, "call": each.call},
    ask=ask,
    on=lambda _: {},
    at_once=4,  # each mostly waits
)
