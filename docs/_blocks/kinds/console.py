"""Run a ``console`` block: each command for real, and what it prints is held against the page."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from sybil import Example

from docs._blocks.left_out import unmade
from docs._blocks.matching import compare, pattern
from docs._blocks.page import ADDRESS, LeftOut, Page, page_of, routes
from docs._system import ROOT
from docs._system.declared import declared
from docs._system.leftovers import end_program, start_program
from docs._system.ports import READY, listens

COMMAND_LIMIT = 60  # seconds that a command may take

#: Another address of this machine, where only a server answers that listens on every interface.
ELSEWHERE = "127.0.0.2"

#: Commands that would change a shell, of which each command has its own.
CHANGES_SHELL = re.compile(r"(?:cd|export|source|\.|set|alias|unset)\b|\w+=\S*$")

#: What makes a terminal change colour.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: What is known of programs: their packages, and which of them serve.
PROGRAMS = declared(__file__)

#: What may stand before a server's name. To ask one for its version is not to start it.
BEFORE_PROGRAM = r"(?!.* --(?:version|help)\b)(?:\w+=\S* )*(?:prlimit \S+ )?(?:python -m )?"

#: The port in an option of a command that starts a server.
PORT_OPTION = re.compile(r"(?<=--port )\d+|(?<=--port=)\d+|(?<=run -p )\d+")

#: The port in the line of a configuration that says where to listen.
LISTENS = re.compile(
    r"(?:^|[{;])\s*(?:listen |bind |http(?:-socket|_port)? *= *|http://|"
    r"- address:\s+socket_address: {address: )(?:127\.0\.0\.1|localhost)(?::|, port_value: )(\d+)",
    re.IGNORECASE | re.MULTILINE,
)

#: A command after its prompt, with the lines that continue it, and all that it must print.
PROMPTED = re.compile(r"^\$ (?P<text>(?:.*\\\n)*.*)\n(?P<expected>(?:(?!\$ ).*\n)*)", re.MULTILINE)

#: What stands between the words of a command that the shell reads.
BETWEEN_WORDS = re.compile(r"[\s()|&;<>`\"'$]+")


@dataclass
class Command:
    """A command of a block: its line on the page, its text, what it must print."""

    line: int
    text: str
    expected: str

    @property
    def default_port(self) -> int | None:
        """The port on which the server that this starts listens by default, or 0."""
        for program, port in PROGRAMS["servers"].items():
            if re.match(BEFORE_PROGRAM + program, self.text, re.DOTALL):
                return int(port)
        return None

    def words(self) -> set[str]:
        """Return its words, and the parts of those such as ``--option=FILE`` and ``MODULE:app``."""
        words = BETWEEN_WORDS.split(self.text)
        return {part.removeprefix("./") for word in words for part in re.split("[=:]", word)}

    def starts(self, file: str) -> bool:
        """Tell whether the command starts a server with a configuration or a program."""
        if file.endswith(".py"):
            return bool(re.match(rf"{BEFORE_PROGRAM}python {re.escape(file)}$", self.text))
        named = re.search(rf"(?<![\w.-]){re.escape(file)}(?![\w.-])", self.text)
        return self.default_port is not None and bool(named)

    def configurations(self, page: Page) -> list[str]:
        """Return the files of a page with which the command starts a server."""
        return [file for file in page.configurations if self.starts(file)]

    def printed_ports(self, page: Page) -> list[int] | None:
        """Return the ports, as the page prints them, of the server that this starts, if it does.

        They stand in the command, or in its configuration, or are the server's by default.
        """
        files = self.configurations(page)
        if self.default_port is None and not files:
            return None
        command = re.sub(r"^(?:\w+=\S* )+", "", self.text)  # an address there is not its own
        found = ADDRESS.search(command) or PORT_OPTION.search(command)
        if found:
            return [int(found[0])]
        for file in files:
            text = page.configurations[file]
            listening = ADDRESS.findall(text)[:1] if file.endswith(".py") else LISTENS.findall(text)
            if listening:
                return [int(port) for port in listening]
        return [self.default_port] if self.default_port else []


def commands(example: Example) -> Iterator[Command]:
    """Split a block, which starts with a ``$`` prompt, into its commands."""
    source = example.parsed.rstrip("\n") + "\n"
    first_line = example.line + example.parsed.line_offset + 1
    for found in PROMPTED.finditer(source):
        text = re.sub(r"\n\s*(?:> )?", "\n", found["text"])
        line = first_line + source.count("\n", 0, found.start())
        yield Command(line, text, found["expected"])


def absent(command: Command, page: Page) -> str:
    """Return nothing, or in CI what a command needs that this machine has not.

    :raises LeftOut: elsewhere, with what it needs.
    """
    words = command.words()
    for file in page.lost_files:
        if file in words or (file.endswith(".py") and Path(file).stem in words):
            raise LeftOut(page.lost_files[file])
    for file in command.configurations(page):
        words.update(BETWEEN_WORDS.split(page.configurations[file]))
    needed = sorted(PROGRAMS["packages"].keys() & words)
    missing = [name for name in needed if not (shutil.which(name) or Path(name).is_file())]
    packages = " ".join(PROGRAMS["packages"][name] for name in missing)
    needs = f"needs {', '.join(missing)} (apt-get install {packages})"
    if missing and os.environ.get("CI") != "true":
        raise LeftOut(needs)
    return f"{needs}: in CI nothing may be left out" if missing else ""


def start_bash(script: str, page: Page, output: int, port: int = 0) -> subprocess.Popen[str]:
    """Start Bash with a script in the page's folder, in a session of its own.

    :param output: where it prints, errors included: a file descriptor, or ``PIPE``.
    :param port: of a server, the real one for programs that have a port by default.
    """
    (page.settings / ".curlrc").write_text("no-progress-meter\n")  # as curl on a terminal
    settings = PROGRAMS["environment"] | (PROGRAMS["server_environment"] if port else {})
    places = {"settings": page.settings, "root": ROOT, "port": port}
    own = {name: value.format(**places) for name, value in settings.items()}
    return start_program(["bash", "-c", script], output, settings=own, folder=page.folder)


def as_shown(output: str, page: Page) -> str:
    """Return output as a page shows it: without colours, and with the ports that it prints."""
    lines = re.sub(r"^bash: line \d+: ", "bash: ", COLOUR.sub("", output), flags=re.MULTILINE)
    return page.servers.to_printed(lines)


def run(command: Command, page: Page, status: int) -> tuple[str, int]:
    """Run a command to its end and return what it printed and its exit status.

    :param status: the exit status of the command before it, which ``$?`` must give.
    """
    script = f"{PROGRAMS['preamble']}(exit {status})\n{page.servers.to_real(command.text)}"
    process = start_bash(script, page, subprocess.PIPE)
    try:
        output, _ = process.communicate(timeout=COMMAND_LIMIT)
    except subprocess.TimeoutExpired:
        end_program(process)
        output, _ = process.communicate()
        return f"{as_shown(output, page)}\ndid not end within {COMMAND_LIMIT} seconds\n", 124
    finally:
        end_program(process)  # what the command left in the background
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode  # as a shell
    return as_shown(output, page), code


def serve(command: Command, page: Page, printed: list[int]) -> tuple[str, int]:
    """Start a server, wait until it printed what the page shows, and return what it printed.

    With it comes the exit status: 0 when the server listens.
    It runs until the page ends or starts another on the same printed port.

    :param printed: the ports on which it listens, as the page prints them.
    :raises LeftOut: when it passes requests on to a server that was left out.
    """
    for port in printed:
        page.servers.left_out.pop(port, None)
    ports = [page.servers.ports[port] for port in printed]
    text = PORT_OPTION.sub(str(ports[0]), page.servers.to_real(command.text))
    for file in command.configurations(page):
        page.servers.to_real(page.configurations[file])  # serves the page's app, if it leads there
    for port in printed:
        page.servers.stop(port)
    with TemporaryFile("w+", encoding="utf-8") as output:
        process = start_bash(f"exec env {text}", page, output.fileno(), ports[0])
        page.servers.processes |= dict.fromkeys(printed, process)
        end = time.monotonic() + READY
        while True:
            status = process.poll()
            ready = status is None and all(listens(port) for port in ports)
            if ready and command.text.startswith("traefik"):
                ready = all(routes(port) for port in ports)
            output.seek(0)
            shown = as_shown(output.read(), page)
            if ready and (not command.expected or pattern(command.expected).fullmatch(shown)):
                if any(listens(port, ELSEWHERE) for port in ports):
                    return "it listens on every interface: bind it to 127.0.0.1\n", 1
                return shown if command.expected else "", 0
            if status is not None or time.monotonic() > end:
                return shown, 0 if ready else status or 1
            time.sleep(0.02)


def run_commands(example: Example, page: Page, block: list[Command]) -> str | None:
    """Run commands in turn, and take each from the block; the first that is wrong ends it.

    :raises LeftOut: when this machine cannot run one, which is then the first in the block.
    """
    status, got, where = 0, "", ""
    while block:
        command = block[0]
        where = f"{example.path}:{command.line}: $ {command.text}"
        if needs := absent(command, page):
            return f"{where}\n{needs}"
        if CHANGES_SHELL.match(command.text):
            return f"{where}\neach command has a shell of its own: this changes no later one"
        if status and not re.match(r"echo .*\$\?", command.text):
            return f"{where}\nthe command before it failed with exit status {status}: show it"
        printed = command.printed_ports(page)
        if printed == []:
            return f"{where}\nnothing says where it listens: write an address of 127.0.0.1"
        got, status = serve(command, page, printed) if printed else run(command, page, status)
        # a page shows neither spaces at the end of a line nor empty lines at the end of a block
        got = "\n".join(line.rstrip() for line in got.splitlines())
        difference = compare(command.expected.rstrip("\n") + "\n", got.rstrip("\n") + "\n")
        if difference:
            return f"{where}\n{difference}"
        del block[0]
    if status:
        printed_last = "\n".join(filter(None, [where, got]))
        return f"{printed_last}\nfailed with exit status {status}: show it with echo $?"
    return None


def run_console(example: Example) -> str | None:
    """Run the commands of a block in turn; the first that prints something else fails it."""
    if not example.parsed.startswith("$ "):
        return "a 'console' block starts with a '$ ' prompt"
    page = page_of(example.namespace)
    block = list(commands(example))
    try:
        return run_commands(example, page, block)
    except LeftOut as reason:
        reason.place = f"{example.path}:{block[0].line}"
        why = reason.args[0]
        for command in block:
            page.servers.left_out |= dict.fromkeys(command.printed_ports(page) or [], why)
            page.lost_files |= dict.fromkeys(unmade(command.words(), page), why)
        raise
