"""A page while it runs: its module, its folder, its servers."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

ROOT = Path(__file__).parents[2]

#: The address that a page prints for its own app: that of ``flask run``.
PRINTED_PORT = 5000

#: The port in an address of this machine.
ADDRESS = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+")

#: The module that the blocks of a page are.
NAME = "page"


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


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
        self.ports: dict[int, int] = {}
        self.environment = dict(os.environ)
        self.directory = Path.cwd()
        self.path = list(sys.path)
        self.server: BaseWSGIServer | None = None
        self.processes: dict[int, subprocess.Popen[str]] = {}
        module = sys.modules[NAME] = ModuleType(NAME)
        module.__file__ = str(self.folder / f"{NAME}.py")
        namespace["__name__"] = NAME
        namespace["__file__"] = module.__file__
        for name in list(os.environ):
            if re.match(r"FLASK_|GUNICORN_|PYTHON|.*_proxy$", name, re.IGNORECASE):
                del os.environ[name]
        os.environ["LC_ALL"] = "C.UTF-8"
        os.environ["XDG_RUNTIME_DIR"] = str(self.folder)
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

    def call_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Pass a request on to what the page calls ``app`` by now."""
        response: Iterable[bytes] = self.namespace["app"](environ, start_response)
        return response

    def port(self, printed: int = PRINTED_PORT) -> int:
        """Return the real port behind one that the page prints.

        Where no command of the page has started a server on it, the page's own app is served.

        :raises LookupError: when the page has no app, or the port is another than the app's.
        """
        if printed not in self.ports:
            if printed != PRINTED_PORT or "app" not in self.namespace:
                raise LookupError(f"port {printed}: the page has started no server and has no app")
            if self.server is None:
                self.server = make_server("127.0.0.1", 0, self.call_app, threaded=True)
                serve = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
                serve.start()
            self.ports[printed] = self.server.port
        return self.ports[printed]

    def to_real(self, text: str) -> str:
        """Replace the ports that a page prints in addresses by those behind them.

        A port that nothing stands behind is left as it is.
        """

        def real(found: re.Match[str]) -> str:
            printed = int(found[0])
            served = printed in self.ports or (printed == PRINTED_PORT and "app" in self.namespace)
            return str(self.port(printed) if served else printed)

        return ADDRESS.sub(real, text)

    def to_printed(self, text: str) -> str:
        """Replace real ports in addresses by those that the page prints."""
        printed = {str(real): str(printed) for printed, real in self.ports.items()}
        return ADDRESS.sub(lambda found: printed.get(found[0], found[0]), text)

    def stop(self, printed: int) -> None:
        """End the server that a command of the page started on a printed port."""
        self.ports.pop(printed, None)
        process = self.processes.pop(printed, None)
        if process:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, signal.SIGTERM)  # the reloader of flask run has a child
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the servers, put the process back as it was and remove the folder."""
        try:
            for printed in list(self.processes):
                self.stop(printed)
            if self.server:
                self.server.shutdown()
                self.server.server_close()
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
