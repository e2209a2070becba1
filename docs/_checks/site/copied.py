"""Save what the site offers to copy into empty folders, and use it there as its reader does.

The listings of In short have the kit beside them and nothing else, and their apps must answer.
The other apps of a page have all of ``examples.zip``. Many of them show a fault, so they are
imported and not asked.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from turbohtml import Document, Element

from docs._checks.site.built import Finding, Site

ASK = Path(__file__).with_name("ask.py")

#: Seconds that an app has for its first chunk.
PATIENCE = 10


def listings(blocks: Iterable[Element]) -> dict[str, str]:
    """Return the listings that are whole files, by the name of the file."""
    found: dict[str, str] = {}
    for block in blocks:
        (caption,) = block.select(".caption-text")
        (listing,) = block.select("pre")
        if " " not in caption.text:
            found[caption.text] = listing.text
    return found


def beside(page: Document) -> dict[str, str]:
    """Return the files of a page that are not in a fold."""
    folded = listings(page.select("details .literal-block-wrapper"))
    everything = listings(page.select(".literal-block-wrapper"))
    return {name: text for name, text in everything.items() if name not in folded}


def apps(files: dict[str, str]) -> list[str]:
    """Return the names of the files that have an app."""
    return [name for name, text in files.items() if name.endswith(".py") and "\napp = " in text]


def save(files: dict[str, str], folder: Path) -> None:
    """Write files into a folder, where those of the archive stay as they are."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(text, "utf-8")


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, without a way to this project."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def used(files: Iterable[str], folder: Path, seconds: float) -> Iterator[str]:
    """Import files in their folder and ask their apps, and yield what is wrong.

    :param files: paths, relative to the folder.
    :param folder: where they are, with all that they may import of this project.
    :param seconds: how long an app has for its first chunk. With 0 no app is asked.
    """
    asked = run(["-P", str(ASK), str(seconds), *files], folder)
    yield from asked.stdout.splitlines()
    if asked.returncode:
        yield asked.stderr.strip().rpartition("\n")[2]


def tested(folder: Path) -> Iterator[str]:
    """Run the tests of a folder, and yield the last line of a run that fails."""
    result = run(["-m", "pytest", "-q", "--rootdir", ".", "-p", "no:cacheprovider"], folder)
    if result.returncode:
        yield (result.stdout or result.stderr).strip().rpartition("\n")[2]


def copied(site: Site) -> Iterator[Finding]:
    """Find listings that a copy of them cannot use, and examples that do not answer."""
    archive = site.folder / "examples.zip"
    with TemporaryDirectory() as folder, ZipFile(archive) as examples:
        examples.extractall(folder)
        kit = [name for name in examples.namelist() if name.startswith("examples/kit/")]
        kit.append("examples/__init__.py")
        found = [name for name in examples.namelist() if name.count("/") == 1]
        programs = apps({name: examples.read(name).decode() for name in found})
        for problem in used(programs, Path(folder), PATIENCE):
            yield Finding(archive.name, "example", problem)
    for name, page in site.pages.items():
        short = listings(page.select(".in-short .literal-block-wrapper"))
        files = beside(page)
        for rule, saved, programs, members, seconds in (
            ("in-short", short, [file for file in short if file[-3:] == ".py"], kit, PATIENCE),
            ("copy", files, apps(files), None, 0),
        ):
            if programs:
                with TemporaryDirectory() as folder, ZipFile(archive) as examples:
                    examples.extractall(folder, members)
                    save(saved, Path(folder))
                    problems = [*used(programs, Path(folder), seconds)]
                    if any(file.startswith("test_") for file in programs):
                        problems += tested(Path(folder))
                    yield from (Finding(name, rule, problem) for problem in problems)
