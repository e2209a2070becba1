"""Run a ``javascript`` block: a module on a page of the app, in a real Chromium."""

import re
import shutil
from pathlib import Path

from sybil import Example

from docs._blocks.kinds.console import Command, absent
from docs._blocks.matching import compare
from docs._blocks.page import ADDRESS, PRINTED_PORT, page_of
from docs._system.chromium import Chromium, ChromiumError

BLOCK_LIMIT = 30  # seconds that a block may take

#: Chromium without what a window needs, and without downloads. It starts in a third of the time.
SHELL = "chromium-headless-shell"


def run_javascript(example: Example) -> str | None:
    """Run a block as a module, and compare what it shows with the comment at its end.

    An address in its first line is that of the page on which it runs.

    :raises LeftOut: when this machine has no Chromium.
    """
    page = page_of(example.namespace)
    place = f"{example.path}:{example.line}"
    if needs := absent(Command(example.line, "chromium", ""), page):
        return f"{place}: {needs}"
    source = example.parsed.rstrip("\n") + "\n"
    address = re.match(r"// (http://\S+)\n", source)
    printed = address[1] if address else f"http://127.0.0.1:{PRINTED_PORT}/"
    page.servers.port(int(ADDRESS.findall(printed)[0]))
    url = page.servers.to_real(printed)
    downloads = example.region.lexemes.get("options", {}).get("class") == "downloads"
    program = (not downloads and shutil.which(SHELL)) or str(shutil.which("chromium"))
    if program not in page.browsers:
        page.browsers[program] = Chromium(program, page.settings / Path(program).name)
        page.end.callback(page.browsers[program].close)
    # With the line numbers of the page, which the errors of the module name.
    module = "\n" * (example.line + example.parsed.line_offset) + page.servers.to_real(source)
    try:
        ran = page.browsers[program].run(url, Path(example.path).name, module, BLOCK_LIMIT)
    except ChromiumError as error:
        return f"{place}: {printed}: {error}"
    if ran.errors:
        return page.servers.to_printed("\n".join([f"{place}: {printed}", *ran.errors]))
    shown = "".join(f"{line.rstrip()}\n" for item in ran.shown for line in item.split("\n"))
    comment = re.search(r"(?m)(?:^//(?: .*)?\n)+\Z", source)
    expected = "".join(f"{line[3:]}\n" for line in comment[0].splitlines()) if comment else ""
    return compare(expected, page.servers.to_printed(shown))
