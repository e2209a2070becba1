"""A page while it runs: its module, its folder, its servers and the ports they stand on."""

import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import ExitStack, chdir, closing, suppress
from http.client import HTTPConnection
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest import SkipTest
from unittest.mock import patch

from werkzeug.serving import BaseWSGIServer, make_server

from docs._system.chromium import Chromium
from docs._system.leftovers import end_program, terminate
from docs._system.packaged import search_path
from docs._system.ports import free_port

#: The module that the blocks of a page are.
NAME = "page"

#: The address that a page prints for its own app: that of ``flask run``.
PRINTED_PORT = 5000

#: The port in an address of this machine, as a URL, Python, Varnish or Envoy writes it.
ADDRESS = re.compile(
    r"(?<=127\.0\.0\.1:)[1-9]\d*|(?<=localhost:)[1-9]\d*"
    r"|(?<=\"127\.0\.0\.1\", )[1-9]\d*|(?<=\.port = \")[1-9]\d*"
    r"|(?<=127\.0\.0\.1, port_value: )[1-9]\d*"
)


class LeftOut(SkipTest):
    """A block needs a program that this machine has not, or a server that was left out for it.

    :param reason: which program, and the package to install.
    """

    #: The page and line of the block.
    place = "page"

    def __str__(self) -> str:
        return f"{self.place}: {self.args[0]}"


def routes(port: int) -> bool:
    """Tell whether a proxy passes requests on; Traefik listens before it has read its routes."""
    with suppress(OSError), closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read() != b"404 page not found\n"
    return False


class Servers:
    """The servers of one page, each on a real port that stands for the one the page prints.

    :param namespace: the names that the blocks of the page share, among them ``app``.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        #: The real ports, by the printed ones that they stand for until the page ends.
        self.ports: dict[int, int] = defaultdict(free_port)
        #: The printed ports of servers that this machine cannot run, and why it cannot.
        self.left_out: dict[int, str] = {}
        self.server: BaseWSGIServer | None = None
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def port(self, printed: int = PRINTED_PORT) -> int:
        """Return the real port behind one that the page prints.

        Where no command of the page has started a server on it, the page's own app is served.

        :raises LeftOut: when this machine cannot run the server.
        :raises LookupError: when the page has no app, or the port is another than the app's.
        """
        if printed in self.left_out:
            raise LeftOut(self.left_out[printed])
        if printed == PRINTED_PORT and printed not in self.processes and "app" in self.namespace:
            self.serve_app()
        if printed not in self.ports:
            raise LookupError(f"port {printed}: the page has started no server and has no app")
        return self.ports[printed]

    def serve_app(self) -> None:
        """Serve the page's app on the port that a page prints for it."""
        if self.server is None:
            port, names = self.ports[PRINTED_PORT], self.namespace
            # Each request goes to what the page calls app by then.
            self.server = make_server("127.0.0.1", port, lambda *call: names["app"](*call), True)
            serve = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
            serve.start()

    def renew_app(self) -> None:
        """Let a new app take the place of the server on its port, if the page prints that port."""
        self.left_out.pop(PRINTED_PORT, None)
        if PRINTED_PORT in self.processes:
            self.stop(PRINTED_PORT)
        if PRINTED_PORT in self.ports:
            self.serve_app()

    def to_real(self, text: str) -> str:
        """Replace the ports that a page prints in addresses by those behind them.

        A port that nothing stands behind is left as it is.

        :raises LeftOut: when this machine cannot run a server that the text names.
        """

        def real(found: re.Match[str]) -> str:
            printed = int(found[0])
            served = printed in self.ports or (printed == PRINTED_PORT and "app" in self.namespace)
            return str(self.port(printed) if served or printed in self.left_out else printed)

        return ADDRESS.sub(real, text)

    def to_printed(self, text: str) -> str:
        """Replace real ports in addresses by those that the page prints."""
        printed = {str(real): str(printed) for printed, real in self.ports.items()}
        return ADDRESS.sub(lambda found: printed.get(found[0], found[0]), text)

    def stop(self, printed: int) -> None:
        """End the server on a printed port, be it the page's app or what a command started."""
        if printed == PRINTED_PORT and self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        process = self.processes.pop(printed, None)
        if process:
            end_program(process)

    def close(self) -> None:
        """End all servers, which get SIGTERM at the same time."""
        for process in self.processes.values():
            terminate(process)
        for printed in [PRINTED_PORT, *self.processes]:
            self.stop(printed)


class Page:
    """What one page has of its own while its blocks run: names, files, servers, a database.

    The namespace of its blocks becomes the module ``page`` in a folder of its own,
    so that ``Flask(__name__)`` finds the page's templates.

    :param namespace: the names that the blocks of the page share.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.servers = Servers(namespace)
        #: The configurations of servers, by file, as the page prints them.
        self.configurations: dict[str, str] = {}
        #: The blocks that were left out, and why they were.
        self.left_out: list[str] = []
        #: The names and the files that blocks which were left out would have made or changed,
        #: and why they were.
        self.lost: dict[str, str] = {}
        self.lost_files: dict[str, str] = {}
        #: Where the blocks stand that ran, as places in the text of the page.
        self.ran: set[int] = set()
        #: What runs the page's JavaScript, by its path, once a block of the page needs it.
        self.browsers: dict[str, Chromium] = {}
        #: What puts the process back as it was before the page.
        self.end = ExitStack()
        self.folder = Path(self.end.enter_context(TemporaryDirectory(prefix="page-"))).resolve()
        self.folder.chmod(0o755)  # a server started as root reads it as another user
        self.settings = self.folder / ".settings"
        self.settings.mkdir(mode=0o700)
        self.enter()

    def enter(self) -> None:
        """Let the process work in the folder, as the module of the page, until the page ends."""
        own = {
            "LC_ALL": "C.UTF-8",
            "PATH": search_path(),
            "XDG_RUNTIME_DIR": str(self.settings),
            "DATABASE_URL": f"sqlite:///{self.folder}/.flights.sqlite",
            "FLASK_EVENTS_URL": f"sqlite:///{self.folder}/.events.sqlite",
        }
        self.end.enter_context(patch.dict(os.environ, own))
        self.end.enter_context(patch.object(sys, "path", [str(self.folder), *sys.path]))
        self.end.enter_context(chdir(self.folder))
        self.end.callback(self.restore_modules, dict(sys.modules))
        self.end.callback(self.servers.close)
        for name in set(os.environ) - set(own):
            if re.match(r"FLASK_|GUNICORN_|PYTHON|.*_proxy$", name, re.IGNORECASE):
                del os.environ[name]
        module = sys.modules[NAME] = ModuleType(NAME)
        module.__file__ = str(self.folder / f"{NAME}.py")
        self.namespace |= {"__name__": NAME, "__file__": module.__file__}

    def restore_modules(self, before: dict[str, ModuleType]) -> None:
        """Forget the modules of the page, and the examples, which it may have changed."""
        for name, module in list(sys.modules.items()):
            file = Path(str(getattr(module, "__file__", None)))
            own = file.is_relative_to(self.folder) or name.partition(".")[0] == "examples"
            if own or module is None:  # which forbids to import it
                del sys.modules[name]
        sys.modules |= before

    def save(self, name: str, text: str) -> None:
        """Write a file into the page's folder, and let it take the place of what it was before.

        :param name: the path that the caption of a block gives.
        :param text: what the block shows.
        :raises ValueError: when the path leads out of the folder.
        """
        file = (self.folder / name).resolve()
        if not file.is_relative_to(self.folder):
            raise ValueError(f"{name} is outside the page's folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
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
        real = self.servers.ports
        self.save(name, ADDRESS.sub(lambda printed: str(real[int(printed[0])]), text))


def open_page(namespace: dict[str, Any]) -> None:
    """Begin a page: Sybil's ``setup``."""
    namespace["__page__"] = Page(namespace)


def close_page(namespace: dict[str, Any]) -> None:
    """End a page: Sybil's ``teardown``."""
    namespace.pop("__page__").end.close()


def page_of(namespace: dict[str, Any]) -> Page:
    """Return the page that a namespace belongs to."""
    page: Page = namespace["__page__"]
    return page
