"""Save the configuration of a server or proxy, which a command of the page must start."""

from sybil import Example

from docs._blocks.kinds.console import commands
from docs._blocks.page import page_of


def started(example: Example, file: str) -> bool:
    """Tell whether a command below a block starts a server with the file that the block is."""
    below = [other for other in example.document.examples() if other.start > example.start]
    for other in below:
        if other.region.lexemes.get("kind") == "console":
            if any(command.starts(file) for command in commands(other)):
                return True
        elif (other.region.lexemes.get("options") or {}).get("caption") == file:
            return False
    return False


def save_configuration(example: Example) -> str | None:
    """Save a configuration in the page's folder, under the name in its caption."""
    caption = example.region.lexemes["options"].get("caption")
    if not caption:
        return "a configuration needs its file name as caption, such as ':caption: nginx.conf'"
    if not started(example, caption):
        return f"{caption} is never started: no command below it starts a server with it"
    page_of(example.namespace).configure(caption, example.parsed)
    return None
