"""Draw what the page on performance shows, once for light pages and once for dark ones.

Sphinx's ``plot`` directive calls the functions that take no argument.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.ticker import NullLocator

from docs.measurements.lab.results import recorded
from docs.measurements.publish.figures import DARK, LIGHT, Theme
from docs.measurements.publish.speed_tables import NUMBERS

WIDTH = 5.6  # inches; on a phone the text is shown at two thirds of its size

#: The lightness of each further part of a bar.
SHADES = (1.0, 0.75, 0.5, 1.0)

#: The names of the sources in a figure, and of the databases that they read.
SOURCE = "{source}, {database}"


def axes_of(theme: Theme, height: float, title: str) -> Any:
    """Return axes without a frame, in the colours of a theme."""
    figure, axes = plt.subplots(figsize=(WIDTH, height), layout="constrained", facecolor="none")
    axes.set_facecolor("none")
    figure.suptitle(title, x=0.01, horizontalalignment="left", color=theme.text, fontsize=12)
    axes.tick_params(colors=theme.text, labelsize=12, length=0, pad=6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return axes


def bars(theme: Theme, title: str, groups: Sequence[tuple[str, float, str]]) -> None:
    """Draw a bar for each of some values, with the value at its end.

    :param title: what the values are.
    :param groups: for each bar what it is, its value, and the colour that it has in a theme.
    """
    axes = axes_of(theme, 0.9 + 0.3 * len(groups), title)
    names = [name for name, _, _ in groups]
    values = [value for _, value, _ in groups]
    colours = [getattr(theme, colour) for _, _, colour in groups]
    drawn = axes.barh(range(len(groups)), values, color=colours, height=0.66)
    labels = [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in values]
    axes.bar_label(drawn, labels, color=theme.text, fontsize=12, padding=4)
    axes.set_yticks(range(len(groups)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(values))
    axes.set_xticks([])


def yields(theme: Theme) -> None:
    """Draw where the time goes of a row that is yielded alone, and of one in a chunk."""
    rows = [row for row in recorded("yields") if row["way"] != "the row itself"]
    ways = list(dict.fromkeys(row["way"] for row in rows))
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    axes = axes_of(theme, 2.6, "Microseconds for each row")
    ends = dict.fromkeys(ways, 0.0)
    for layer, shade in zip(layers, SHADES, strict=True):
        costs = {
            row["way"]: float(row["microseconds per row"]) for row in rows if row["layer"] == layer
        }
        starts = [ends[way] for way in ways]
        lengths = [costs[way] for way in ways]
        colour = theme.streamed if layer != "sending" else theme.buffered
        axes.barh(ways, lengths, left=starts, color=colour, alpha=shade, label=layer, height=0.6)
        for way in ways:
            ends[way] += costs[way]
    for place, way in enumerate(ways):
        axes.text(ends[way], place, f" {ends[way]:.1f}", color=theme.text, fontsize=12, va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(ends.values()))
    axes.set_xticks([])
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.4, -0.02),
        ncols=2,
        frameon=False,
        labelcolor=theme.text,
        fontsize=12,
    )


def chunk_sizes(theme: Theme) -> None:
    """Draw the throughput of chunks of each size."""
    rows = recorded("chunk_sizes")
    sizes = [int(row["chunk, bytes"]) for row in rows]
    axes = axes_of(theme, 3.1, "Throughput, where that of 64 KiB is 1")
    values = [float(row["against 64 KiB"]) for row in rows]
    axes.plot(sizes, values, color=theme.streamed, linewidth=2.2, marker="o", markersize=5)
    axes.set_xscale("log", base=2)
    marks = {128: "128 B", 1024: "1 KiB", 8192: "8 KiB", 65536: "64 KiB", 1048576: "1 MiB"}
    axes.set_xticks(list(marks), list(marks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.1 * max(values))
    axes.grid(axis="y", color=theme.rule, linewidth=0.8)
    axes.set_xlabel("Size of a chunk", color=theme.text, fontsize=12)


def pages(theme: Theme) -> None:
    """Draw how long each way takes to send a long page."""
    rows = recorded("pages")
    groups = [(row["way"], float(row["milliseconds"]), "buffered") for row in rows]
    groups[:2] = [(*group[:2], "streamed") for group in groups[:2]]
    names = [(name.replace(", ", ",\n"), value, colour) for name, value, colour in groups]
    bars(theme, "Milliseconds for a page of 20,000 rows", names)


def peers(theme: Theme) -> None:
    """Draw how many times as fast as the seed's loop each way is, with all columns."""
    rows = [row for row in recorded("peers") if row["columns"] == "19"]
    groups = []
    for row in rows:
        if row["database"] != "SQLite" or row["contender"] == "bare WSGI":
            continue
        own = row["contender"] == "large_csv.py"
        way = row["way"].removeprefix("source ")
        groups.append(
            (
                f"{row['contender']}, {way}",
                float(row["against the seed's loop"]),
                "streamed" if own else "buffered",
            )
        )
    groups.sort(key=lambda group: -group[1])
    bars(theme, "Times the speed of the seed's loop, all columns", groups)


def memory(theme: Theme) -> None:
    """Draw the peak of the process for each number of rows, a line for each source."""
    axes = axes_of(theme, 3.6, "Peak of the process in MB, by the rows of the export")
    sources: dict[str, list[tuple[int, float]]] = {}
    for row in recorded("memory"):
        found = sources.setdefault(SOURCE.format(**row), [])
        found.append((int(row["rows"]), int(row["peak, KiB"]) * 1024 / 1e6))
    for name, points in sources.items():
        colour = theme.streamed if "SQLite" in name else theme.buffered
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=2.2, marker="o", markersize=4)
    highest = {name: points[-1][1] for name, points in sources.items()}
    placed = -100.0
    for name in sorted(highest, key=lambda each: highest[each]):
        placed = max(placed + 7.5, highest[name])
        colour = theme.streamed if "SQLite" in name else theme.buffered
        axes.text(1.35e7, placed, name, color=colour, fontsize=11, va="center")
    axes.set_xscale("log")
    axes.set_xlim(700, 1.2e7)
    axes.set_ylim(0, 1.1 * max(highest.values()))
    axes.set_xticks([int(rows) for rows in NUMBERS], ["1,000", "", "100,000", "", "10 million"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=theme.rule, linewidth=0.8)


def yields_light() -> None:
    """Draw the cost of a yield for a light page."""
    yields(LIGHT)


def yields_dark() -> None:
    """Draw the cost of a yield for a dark page."""
    yields(DARK)


def chunk_sizes_light() -> None:
    """Draw the sizes of a chunk for a light page."""
    chunk_sizes(LIGHT)


def chunk_sizes_dark() -> None:
    """Draw the sizes of a chunk for a dark page."""
    chunk_sizes(DARK)


def pages_light() -> None:
    """Draw the long page for a light page."""
    pages(LIGHT)


def pages_dark() -> None:
    """Draw the long page for a dark page."""
    pages(DARK)


def peers_light() -> None:
    """Draw the peers for a light page."""
    peers(LIGHT)


def peers_dark() -> None:
    """Draw the peers for a dark page."""
    peers(DARK)


def memory_light() -> None:
    """Draw the memory for a light page."""
    memory(LIGHT)


def memory_dark() -> None:
    """Draw the memory for a dark page."""
    memory(DARK)
