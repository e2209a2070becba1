"""Run a ``console`` block: each command for real, and what it prints is held against the page."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from unittest import SkipTest

from sybil import Example

from docs._blocks.matching import compare, pattern
from docs._blocks.page import ADDRESS, ROOT, Page, free_port, page_of

TIMEOUT = 30  # seconds that a command may take
READY = 20  # seconds that a server may take to start

#: The Debian package of each program that does not come with Python's packages.
PACKAGES = {"curl": "curl", "chromium": "chromium"}

#: Commands that would change a shell, of which each command has its own.
CHANGES_SHELL = re.compile(r"(?:cd|export|source|\.|set|alias|unset)\b|\w+=\S*$")

#: Commands that serve until they are ended, and the port on which they do by default.
SERVERS = {
    r"(?:\w+=\S* )*(?:python -m )?flask .*\brun\b": 5000,
    r"(?:\w+=\S* )*(?:python -m )?gunicorn\b": 8000,
}

#: What stands before every command: Chromium refuses to run as root inside its sandbox,
#: and would look for updates.
PREAMBLE = """chromium() {
  command chromium --no-sandbox --disable-quic --disable-background-networking "$@" 2>/dev/null
}
"""

#: The port in an option of a command that starts a server.
PORT_OPTION = re.compile(r"(?<=--port )\d+|(?<=-p )\d+")

#: What makes a terminal change colour.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class LeftOut(SkipTest):
    """A block needs a program that this machine has not."""


@dataclass
class Command:
    """A command of a block: its line on the page, its text, what it must print."""

    line: int
    text: str
    expected: str

    @property
    def printed_port(self) -> int | None:
        """The port that the page prints for the server this starts, if it starts one."""
        for server, default in SERVERS.items():
            if re.match(server, self.text):
                found = ADDRESS.search(self.text) or PORT_OPTION.search(self.text)
                return int(found[0]) if found else default
        return None


def commands(source: str, first_line: int) -> Iterator[Command]:
    """Split a block, which starts with a ``$`` prompt, into its commands."""
    command: Command | None = None
    for line, text in enumerate(source.splitlines(keepends=True), first_line):
        if text.startswith("$ "):
            if command:
                yield command
            command = Command(line, text[2:].rstrip("\n"), "")
        elif command and command.text.endswith("\\"):
            command.text = f"{command.text}\n{text.strip().removeprefix('> ')}"
        elif command:
            command.expected += text
    if command:
        yield command


def missing(command: Command) -> str:
    """Name the programs that a command needs and this machine has not, or nothing."""
    needed = sorted(PACKAGES.keys() & set(command.text.split()))
    absent = [name for name in needed if not shutil.which(name)]
    packages = " ".join(PACKAGES[name] for name in absent)
    return f"needs {', '.join(absent)} (apt-get install {packages})" if absent else ""


def environment(page: Page) -> dict[str, str]:
    """Return the environment of a command: the page's, with its packages."""
    settings = page.folder / ".settings"
    settings.mkdir(exist_ok=True)
    (settings / ".curlrc").write_text("no-progress-meter\n")  # as when curl writes to a terminal
    return os.environ | {
        "CURL_HOME": str(settings),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def as_shown(output: str, page: Page) -> str:
    """Return output as a page shows it: without colours, and with the ports that it prints."""
    lines = re.sub(r"^bash: line \d+: ", "bash: ", COLOUR.sub("", output), flags=re.MULTILINE)
    return page.to_printed(lines)


def run(command: Command, page: Page, status: int) -> tuple[str, int]:
    """Run a command to its end and return what it printed and its exit status.

    :param status: the exit status of the command before it, which ``$?`` must give.
    """
    process = subprocess.Popen(
        ["bash", "-c", f"{PREAMBLE}(exit {status})\n{page.to_real(command.text)}"],
        cwd=page.folder,
        env=environment(page),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return f"{as_shown(output, page)}\ndid not end within {TIMEOUT} seconds\n", 124
    finally:
        with suppress(ProcessLookupError):  # what the command left in the background
            os.killpg(process.pid, signal.SIGKILL)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode  # as a shell
    return as_shown(output, page), code


def listens(port: int) -> bool:
    """Tell whether a server accepts connections on a port of 127.0.0.1."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def serve(command: Command, page: Page, printed: int) -> tuple[str, int]:
    """Start a server, wait until it printed what the page shows, and return what it printed.

    With it comes the exit status: 0 when the server listens.
    It runs until the page ends or starts another on the same printed port.
    """
    page.stop(printed)
    page.ports[printed] = port = free_port()
    settings = {
        "FLASK_RUN_PORT": str(port),
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port} --no-control-socket",
    }
    text = PORT_OPTION.sub(str(port), page.to_real(command.text))
    with TemporaryFile("w+", encoding="utf-8") as output:
        page.processes[printed] = subprocess.Popen(
            ["bash", "-c", f"exec env {text}"],
            cwd=page.folder,
            env=environment(page) | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        end = time.monotonic() + READY
        while True:
            ready = listens(port)
            output.seek(0)
            shown = as_shown(output.read(), page)
            if ready and (not command.expected or pattern(command.expected).fullmatch(shown)):
                return shown if command.expected else "", 0
            status = page.processes[printed].poll()
            if status is not None or time.monotonic() > end:
                return shown, 0 if ready else status or 1
            time.sleep(0.02)


def run_console(example: Example) -> str | None:
    """Run the commands of a block in turn; the first that prints something else fails it."""
    if not example.parsed.startswith("$ "):
        return "a 'console' block starts with a '$ ' prompt"
    page = page_of(example.namespace)
    first_line = example.line + example.parsed.line_offset + 1
    status, got = 0, ""
    for command in commands(example.parsed.rstrip("\n") + "\n", first_line):
        where = f"{example.path}:{command.line}: $ {command.text}"
        left_out = missing(command)
        if left_out and os.environ.get("CI") == "true":
            return f"{where}\n{left_out}: in CI nothing may be left out"
        if left_out:
            raise LeftOut(f"{example.path}:{command.line}: {left_out}")
        if CHANGES_SHELL.match(command.text):
            return f"{where}\neach command has a shell of its own: this changes no later one"
        if status and not re.match(r"echo .*\$\?", command.text):
            return f"{where}\nthe command before it failed with exit status {status}: show it"
        if command.printed_port:
            got, status = serve(command, page, command.printed_port)
        else:
            got, status = run(command, page, status)
        # a page shows neither spaces at the end of a line nor empty lines at the end of a block
        got = "\n".join(line.rstrip() for line in got.splitlines())
        difference = compare(command.expected.rstrip("\n") + "\n", got.rstrip("\n") + "\n")
        if difference:
            return f"{where}\n{difference}"
    if status:
        printed = "\n".join(filter(None, [where, got]))
        return f"{printed}\nfailed with exit status {status}: show it with echo $?"
    return None
