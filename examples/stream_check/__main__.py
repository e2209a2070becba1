"""Check what the command line says, or tell that Python is too old for it."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 -- the rest can be read by Python 3.6, and not run
    sys.exit(f"stream_check needs Python 3.9 or later, and this is {sys.version.split()[0]}")

from .command import main


def run() -> None:
    """Check what the command line says, and exit with what that is worth."""
    sys.exit(main())


if __name__ == "__main__":
    run()
