"""What pytest is told beside the blocks: their order, what each needs, the proof at the end."""

import atexit
import gc
import re
import signal
from collections.abc import Generator
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from _pytest._code import Traceback
from sybil.integration.pytest import SybilItem, example_module_path

from docs._blocks.page import LeftOut, page_of
from docs._blocks.parser import turn
from docs._blocks.proof import Place, Reading, unproved
from docs._system.declared import declared
from docs._system.leftovers import leaving_nothing, name_semaphores

#: What a report says beside its outcome: where the block stands, and why it was left out.
BLOCK_PLACE, REASON = "place", "reason"

#: The pages that take longest, among pages that run at a time: they begin before all others.
LONGEST: list[str] = declared(__file__)["longest"]

#: The packages to install, in the reason why a block was left out.
INSTALL = re.compile(r"apt-get install ([^)]+)")

#: The files that have blocks: pages, the README, and modules with sessions in their docstrings.
FILES = {".rst", ".md", ".py"}


def judged(config: pytest.Config) -> set[Path]:
    """Return the pages and modules of which a run is asked for every block.

    They are none where an option, such as ``-k``, selects some of their blocks.
    """
    options = ["deselect", "keyword", "lf", "markexpr", "stepwise"]
    if any(getattr(config.option, name, None) for name in options):
        return set()
    asked_for = [
        Path(config.invocation_params.dir, argument).resolve()
        for argument in config.args
        if "::" not in argument
    ]
    inside = {file for path in asked_for for file in path.rglob("*") if file.suffix in FILES}
    return inside.union(path for path in asked_for if path.is_file())


class EveryBlockRan:
    """Hold what Sphinx shows against what ran, for every page that runs as a whole.

    Reports come from this process, or from those among which pytest-xdist shares the pages.

    :param config: what was asked for.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.coverage = config.pluginmanager.get_plugin("_cov")
        self.judged = judged(config)
        self.reading = Reading(self.judged) if self.judged else None
        self.ran: set[Place] = set()
        self.red: set[Place] = set()
        self.left_out: list[str] = []
        self.proof = "Only a part was asked for: nothing proved that every block is run."
        self.wrong: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which blocks ran, whatever came of it, and which were left out."""
        found: dict[str, Any] = dict(report.user_properties)
        if BLOCK_PLACE in found:
            self.ran.add(found[BLOCK_PLACE])
            if report.failed:
                self.red.add(found[BLOCK_PLACE])
        if REASON in found:
            self.left_out.append(found[REASON])
            if self.coverage:  # what only that block reaches is not to be missed here
                self.coverage.options.cov_fail_under = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run for a block that was never run, or that no reader sees."""
        if self.reading is None:
            return
        if session.shouldfail or session.exitstatus == pytest.ExitCode.INTERRUPTED:
            self.proof = "The run was stopped: nothing proved that every block is run."
        elif self.ran:
            files = set(map(str, self.judged))
            shown, not_read = self.reading.end()
            ran = {place for place in self.ran if place[0] in files}
            self.wrong = unproved(shown, ran, self.red) + not_read
            self.proof = "Every block that Sphinx shows was run, or is named below."
            if self.wrong:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what the proof found, and name each block that was left out with what it needs."""
        if self.wrong:
            terminalreporter.section("the pages are not what was run", red=True)
            terminalreporter.write_line("\n".join(self.wrong), red=True)
        elif self.ran:
            terminalreporter.write_line(self.proof)
        if self.left_out:
            terminalreporter.section("left out on this machine")
            terminalreporter.write_line("\n".join(self.left_out))
            packages = sorted(set(" ".join(INSTALL.findall(str(self.left_out))).split()))
            terminalreporter.write_line(f"To run them: apt-get install {' '.join(packages)}")
            if self.coverage:
                terminalreporter.write_line("Coverage is not judged: they reach lines as well.")


#: What lets a trace begin with the block: it fails on a trace of one frame, as a warning has.
BEGIN_WITH_BLOCK = SybilItem._traceback_filter


def begin_with_block(item: SybilItem, error: pytest.ExceptionInfo[BaseException]) -> Traceback:
    """Let a trace begin with the block, unless the trace is of one frame."""
    inside = error.traceback.cut(path=example_module_path)
    return BEGIN_WITH_BLOCK(item, error) if len(inside) > 1 else error.traceback


def pytest_configure(config: pytest.Config) -> None:
    """Begin the proof, in the process that sees all reports."""
    SybilItem._traceback_filter = begin_with_block  # type: ignore[assignment]  # mypy takes no function for a method
    # A shell lets what it runs in the background ignore CTRL+C, and so would all servers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A run that is terminated ends as after CTRL+C: each page closes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        name_semaphores(Path(gettempdir()))  # which the run set for all that it starts
    else:
        leaving = ExitStack()
        leaving.enter_context(leaving_nothing())
        # After multiprocessing, which has a folder for Dask's workers in it and removes that first.
        atexit.register(leaving.close)
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.pluginmanager.register(EveryBlockRan(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Put the blocks of each page in the order in which they run, whatever an option made of it."""
    pages: dict[Path, list[pytest.Item]] = {}
    for item in session.items:
        pages.setdefault(item.path, []).append(item)
    for blocks in pages.values():
        blocks.sort(key=lambda block: turn(block.example) if isinstance(block, SybilItem) else 0)
    if hasattr(session.config, "workerinput"):  # else a run would end with a long page alone
        others = [page for page in pages if page.suffix != ".rst" or page.stem not in LONGEST]
        longest = sorted(pages.keys() - others, key=lambda page: LONGEST.index(page.stem))
        pages = {page: pages[page] for page in [*longest, *others]}
    session.items[:] = chain.from_iterable(pages.values())
    gc.freeze()  # no collection looks at all blocks of the guide again


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Run the blocks that a page has before one, where that block was selected without them."""
    if isinstance(item, SybilItem):
        ran = page_of(item.example.namespace).ran
        for above in sorted(item.example.document.examples(), key=turn):
            if above.start == item.example.start:
                break
            if above.start not in ran:
                ran.add(above.start)
                with suppress(LeftOut):  # what needs it is left out by itself
                    above.evaluate()
        ran.add(item.example.start)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the report of a block say where it stands, and why it was left out."""
    cause = call.excinfo.value if call.excinfo else None  # pytest is about to replace it
    report = yield
    if call.when == "call" and isinstance(item, SybilItem):
        line = item.example.region.lexemes.get("block", item.example.line)
        report.user_properties.append((BLOCK_PLACE, (str(item.path), line)))
        if isinstance(cause, LeftOut):
            report.user_properties.append((REASON, str(cause)))
        elif report.skipped:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: a block may not skip itself"
        above = page_of(item.example.namespace).left_out
        if report.failed and above:
            advice = "If it needs more of them than the suite sees, let Python do that on the page."
            report.sections.append(("left out above it", "\n".join([*above, advice])))
    return report
