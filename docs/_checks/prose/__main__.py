"""Print a line for each page, and every habit of a page that has too many or was named."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs._checks.prose.sentences import Sentence, sentences
from docs._system import ROOT
from docs._system.declared import declared

FOUND_BY = declared(Path(__file__).with_name("habits.toml"))
HABITS = {name: re.compile(pattern) for name, pattern in FOUND_BY["habits"].items()}

LIMIT: int = FOUND_BY["limit"]
SHORTEST: int = FOUND_BY["shortest"]


class Page(NamedTuple):
    """The prose of a page.

    :param name: of its file, in the project.
    :param sentences: all that is read.
    """

    name: str
    sentences: list[Sentence]

    @property
    def words(self) -> int:
        """Return how many words it has."""
        return sum(sentence.words for sentence in self.sentences)

    @property
    def hits(self) -> list[str]:
        """Return a line for each habit."""
        return [
            f"{self.name}:{sentence.line}: {habit}: {sentence.text[:100]}"
            for sentence in self.sentences
            for habit in habits(sentence)
        ]

    @property
    def rate(self) -> float:
        """Return the hits in 1,000 words; a short page counts as one that is not so short."""
        return 1000 * len(self.hits) / max(self.words, SHORTEST)

    @property
    def mean(self) -> float:
        """Return the words of a sentence on average, without those of up to three words."""
        words = [sentence.words for sentence in self.sentences if sentence.words > 3]
        return sum(words) / max(1, len(words))

    @property
    def has_too_many(self) -> bool:
        """Tell whether it is over the limit."""
        return self.rate > LIMIT


def habits(sentence: Sentence) -> Iterator[str]:
    """Yield each habit of a sentence, with the words that show it."""
    if sentence.words > FOUND_BY["sentence"]:
        yield f"{sentence.words} words"
    for name, pattern in HABITS.items():
        yield from (f"{name} {hit[0]!r}" for hit in pattern.finditer(sentence.text))


def files() -> Iterator[Path]:
    """Yield the pages, the README and the modules that readers copy."""
    docs = (ROOT / "docs").rglob("*.rst")
    yield from sorted(page for page in docs if "_build" not in page.parts)
    yield ROOT / "README.md"
    yield from sorted((ROOT / "examples/kit").glob("*.py"))


def main() -> None:
    """Count the pages that are named, or all; fail if one of them has too many habits."""
    named = [Path(name).resolve() for name in sys.argv[1:]]
    pages = [Page(str(file.relative_to(ROOT)), sentences(file)) for file in named or files()]
    print(f"{'page':48} words  words a sentence  habits in 1,000 words")
    for page in pages:
        print(f"{page.name:48} {page.words:5}  {page.mean:16.1f}  {page.rate:21.0f}")
    words, hits = sum(page.words for page in pages), sum(len(page.hits) for page in pages)
    print(f"{'all':48} {words:5}  {1000 * hits / max(1, words):39.0f}")
    for page in pages:
        if named or page.has_too_many:
            print(*page.hits, sep="\n")
    wrong = [page.name for page in pages if page.has_too_many]
    sys.exit(f"too many habits: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
