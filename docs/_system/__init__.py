"""What blocks and measurements share: ports and programs of this machine, and TOML files."""

from pathlib import Path

#: The folder of the repository.
ROOT = Path(__file__).parents[2]
