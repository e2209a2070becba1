"""Measure when a page shows a stream that it reads in each way of ``browser_readers.toml``."""

import json
from pathlib import Path
from tempfile import gettempdir

from docs._system import ROOT
from docs._system.declared import declared
from docs.measurements.behaviour import canned
from docs.measurements.behaviour.clients import install, substitute
from docs.measurements.behaviour.eventsource import closing
from docs.measurements.lab.environments import version_of
from docs.measurements.lab.measurement import Measurement, cases_of
from docs.measurements.lab.processes import NotStartedError
from docs.measurements.lab.results import Cells

#: How a stream ends, by column: not at all, too early, or whole and with a status the next time.
ENDINGS = {"before the end": "open", "a cut": "cut", "then 204": "204", "then 503": "503"}

WAYS = list(cases_of(declared(__file__), lambda name, **own: {"reads with": name, **own}).values())


def watch(way: dict[str, str], ending: str, folder: Path) -> str:
    """Return what a way makes of a stream with an ending.

    :param folder: in which packages of npm are installed.
    """
    asked = []

    def answer(path: str, _: str) -> canned.Answer:
        if path == "/stream":
            asked.append(path)
            if ending.isdecimal() and len(asked) > 1:
                return canned.Answer(closing(f"{ending} Later\n\n"))
            length = len(way["piece"]) + (not ending.isdecimal())
            head = f"200 OK\nContent-Type: {way['type']}\nContent-Length: {length}"
            sent = closing(f"{head}\n\n{way['piece']}")
            return canned.Answer(sent, "held" if ending == "open" else "closed")
        if not path.endswith(".js"):
            return canned.filled_page(Path(__file__).with_suffix(".html"))
        script = substitute(way["module"], CALL=way["call"], URL='"/stream"')
        if path != "/way.js":
            script = (ROOT if "/static/" in path else folder).joinpath(path[1:]).read_text("utf-8")
        return canned.Answer(closing(f"200 OK\nContent-Type: text/javascript\n\n{script}"))

    seen = canned.browse(answer, "/", folder / "profile", limit=30)
    if ending == "open":
        return "yes" if "shown" in seen else "no"
    if len(asked) == 1:
        return "error" if "error" in seen else "never asks again"
    return "stops" if len(asked) == 2 and ending != "cut" else "asks again"


def ask(way: dict[str, str]) -> Cells:
    """Return what a way makes of each ending, and the versions that took part.

    :raises NotStartedError: when something cannot be installed.
    """
    folder = Path(gettempdir())
    if reason := install("npm install --no-audit --no-fund axios@latest htmx.org@latest", folder):
        raise NotStartedError(reason)
    cells: Cells = {name: watch(way, ending, folder) for name, ending in ENDINGS.items()}
    versions = version_of(canned.BROWSER)
    if "package" in way:
        package = (folder / "node_modules" / way["package"] / "package.json").read_text("utf-8")
        versions = f"{way['package']} {json.loads(package)['version']}, {versions}"
    return cells | {"versions": versions}


MEASUREMENT = Measurement(
    "browser_readers",
    WAYS,
    names=lambda way: {key: way[key] for key in ("reads with", "call", "type")},
    ask=ask,
    on=lambda _: {},
)
