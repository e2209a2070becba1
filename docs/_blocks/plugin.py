"""What pytest is told beside the blocks: their order, and the proof at the end."""

import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sybil.integration.pytest import SybilItem

from docs._blocks.proof import Place, Reading, literal_blocks, unproved
from docs._blocks.reading import in_order
from docs._blocks.servers import LeftOut

#: What a report says beside its outcome: where the block stands, and why it was left out.
PLACE, REASON = "place", "reason"


def pages_asked_for(config: pytest.Config) -> Iterator[Path]:
    """Yield every page of the run, those too on which Sybil finds nothing."""
    for argument in config.args:
        path = Path(config.invocation_params.dir, argument.partition("::")[0])
        yield from path.rglob("*.rst") if path.is_dir() else [path]


class EveryBlockRan:
    """Hold what Sphinx shows against what ran, for every page of the run.

    Reports come from this process, or from those among which pytest-xdist shares the pages.
    """

    def __init__(self) -> None:
        self.reading = Reading()
        self.ran: set[Place] = set()
        self.red: set[Place] = set()
        self.left_out: list[str] = []
        self.wrong: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which blocks ran, whatever came of it, and which were left out."""
        found = {name: str(value) for name, value in report.user_properties}
        if PLACE in found:
            file, _, line = found[PLACE].rpartition(":")
            self.ran.add((file, int(line)))
            if report.failed:
                self.red.add((file, int(line)))
        if REASON in found:
            self.left_out.append(found[REASON])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run for a block that was never run, or that no reader sees."""
        if self.ran and not session.config.option.keyword:
            files = {*pages_asked_for(session.config), *(Path(file) for file, _ in self.ran)}
            shown = literal_blocks(self.reading.doctrees(), files)
            self.wrong = unproved(shown, self.ran, self.red)
            if self.wrong:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self.reading.close()

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Say what the proof found, and name each block that was left out with what it needs."""
        if config.option.keyword:
            terminalreporter.write_line("With -k, nothing proved that every block was run.")
        elif self.wrong:
            terminalreporter.section("the pages are not what was run", red=True)
            terminalreporter.write_line("\n".join(self.wrong), red=True)
        elif self.ran:
            terminalreporter.write_line("Every block that Sphinx shows was run, or is named below.")
        if self.left_out:
            terminalreporter.section("left out on this machine")
            terminalreporter.write_line("\n".join(self.left_out))


def pytest_configure(config: pytest.Config) -> None:
    """Begin the proof, in the process that sees all reports."""
    # A shell lets what it runs in the background ignore CTRL+C, and so would all servers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(EveryBlockRan())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each page in the order in which it runs."""
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the report of a block say where it stands, and why it was left out."""
    cause = call.excinfo.value if call.excinfo else None  # pytest is about to replace it
    report = yield
    if call.when == "call" and isinstance(item, SybilItem):
        line = item.example.region.lexemes.get("block", item.example.line)
        report.user_properties.append((PLACE, f"{item.path}:{line}"))
        if isinstance(cause, LeftOut):
            report.user_properties.append((REASON, str(cause)))
        elif report.skipped:
            report.outcome, report.longrepr = (
                "failed",
                f"{item.nodeid}: a block may not skip itself",
            )
    return report
