"""Call ``stream_check`` with the words of a command line, against a server."""

import io
import os
import shlex
from contextlib import redirect_stderr, redirect_stdout
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from docs._checks.stream_check.answers import wire
from docs._checks.stream_check.server import Seen, serving
from examples.stream_check.command import main


def run(case: dict[str, Any]) -> str:
    """Return what the command of a case printed, what its server saw, and the exit status."""
    seen: list[Seen] = []
    printed = io.StringIO()
    with TemporaryDirectory() as folder:
        path = f"{folder}/socket" if case.get("unix") else ""
        with (
            serving(wire(case), seen, path, tls=case.get("tls", False)) as port,
            redirect_stdout(printed),
            redirect_stderr(printed),
            patch.dict(os.environ, case.get("environment", {})),
        ):
            line = case["command"].replace("PORT", port).replace("SOCKET", port)
            try:
                status: object = main(shlex.split(line))
            except SystemExit as left:
                status = left.code
    return f"{printed.getvalue()}\n{seen}\nexit {status}"
