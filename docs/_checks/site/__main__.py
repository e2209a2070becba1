"""Check a built site: ``python -m docs._checks.site docs/_build/html``."""

import asyncio
import os
import shutil
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from docs._checks.site.browser import look_at_all
from docs._checks.site.built import Finding, Site
from docs._checks.site.copied import copied
from docs._checks.site.listings import missing_imports

KNOWN = Path(__file__).with_name("known.toml")
CHROMIUM = "the pages in a browser need chromium (apt-get install chromium)"


def report(findings: Iterable[Finding], known: dict[str, int]) -> Iterator[str]:
    """Yield a line for each thing that is new: a rule that holds no longer, or that more break.

    :param known: how often each rule is known to be broken, on all pages and in all views.
    """
    rules: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        rules[finding.rule].append(finding)
    for rule, found in sorted(rules.items()):
        allowed = known.get(rule, 0)
        if not allowed:
            yield from (f"{finding.page}: {rule}: {finding.text}" for finding in found)
        elif len(found) > allowed:
            pages = Counter(finding.page for finding in found)
            by_page = ", ".join(f"{count} on {page}" for page, count in pages.items())
            yield f"{rule}: {len(found)}, and {allowed} are known: {by_page}"


def main() -> None:
    """Print what is wrong with the site, and fail if anything is."""
    site = Site(Path(sys.argv[1]))
    findings = [*site.broken_links(), *site.invalid_html(), *site.records_in_sight()]
    findings += [*missing_imports(site), *copied(site)]
    chromium = shutil.which("chromium")
    if chromium:
        findings += asyncio.run(look_at_all(site, chromium))
    elif os.environ.get("CI"):
        sys.exit(f"CI leaves nothing out: {CHROMIUM}")
    known = tomllib.loads(KNOWN.read_text("utf-8"))
    wrong = list(report(findings, known))
    print(*wrong, sep="\n")
    for rule, count in Counter(finding.rule for finding in findings).items():
        if count < known.get(rule, 0):
            print(f"{rule}: {count}, so known.toml may say so")
    print(f"{len(site.pages)} pages" + ("" if chromium else f"; left out: {CHROMIUM}"))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
