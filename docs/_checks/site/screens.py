"""Count the screens of each page: ``python -m docs._checks.site.screens docs/_build/site``."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import Browser, ViewportSize

from docs._checks.site.browser import PATIENCE, chromium, served

SCREEN: ViewportSize = {"width": 1280, "height": 800}
MEASURE = Path(__file__).with_name("screens.js").read_text("utf-8")

#: The most screens of a page, and of a section.
PAGE, SECTION = 12, 3
#: Pages that may be longer, for readers look things up there.
LOOKED_UP = ("reference/", "production/why-is-it-not-streaming")
#: Folders of the pages that solve a task, and so begin with the solution.
TASKS = ("patterns/", "production/", "recipes/")
#: What Sphinx makes of no source.
GENERATED = {"404.html", "genindex.html", "py-modindex.html", "search.html"}


class Section(NamedTuple):
    """A section of a page, in screens.

    :param heading: its title.
    :param length: of all of it.
    :param code: from the heading to the first code outside a check, where there is any.
    """

    heading: str
    length: float
    code: float | None


class Page(NamedTuple):
    """A page, in screens.

    :param name: of its file, relative to the site.
    :param length: from its top to its end.
    :param in_short: from its top to the end of "In short", where there is one.
    :param listing: from its top to the first listing of "In short", where there is one.
    :param sections: each ``h2``.
    """

    name: str
    length: float
    in_short: float | None
    listing: float | None
    sections: list[Section]

    def found(self) -> Iterator[tuple[str, float, float]]:
        """Yield each rule, what counts for it, mostly screens, and how much it may be."""
        if not self.name.startswith(LOOKED_UP):
            yield "length", self.length, PAGE
            yield "section", max((each.length for each in self.sections), default=0), SECTION
        if self.in_short is not None:
            yield "in_short", self.in_short, 1
        if self.name.startswith(TASKS) and not self.name.endswith("/index.html"):
            yield "no_listing_in_short", float(self.listing is None), 0

    def wrong(self) -> Iterator[str]:
        """Yield a line for each rule that does not hold."""
        for rule, found, most in self.found():
            if round(found, 1) > most:
                yield f"{self.name}: {rule}: {found:.1f}, and the most is {most}"


def in_screens(measured: dict[str, Any]) -> list[Any]:
    """Return what was measured, each number of pixels as screens."""
    height = SCREEN["height"]
    values = measured.values()
    return [value / height if isinstance(value, (int, float)) else value for value in values]


def shown(screens: float | None) -> str:
    """Return a length as the table shows it."""
    return "   -" if screens is None else f"{screens:4.1f}"


async def measure(browser: Browser, address: str) -> dict[str, Any]:
    """Return what ``screens.js`` measures on a page."""
    page = await browser.new_page(viewport=SCREEN)
    try:
        await page.goto(address, timeout=PATIENCE)
        measured: dict[str, Any] = await page.evaluate(MEASURE)
        return measured
    finally:
        await page.close()


async def measure_all(folder: Path, program: str) -> list[Page]:
    """Measure the pages of a site, one after the other.

    :param program: Chromium.
    """
    pages = []
    with served(folder) as address:
        async with chromium(program) as browser:
            for file in sorted(folder.rglob("*.html")):
                name = file.relative_to(folder).as_posix()
                if name in GENERATED or "<article" not in file.read_text("utf-8"):
                    continue  # a redirect has none
                sizes = await measure(browser, address + name)
                sections = [Section(*in_screens(section)) for section in sizes.pop("sections")]
                length, in_short, listing = in_screens(sizes)
                pages.append(Page(name, length, in_short, listing, sections))
    return pages


def main() -> None:
    """Print the screens of each page and section, and fail where they are too many."""
    program = shutil.which("chromium")
    if not program:
        missing = "the screens of a page need chromium (apt-get install chromium)"
        sys.exit(missing if os.environ.get("CI") else print(f"left out: {missing}"))
    pages = asyncio.run(measure_all(Path(sys.argv[1]), program))
    for page in pages:
        print(f"{page.length:5.1f} {page.name}")
        print(f"      listing {shown(page.listing)}, end of in-short {shown(page.in_short)}")
        for section in page.sections:
            print(f"      {shown(section.length)} code {shown(section.code)}  {section.heading}")
    wrong = [line for page in pages for line in page.wrong()]
    for line in wrong:
        print(line)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
