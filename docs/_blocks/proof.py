"""The proof that the pages keep the promise: every block that a reader sees was run."""

import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

from docs._system import ROOT

#: A place in the project: a file, and a line counted from 1.
Place = tuple[str, int]


class Reading:
    """Sphinx reading pages, in a process that goes on beside the tests.

    :param files: the pages and modules whose blocks it must find.
    """

    def __init__(self, files: set[Path]) -> None:
        command = [sys.executable, "-m", "docs._blocks.shown", *map(str, files)]
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=PIPE, stderr=PIPE)

    def end(self) -> tuple[dict[Place, str], list[str]]:
        """Wait until all is read, and return each block with its first line, and what is wrong.

        :raises RuntimeError: when Sphinx cannot read the pages.
        """
        output, errors = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"Sphinx could not read the pages:\n{errors}")
        blocks, wrong = json.loads(output)
        return {(file, line): first_line for file, line, first_line in blocks}, wrong


def unproved(shown: dict[Place, str], ran: set[Place], red: set[Place]) -> list[str]:
    """Name each block that readers see and that was not run, and each that ran unseen.

    :param shown: where the blocks stand that readers see, and the first line of each.
    :param ran: where the blocks stand that ran.
    :param red: where those of them stand that failed, and so were named already.
    """
    never = [f"{file}:{line}: never run: {shown[file, line]}" for file, line in shown.keys() - ran]
    unseen = [
        f"{file}:{line}: run, but no reader sees it"
        for file, line in ran - red - shown.keys()
        if file.endswith(".rst")
    ]
    return sorted(never + unseen)
