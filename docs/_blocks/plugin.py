"""What pytest is told beside the blocks: their order, their data, and the proof at the end."""

import os
import re
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sybil.integration.pytest import SybilItem

from docs._blocks.page import ROOT
from docs._blocks.proof import Place, unproved

OUTCOME = pytest.StashKey[str]()
DATA = pytest.StashKey[TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a database of its own, whatever the reader keeps or has set."""
    data = config.stash[DATA] = TemporaryDirectory(prefix="flights-")
    os.environ["DATABASE_URL"] = f"sqlite:///{data.name}/flights.sqlite"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Throw the run's database away."""
    config.stash[DATA].cleanup()


def defines_app(item: SybilItem) -> bool:
    """Tell whether a block brings the page's app."""
    lexemes = item.example.region.lexemes
    return "examples/" in (lexemes.get("arguments") or "") or bool(
        lexemes.get("language") in ("python", "pycon")
        and re.search(r"\bapp\b", str(lexemes.get("source", "")))
    )


def bytes_after_app(items: list[SybilItem]) -> list[SybilItem]:
    """Move the ``http`` blocks that open a page behind the block that brings its app.

    A page shows the bytes before the code; the code must run before the bytes.
    """
    first = next((place for place, item in enumerate(items) if defines_app(item)), -1)
    early = [
        item for item in items[: first + 1] if item.example.region.lexemes.get("language") == "http"
    ]
    rest = [item for item in items if item not in early]
    after = first + 1 - len(early)
    return rest[:after] + early + rest[after:]


class EveryBlockRan(pytest.Item):
    """Hold what Sphinx shows against what ran, for every page of the run."""

    def runtest(self) -> None:
        """Fail with a line for each block that was never run, or that no reader sees."""
        ran: set[Place] = set()
        red: set[Place] = set()
        pages: set[Path] = set()
        for item in self.session.items:
            if isinstance(item, SybilItem) and item.path.suffix == ".rst":
                pages.add(item.path)
                if OUTCOME in item.stash:
                    place = (str(item.path), item.example.region.lexemes["block"])
                    ran.add(place)
                    if item.stash[OUTCOME] == "failed":
                        red.add(place)
        wrong = unproved(pages, ran, red)
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the proof in reports."""
        return ROOT / "docs", None, self.name


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Put each page in the order in which it runs, and the proof at the end."""
    ordered: list[pytest.Item] = []
    by_file: dict[Path, list[SybilItem]] = {}
    for item in items:
        if isinstance(item, SybilItem):
            by_file.setdefault(item.path, []).append(item)
        else:
            ordered.append(item)
    for page in by_file.values():
        ordered += bytes_after_app(page)
    items[:] = ordered
    if by_file and not session.config.option.keyword:
        proof = EveryBlockRan.from_parent(session, name="every block that Sphinx shows was run")
        items.append(proof)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which blocks ran, whatever came of it."""
    report = yield
    if call.when == "call":
        item.stash[OUTCOME] = report.outcome
    return report
