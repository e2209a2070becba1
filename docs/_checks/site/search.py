"""Search the built site as readers do: the first result is the page that answers them."""

import tomllib
from pathlib import Path

from playwright.async_api import Browser

from docs._checks.site.built import Finding

QUERIES = Path(__file__).with_name("queries.toml")

#: How many queries may miss.
MISSES = 3

#: Searches with what the page of the search has loaded, and returns the pages, best first.
SEARCH = """query => {
  const found = Search._performSearch(...Search._parseQuery(query));
  return [...new Set(found.reverse().map(([page]) => page))];
}"""


async def search(browser: Browser, address: str) -> list[Finding]:
    """Search for each query, and return what is not found first if that is too much.

    :param address: of the site.
    """
    queries: dict[str, str] = tomllib.loads(QUERIES.read_text("utf-8"))
    missed = []
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{address}search.html")
        await page.wait_for_function("Search.hasIndex()")
        for query, wanted in queries.items():
            pages = await page.evaluate(SEARCH, query)
            if pages[:1] != [wanted]:
                place = (
                    f"is number {pages.index(wanted) + 1}" if wanted in pages else "is not found"
                )
                text = f"{query}: {wanted} {place}, after {', '.join(pages[:3])}"
                missed.append(Finding("search.html", "search", text))
    print(f"{len(queries) - len(missed)} of {len(queries)} searches have the right page first")
    return missed if len(missed) > MISSES else []
