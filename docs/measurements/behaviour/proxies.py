"""Measure what each proxy of ``proxies.toml`` does with a stream, mostly of gunicorn's threads."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docs._system.declared import declared
from docs._system.ports import free_port
from docs.measurements.behaviour.questions import PATIENT
from docs.measurements.behaviour.servers import SERVERS, Server, answers, command, fill
from docs.measurements.behaviour.target import Target
from docs.measurements.lab.environments import find_program, printed_version
from docs.measurements.lab.measurement import Measurement, cases_of, measured_on
from docs.measurements.lab.processes import NotStartedError, event_log, running
from docs.measurements.lab.results import Cells

#: Where Debian keeps its programs.
DEBIAN = "/usr/sbin:/usr/bin"

DIRECTLY = "proxy_pass http://127.0.0.1:{upstream};"


@dataclass(frozen=True)
class Program:
    """The program of a proxy; ``proxies.toml`` says what each of these is."""

    command: str
    configuration: str
    version: str
    release: str = ""
    http2_settings: str = ""

    def find(self, name: str) -> str:
        """Return the path of a program of its name: Debian's, where that release is meant.

        :raises NotStartedError: when it is not installed.
        """
        return find_program(name, DEBIAN if self.release else "")

    def made_of(self) -> str:
        """Return its name and version.

        :raises NotStartedError: when it is not installed, or another release is.
        """
        name, *options = self.version.split()
        version = f"{name} {printed_version(self.find(name), *options)}"
        if not version.startswith(f"{name} {self.release}"):
            raise NotStartedError(f"{version} is installed")
        return version


@dataclass(frozen=True)
class Proxy:
    """A program with some settings; ``proxies.toml`` says what each of these is."""

    name: str
    program: str
    settings: str = ""
    upstream_settings: str = ""
    options: str = ""
    pass_on: str = DIRECTLY
    accel: str = ""
    accept: str = ""
    behind: str = "gunicorn gthread"
    http2: bool = False
    time_limit: str = ""
    limit_in: str = "upstream_settings"

    @property
    def server(self) -> Server:
        """What serves the app behind it."""
        return SERVERS[self.behind]


PROXY_PROGRAMS = cases_of(declared(__file__)["programs"], lambda _, **table: Program(**table))
PROXIES = cases_of(declared(__file__)["proxies"], Proxy)


def configured(
    proxy: Proxy,
    folder: Path,
    port: int,
    upstream: int,
    *,
    address: str = "127.0.0.1",
    http2: int = 0,
) -> list[str]:
    """Write the configuration of a proxy, and return the command that starts it.

    :param proxy: which one.
    :param folder: an empty folder that it may use.
    :param port: where it is to listen.
    :param upstream: the port of the app.
    :param address: where it is to listen.
    :param http2: the port where it is to speak HTTP/2, if it is.
    :raises NotStartedError: when it is not installed.
    """
    program = PROXY_PROGRAMS[proxy.program]
    file = folder / "configuration.yml"
    values: dict[str, object] = {"folder": folder, "file": file, "address": address}
    values |= {"port": port, "upstream": upstream, "http2": http2}
    values["http2_settings"] = fill(program.http2_settings, values) if http2 else ""
    for place in ("settings", "upstream_settings", "pass_on", "options"):
        values[place] = fill(getattr(proxy, place), values)
    file.write_text(fill(program.configuration, values), "utf-8")
    name, *arguments = shlex.split(fill(program.command, values))
    return [program.find(name), *arguments]


@contextmanager
def running_proxy(proxy: Proxy, *, http2: bool = False) -> Iterator[Target]:
    """Run a proxy in front of the measured app until the block ends.

    :param proxy: which one.
    :param http2: whether the target is the port on which it speaks HTTP/2.
    :raises NotStartedError: when it is not installed, or does not answer.
    """
    program = PROXY_PROGRAMS[proxy.program]
    version = program.made_of()
    port, upstream = free_port(), free_port()
    listening = free_port() if http2 and "{http2}" in program.http2_settings else port
    accept = f"Accept-Encoding: {proxy.accept}\r\n" if proxy.accept else ""
    with event_log() as events:
        start = configured(proxy, events.folder, port, upstream, http2=listening if http2 else 0)
        behind = command(proxy.server, upstream, events.folder, options=proxy.server.socket)
        settings = {"HOME": str(events.folder), "STREAM_ACCEL": proxy.accel}
        with (
            running(behind, upstream, events, settings=settings) as app,
            running(start, port, events, settings=settings) as process,
        ):
            yield Target(listening, events, [app, process], version, accept)


def names(proxy: Proxy) -> Cells:
    """Return the name of a proxy, and the settings that set it apart."""
    passing = "" if proxy.pass_on == DIRECTLY else proxy.pass_on.splitlines()[-1].rstrip(";")
    settings = " ".join(f"{passing} {proxy.settings} {proxy.upstream_settings}".split())
    if proxy.accel:
        settings = f"X-Accel-Buffering: {proxy.accel}"
    return {"proxy": proxy.name, "settings": settings or "its own"}


def ask(proxy: Proxy) -> Cells:
    """Ask a proxy everything that keeps the processor busy."""
    with running_proxy(proxy) as target:
        cells = {"versions": target.versions} | answers(target)
    if "uwsgi_pass" in proxy.pass_on:  # the app is told the version of the client's request
        cells["asks the app with"] = "uwsgi"
    return cells


def wait(proxy: Proxy) -> Cells:
    """Ask a proxy what takes long."""
    with running_proxy(proxy) as target:
        return answers(target, PATIENT)


MEASUREMENT = Measurement(
    "proxies",
    list(PROXIES.values()),
    names=names,
    ask=ask,
    wait=wait,
    on=lambda proxy: {"behind it": proxy.behind, **measured_on(*proxy.server.packages)},
)
