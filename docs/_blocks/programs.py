"""Tell what a command of a ``console`` block needs: its programs, and the ports it serves on."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sybil import Example

from docs._blocks.page import Page
from docs._blocks.servers import ADDRESS

#: The Debian package of each program, or file, that does not come with Python's packages.
PACKAGES = {
    "apache2": "apache2",
    "chromium": "chromium",
    "curl": "curl",
    "haproxy": "haproxy",
    "nginx": "nginx",
    "varnishd": "varnish",
    "/usr/lib/apache2/modules/mod_wsgi.so": "libapache2-mod-wsgi-py3",
}

#: Commands that serve until they are ended, and the port on which they do by default.
#: Where it is 0 a page writes the port, in the command or in a file that the command names.
SERVERS = {
    r"flask .*\brun\b": 5000,
    r"gunicorn\b": 8000,
    r"(?:waitress-serve|uvicorn|granian|hypercorn|cheroot|uwsgi)\b": 0,
    r"nginx .*\bdaemon off": 0,
    r"apache2 .*-(?:X|D ?FOREGROUND)\b": 0,
    r"haproxy -f\b": 0,
    r"caddy run\b": 0,
    r"traefik --\w": 0,
    r"envoy -c\b": 0,
    r"varnishd .*-F\b": 0,
}

#: What may stand before a server's name. To ask one for its version is not to start it.
PREFIX = r"(?!.* --(?:version|help)\b)(?:\w+=\S* )*(?:python -m )?"

#: The port in an option of a command that starts a server.
PORT_OPTION = re.compile(r"(?<=--port )\d+|(?<=--port=)\d+|(?<=run -p )\d+")

#: The port in the line of a configuration that says where to listen.
LISTENS = re.compile(
    r"(?:^|[{;])\s*(?:listen |bind |http(?:-socket)? *= *|http://|"
    r"- address:\s+socket_address: {address: )(?:127\.0\.0\.1|localhost)(?::|, port_value: )(\d+)",
    re.IGNORECASE | re.MULTILINE,
)


#: What stands between the words of a command that the shell reads.
BETWEEN_WORDS = re.compile(r"[\s()|&;<>`\"'$]+")

#: Where a shell begins another command, and where it writes what a command prints.
NEXT_COMMAND = {"|", "||", "|&", "&", "&&", ";", "(", ")"}
REDIRECTIONS = {">", ">>", ">|", "&>", "&>>"}

#: The option of curl before the name of a file, alone or behind others.
OUTPUT_OPTION = re.compile(r"-\w*o|--output")


@dataclass
class Command:
    """A command of a block: its line on the page, its text, what it must print."""

    line: int
    text: str
    expected: str

    @property
    def default_port(self) -> int | None:
        """The port on which the server that this starts listens by default, or 0."""
        for program, port in SERVERS.items():
            if re.match(PREFIX + program, self.text, re.DOTALL):
                return port
        return None

    def names(self, file: str) -> bool:
        """Tell whether the command names a file."""
        return bool(re.search(rf"(?<![\w.-]){re.escape(file)}(?![\w.-])", self.text))

    def writes(self) -> set[str]:
        """Return the files that the command writes: by ``>``, with ``tee``, or with ``curl``."""
        split = shlex.shlex(self.text.replace("\\\n", " "), posix=True, punctuation_chars=True)
        split.whitespace_split, split.commenters = True, ""
        try:
            words = list(split)
        except ValueError:  # a quotation that does not end, which Bash refuses
            return set()
        written, program = set(), ""
        for before, word in zip(["", *words], words, strict=False):
            if before in REDIRECTIONS or (program == "curl" and OUTPUT_OPTION.fullmatch(before)):
                written.add(word)
            elif word in NEXT_COMMAND:
                program = ""
            elif not program and not re.match(r"\w+=", word):
                program = word
            elif program == "tee" and word[0] not in "->":
                written.add(word)
        written |= {word.removeprefix("--output=") for word in words if word[:9] == "--output="}
        if any(re.fullmatch(r"-\w*O\w*|--remote-name", word) for word in words):
            urls = [word for word in words if "://" in word]
            written |= {PurePosixPath(urlsplit(url).path).name for url in urls}
        return {file.removeprefix("./") for file in written}

    def starts(self, file: str) -> bool:
        """Tell whether the command starts a server with a configuration or a program."""
        if file.endswith(".py"):
            return bool(re.match(rf"{PREFIX}python {re.escape(file)}$", self.text))
        return self.default_port is not None and self.names(file)

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
        found = ADDRESS.search(self.text) or PORT_OPTION.search(self.text)
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
    command: Command | None = None
    source = example.parsed.rstrip("\n") + "\n"
    first_line = example.line + example.parsed.line_offset + 1
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


def absent(command: Command, page: Page) -> str:
    """Say what a command needs that this machine has not, or nothing."""
    words = {
        part.removeprefix("./")
        for word in BETWEEN_WORDS.split(command.text)
        for part in re.split("[=:]", word)  # a file in --option=FILE, a module in MODULE:app
    }
    for file in page.lost_files.keys() - command.writes():
        if file in words or (file.endswith(".py") and Path(file).stem in words):
            return page.lost_files[file]
    text = [command.text, *(page.configurations[file] for file in command.configurations(page))]
    needed = sorted(PACKAGES.keys() & set(BETWEEN_WORDS.split(" ".join(text))))
    missing = [name for name in needed if not (shutil.which(name) or Path(name).is_file())]
    packages = " ".join(PACKAGES[name] for name in missing)
    return f"needs {', '.join(missing)} (apt-get install {packages})" if missing else ""
