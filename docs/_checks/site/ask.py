"""Import the files that a reader has copied, and ask each app once: ``ask.py SECONDS FILE…``.

It runs in the folder of the files and prints a line for each file that cannot be used.
"""

import os
import sys
from contextlib import redirect_stdout
from importlib import import_module
from inspect import iscoroutinefunction
from io import StringIO
from pathlib import Path
from runpy import run_path
from threading import Thread
from typing import Any

from a2wsgi import ASGIMiddleware
from flask import Flask
from werkzeug.test import Client


def names(file: str) -> dict[str, Any]:
    """Return the names of a module, or of a file such as ``gunicorn.conf.py``."""
    if Path(file).stem.isidentifier():
        return vars(import_module(file.removesuffix(".py").replace("/", ".")))
    return run_path(file)


def first_page(app: Any) -> str:
    """Return the path of a view that needs no argument, or that of the root."""
    rules = app.url_map.iter_rules() if hasattr(app, "url_map") else ()
    paths = [rule.rule for rule in rules if "GET" in (rule.methods or ()) and not rule.arguments]
    return next(iter(paths), "/")


def ask(app: Any, problems: list[str]) -> None:
    """Ask an app for the first chunk of a page, and note what is wrong with its answer."""
    if isinstance(app, Flask):
        app.config["PROPAGATE_EXCEPTIONS"] = True  # to name the error behind a 500
    path = first_page(app)
    if iscoroutinefunction(type(app).__call__):  # of ASGI, such as Quart
        app = ASGIMiddleware(app)
    try:
        with Client(app).get(path) as response:
            next(iter(response.response), None)
            if response.status_code >= 500:
                problems.append(f"{path}: {response.status}")
    except Exception as error:
        problems.append(f"{path}: {type(error).__name__}: {error}")


def wrong(files: list[str], seconds: float) -> dict[str, str]:
    """Return what is wrong with files, by file.

    :param files: their paths, relative to this folder.
    :param seconds: how long an app has for its first chunk. With 0 no app is asked.
    """
    found: dict[str, str] = {}
    apps: dict[str, Any] = {}
    for file in files:
        try:
            apps[file] = names(file).get("app")
        except Exception as error:
            found[file] = f"{type(error).__name__}: {error}"
    for file, app in apps.items():
        if app is not None and seconds:
            problems: list[str] = []
            asking = Thread(target=ask, args=[app, problems], daemon=True)
            asking.start()
            asking.join(seconds)
            if asking.is_alive():
                problems.append(f"no chunk after {seconds} seconds")
            if problems:
                found[file] = problems[0].partition("\n")[0]
    return found


def main() -> None:
    """Print each problem, and end even where a view still waits."""
    sys.path.insert(0, "")
    with redirect_stdout(StringIO()):  # what a file prints is no problem
        found = wrong(sys.argv[2:], float(sys.argv[1]))
    for file, problem in found.items():
        print(f"{file}: {problem}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
