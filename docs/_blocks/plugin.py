"""What pytest is told beside the blocks: their order, and the proof at the end."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil.integration.pytest import SybilItem

from docs._blocks.page import ROOT
from docs._blocks.proof import Place, Reading, literal_blocks, unproved
from docs._blocks.reading import in_order
from docs._blocks.servers import LeftOut

OUTCOME = pytest.StashKey[str]()
LEFT_OUT = pytest.StashKey[list[str]]()


def pages_asked_for(config: pytest.Config) -> Iterator[Path]:
    """Yield every page of the run, those too on which Sybil finds nothing."""
    for argument in config.args:
        path = Path(config.invocation_params.dir, argument.partition("::")[0])
        yield from path.rglob("*.rst") if path.is_dir() else [path]


class EveryBlockRan(pytest.Item):
    """Hold what Sphinx shows against what ran, for every page of the run.

    :param reading: Sphinx, which began when the tests were found.
    """

    def __init__(self, *, reading: Reading, **named: Any) -> None:
        super().__init__(**named)
        self.reading = reading

    def runtest(self) -> None:
        """Fail with a line for each block that was never run, or that no reader sees."""
        ran: set[Place] = set()
        red: set[Place] = set()
        files = set(pages_asked_for(self.config))
        for item in self.session.items:
            if isinstance(item, SybilItem):
                files.add(item.path)
                if OUTCOME in item.stash:
                    line = item.example.region.lexemes.get("block", item.example.line)
                    ran.add((str(item.path), line))
                    if item.stash[OUTCOME] == "failed":
                        red.add((str(item.path), line))
        wrong = unproved(literal_blocks(self.reading.doctrees(), files), ran, red)
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
        blocks: list[SybilItem] = in_order(page, lambda item: item.example)
        ordered += blocks
    items[:] = ordered
    if by_file and not session.config.option.keyword:
        reading = Reading()
        session.config.add_cleanup(reading.close)
        name = "every block that Sphinx shows was run"
        items.append(EveryBlockRan.from_parent(session, name=name, reading=reading))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which blocks ran, whatever came of it."""
    cause = call.excinfo.value if call.excinfo else None  # pytest is about to replace it
    report = yield
    if call.when == "call":
        if isinstance(cause, LeftOut):
            item.config.stash[LEFT_OUT].append(str(cause))
        elif report.skipped:
            report.outcome, report.longrepr = (
                "failed",
                f"{item.nodeid}: a block may not skip itself",
            )
        item.stash[OUTCOME] = report.outcome
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Begin the list of blocks that this machine cannot run."""
    config.stash[LEFT_OUT] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name each block that was left out, and the package that it needs."""
    if config.option.keyword:
        terminalreporter.write_line("With -k, nothing proved that every block was run.")
    left_out = config.stash[LEFT_OUT]
    if left_out:
        terminalreporter.section("left out on this machine")
        terminalreporter.write_line("\n".join(left_out))
