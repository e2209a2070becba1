"""A page while it runs: its module, its folder, its servers."""

import os
import re
import sys
from collections.abc import Iterable
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from sybil import Example

from docs._blocks.servers import Servers
from docs._system.packaged import search_path

ROOT = Path(__file__).parents[2]

#: The module that the blocks of a page are.
NAME = "page"


class Page:
    """What one page has of its own while its blocks run: names, files, servers, a database.

    The namespace of its blocks becomes the module ``page`` in a folder of its own,
    so that ``Flask(__name__)`` finds the page's templates.

    :param namespace: the names that the blocks of the page share.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.temporary = TemporaryDirectory(prefix="page-")
        self.folder = Path(self.temporary.name).resolve()
        self.folder.chmod(0o755)  # a server started as root reads it as another user
        self.settings = self.folder / ".settings"
        self.settings.mkdir(mode=0o700)
        self.servers = Servers(namespace)
        #: The configurations of servers, by file, as the page prints them.
        self.configurations: dict[str, str] = {}
        #: The blocks that were left out, and why they were.
        self.left_out: list[str] = []
        #: The names and the files that blocks which were left out would have made or changed,
        #: and why they were.
        self.lost: dict[str, str] = {}
        self.lost_files: dict[str, str] = {}
        #: The names that the page's functions change in place when a request calls them.
        self.changed_by_requests: set[str] = set()
        #: The blocks in the order in which they run, and where those stand that ran.
        self.order: list[Example] = []
        self.ran: set[int] = set()
        self.environment = dict(os.environ)
        self.directory = Path.cwd()
        self.path = list(sys.path)
        module = sys.modules[NAME] = ModuleType(NAME)
        module.__file__ = str(self.folder / f"{NAME}.py")
        namespace["__name__"] = NAME
        namespace["__file__"] = module.__file__
        for name in list(os.environ):
            if re.match(r"FLASK_|GUNICORN_|PYTHON|.*_proxy$", name, re.IGNORECASE):
                del os.environ[name]
        os.environ["LC_ALL"] = "C.UTF-8"
        os.environ["PATH"] = search_path()
        os.environ["XDG_RUNTIME_DIR"] = str(self.settings)
        os.environ["DATABASE_URL"] = f"sqlite:///{self.folder}/.flights.sqlite"
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))

    def save(self, name: str, text: str) -> Path:
        """Write a file into the page's folder and return its path.

        :param name: the path that the caption of a block gives.
        :param text: what the block shows.
        :raises ValueError: when the path leads out of the folder.
        """
        file = (self.folder / name).resolve()
        if not file.is_relative_to(self.folder):
            raise ValueError(f"{name} is outside the page's folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self.forget(file)
        return file

    def forget(self, file: Path) -> None:
        """Let a file that was saved anew take the place of what was read from it before."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)) == str(file) and name != NAME:
                del sys.modules[name]
        invalidate_caches()
        app = self.namespace.get("app")
        if "jinja_env" in getattr(app, "__dict__", {}):
            vars(app)["jinja_env"].cache.clear()

    def configure(self, name: str, text: str) -> None:
        """Save a configuration of a server, with a real port for each that it names.

        :param name: the path that the caption of the block gives.
        :param text: what the block shows.
        """
        self.configurations[name] = text
        self.save(name, self.servers.pin_all(text))

    def lose(self, names: Iterable[str], changed: Iterable[str], reason: str) -> None:
        """Let names be missing that a block which is left out would have made or changed.

        :param names: those that it would have made.
        :param changed: those that it would have changed, or called, if they are modules.
        :param reason: why the block is left out.
        """
        values = {name for name in changed if not isinstance(self.namespace.get(name), ModuleType)}
        self.lost |= dict.fromkeys(values.union(names), reason)

    def close(self) -> None:
        """End the servers, put the process back as it was and remove the folder."""
        try:
            self.servers.close()
        finally:
            self.restore()

    def restore(self) -> None:
        """Put the process back as it was before the page."""
        for name in [name for name in sys.modules if self.owns(sys.modules[name])]:
            del sys.modules[name]
        sys.path[:] = self.path
        os.chdir(self.directory)
        os.environ.clear()
        os.environ.update(self.environment)
        self.temporary.cleanup()

    def owns(self, module: ModuleType) -> bool:
        """Tell whether a module is the page's own: from its folder, or an example it may change."""
        file = str(getattr(module, "__file__", None))
        return Path(file).is_relative_to(self.folder) or module.__name__.startswith("examples")


def open_page(namespace: dict[str, Any]) -> None:
    """Begin a page: Sybil's ``setup``."""
    namespace["__page__"] = Page(namespace)


def close_page(namespace: dict[str, Any]) -> None:
    """End a page: Sybil's ``teardown``."""
    namespace.pop("__page__").close()


def page_of(namespace: dict[str, Any]) -> Page:
    """Return the page that a namespace belongs to."""
    page: Page = namespace["__page__"]
    return page
