"""Read what the TOML file beside a module declares."""

import tomllib
from pathlib import Path
from typing import Any


def declared(file: str | Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    :param file: its path, or that of the module beside it which has its name.
    """
    return tomllib.loads(Path(file).with_suffix(".toml").read_text("utf-8"))
