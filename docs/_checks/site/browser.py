"""Open every built page in Chromium: what it requests, what its console shows, who can use it."""

import asyncio
import gzip
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from playwright.async_api import Browser, Request, ViewportSize, async_playwright

from docs._checks.site.built import Finding, Site
from docs._checks.site.search import search

#: What the package brings of axe-core. It has no types, and is needed for that file alone.
AXE_SCRIPT = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")

#: Runs some rules of axe. Style sheets need not be loaded again, for they are our own.
AXE = "options => axe.run({preload: false, resultTypes: ['violations'], ...options})"
ALL_BUT_CONTRAST = {
    "rules": {"color-contrast": {"enabled": False}, "target-size": {"enabled": True}}
}
SCROLLING = {"runOnly": ["scrollable-region-focusable", "target-size"]}
CONTRAST = {"runOnly": ["color-contrast"]}

#: Prepares a page for the rule that compares colours, which else takes most of the time.
ONE_OF_EACH = Path(__file__).with_name("one_of_each.js").read_text("utf-8")

#: What a page that has moved has, in place of its text.
REFRESH = 'meta[http-equiv="refresh"]'

#: What a host compresses, by the ends of its names.
COMPRESSED = {".css", ".html", ".js", ".svg", ".txt", ".xml"}

#: How much of a page may be transferred, in bytes and in requests, with all pictures that it shows.
BYTES = 55_000
REQUESTS = 16

#: The search loads its index, and three pages show whole modules.
HEAVY = {
    "search.html": 135_000,
    "reference/examples.html": 100_000,
    "reference/kit.html": 100_000,
    "reference/kit-data.html": 95_000,
}

#: Shows the pictures further down, which a browser loads when its reader gets there.
ALL_PICTURES = """async () => {
  const pictures = [...document.images].filter(each => each.checkVisibility());
  for (const each of pictures) each.loading = "eager";
  await Promise.all(pictures.map(each => each.decode()));
}"""

#: Returns the address of all that a page links to, as the browser understands it.
LINKED = "[...document.querySelectorAll('a, link')].map(each => each.href)"

PATIENCE = 120_000  # milliseconds that a page may take to load

WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}


class View(NamedTuple):
    """A way to look at a page.

    :param name: what a finding calls it.
    :param scheme: the colours that the reader prefers.
    :param size: of the window.
    :param rules: options of axe: the rules that may find something new in this view.
    """

    name: str
    scheme: Literal["light", "dark"]
    size: ViewportSize
    rules: Mapping[str, object]


#: In the order in which a page is looked at. For the last two it is one of each.
VIEWS = (
    View("light", "light", WIDE, ALL_BUT_CONTRAST),
    View("390 px", "light", NARROW, SCROLLING),
    View("light", "light", WIDE, CONTRAST),
    View("dark", "dark", WIDE, CONTRAST),
)


class Host(SimpleHTTPRequestHandler):
    """Serve files as a host does: text is compressed, and what is missing is 404.html."""

    def do_GET(self) -> None:
        """Send a file."""
        file = Path(self.translate_path(self.path))
        found = file.is_file()
        if not found:
            file = Path(self.directory, "404.html")
        body = file.read_bytes()
        self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", self.guess_type(file))
        if file.suffix in COMPRESSED:
            self.send_header("Content-Encoding", "gzip")
            body = gzip.compress(body, 6)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Leave the line out."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port until the block ends, and return its address."""
    handler = partial(Host, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


@asynccontextmanager
async def chromium(program: str) -> AsyncIterator[Browser]:
    """Run Chromium until the block ends.

    :param program: where it is.
    """
    options = ["--disable-quic", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            await browser.close()


async def weight(name: str, requested: list[Request]) -> list[tuple[str, object]]:
    """Return what a page transfers too much of.

    :param name: of the page.
    :param requested: all that it requests until it is shown.
    """
    sent = [each for each in requested if not each.url.startswith("data:")]
    sizes = [await each.sizes() for each in sent]
    total = sum(each["responseBodySize"] + each["responseHeadersSize"] for each in sizes)
    print(f"{name}: {total / 1000:.1f} kB in {len(sent)} requests", flush=True)
    found: list[tuple[str, object]] = []
    if total > (HEAVY.get(name, BYTES)):
        found.append(("weight", f"{total / 1000:.1f} kB are transferred"))
    if len(sent) > REQUESTS:
        found.append(("requests", f"{len(sent)} requests: {[each.url for each in sent]}"))
    return found


async def look(browser: Browser, address: str, name: str) -> list[Finding]:
    """Open a page, look at it in every view, and return what is wrong with it.

    :param address: of the site.
    :param name: of the page, relative to the site.
    """
    found: list[tuple[str, object]] = []
    requested: list[Request] = []
    async with await browser.new_context() as context:
        page = await context.new_page()
        page.on("request", lambda request: requested.append(request))
        page.on("console", lambda message: found.append((f"console {message.type}", message.text)))
        page.on("pageerror", lambda error: found.append(("console error", error)))
        await page.goto(address + name, timeout=PATIENCE)
        await page.evaluate(ALL_PICTURES)
        found += await weight(name, requested)
        await page.evaluate(AXE_SCRIPT)
        for view in VIEWS:
            await page.set_viewport_size(view.size)
            await page.emulate_media(color_scheme=view.scheme)
            if (sideways := await page.evaluate("document.body.scrollWidth - innerWidth")) > 0:
                found.append(("scrolls sideways", f"{view.name}: by {sideways} px"))
            if view.rules is CONTRAST:
                await page.evaluate(ONE_OF_EACH)
            for violation in (await page.evaluate(AXE, view.rules))["violations"]:
                for node in violation["nodes"]:
                    found.append((violation["id"], f"{view.name}: {node['target']}"))
    own = (address, "data:")
    found += [("foreign request", each.url) for each in requested if not each.url.startswith(own)]
    return [Finding(name, rule, str(text)) for rule, text in found]


async def lost(browser: Browser, site: Site, address: str) -> list[Finding]:
    """Open an address that has no page, two folders deep, and return what does not lead back.

    :param address: of the site.
    """
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{address}no/such/page.html", timeout=PATIENCE)
        links: list[str] = await page.evaluate(LINKED)
    files = [unquote(urlsplit(each.removeprefix(address)).path) for each in links]
    return [
        Finding("404.html", "link", f"{link} leads nowhere from another folder")
        for link, file in zip(links, files, strict=True)
        if link.startswith(address) and not site.folder.joinpath(file or "index.html").is_file()
    ]


async def look_at_all(site: Site, program: str) -> list[Finding]:
    """Look at each page, the longest first, as many at once as there are processors.

    A page that sends the browser to another one is left out.

    :param program: Chromium.
    """
    places = asyncio.Semaphore(os.cpu_count() or 1)
    pages = [name for name, page in site.pages.items() if not page.select(REFRESH)]
    names = sorted(pages, key=lambda name: -(site.folder / name).stat().st_size)
    with served(site.folder) as address:
        async with chromium(program) as browser:

            async def look_in_turn(name: str) -> list[Finding]:
                async with places:
                    return await look(browser, address, name)

            found = await asyncio.gather(
                *map(look_in_turn, names),
                lost(browser, site, address),
                search(browser, address),
            )
    return [finding for each in found for finding in each]
