"""Draw recorded results, once for light pages and once for dark ones.

Sphinx's ``plot`` directive calls the functions that take no argument.
"""

from typing import Any, NamedTuple

from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from docs.measurements.lifecycle.order import Settings, agreeing, merge, recorded_order, steps
from docs.measurements.speed.arrivals import VIEWS, recorded_arrivals, typical_run


class Theme(NamedTuple):
    """The colours of a figure, which has no background of its own."""

    text: str
    ground: str
    rule: str
    streamed: str
    buffered: str


#: Text and both lines have a contrast of at least 4.5 to 1 against the page's background.
LIGHT = Theme(
    text="#42464d", ground="#ffffff", rule="#d5d8dc", streamed="#0b6469", buffered="#87480c"
)
DARK = Theme(
    text="#c4c8ce", ground="#0e1719", rule="#3a3e44", streamed="#6ecac8", buffered="#e3b384"
)

#: How a word stands in its box.
CENTRED: dict[str, Any] = {"fontsize": 12, "horizontalalignment": "center"}

#: The percentage at which the label of each line stands, left of where the line rises.
HEIGHTS = {"streamed": 54, "buffered": 5}


def arrivals(theme: Theme) -> None:
    """Draw which share of the page had arrived at each moment, streamed and buffered."""
    rows = recorded_arrivals()
    runs = {view: typical_run(rows, view) for view in VIEWS}
    whole = max(row.bytes_so_far for row in rows)
    end = 1.06 * max(run[-1].seconds for run in runs.values())

    # On a phone the text is shown at two thirds of its size, which can still be read.
    _, axes = plt.subplots(figsize=(5.6, 3.3), layout="constrained", facecolor="none")
    axes.set_facecolor("none")
    for view, run in runs.items():
        colour = getattr(theme, view)
        shares = [100 * row.bytes_so_far / whole for row in run]
        seconds = [row.seconds for row in run]
        axes.step(
            [0, *seconds, end],
            [0, *shares, 100],
            where="post",
            color=colour,
            linewidth=2.2,
            clip_on=False,
        )
        half_way = next(row.seconds for row in run if 2 * row.bytes_so_far >= whole)
        axes.text(
            half_way - 0.02 * end,
            HEIGHTS[view],
            f"{view}: first byte\nafter {seconds[0]:.2f} s",
            color=colour,
            fontsize=12,
            horizontalalignment="right",
        )

    axes.set_title(
        "Share of the page that has arrived", loc="left", color=theme.text, fontsize=12, pad=12
    )
    axes.set_xlabel("Seconds since the request", color=theme.text, fontsize=12)
    axes.set_xlim(0, end)
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.tick_params(colors=theme.text, labelsize=12, length=0, pad=6)
    axes.grid(axis="y", color=theme.rule, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def phases(settings: Settings) -> list[str]:
    """Return the order of events of a stream that is read to its end, in few words."""
    order: list[str] = []
    for event in recorded_order(
        flask=settings.flasks[0], wrapped=settings.wrapped, scenario="complete"
    ):
        word = "teardown" if event.startswith("teardown") else event
        if event.startswith(("generator", "first byte")):
            word = "the stream"
        order += [] if order[-1:] == [word] else [word]
    return order


def lifecycle(theme: Theme) -> None:
    """Draw what runs before a stream and after it, a column for each recorded behaviour."""
    columns = agreeing()
    orders = [phases(settings) for settings in columns]
    words = merge(orders)
    heights = [2 if word == "the stream" else 1 for word in words]
    tops = [sum(heights[:row]) for row in range(len(words))]
    colours = {"teardown": theme.buffered, "the stream": theme.streamed}

    # On a phone the text is shown at two thirds of its size, which can still be read.
    _, axes = plt.subplots(figsize=(5.6, 4.2), layout="constrained", facecolor="none")
    axes.set_facecolor("none")
    for column, (settings, order) in enumerate(zip(columns, orders, strict=True)):
        title = str(settings).replace(", ", ",\n", 1)
        axes.text(column + 0.5, -0.25, title, color=theme.text, **CENTRED, va="bottom")
        axes.plot([column + 0.5] * 2, [0.5, sum(heights) - 0.5], color=theme.rule, zorder=0)
        for word, top, height, step in zip(words, tops, heights, steps(order, words), strict=True):
            if step is None:
                continue
            box = (column + 0.04, top + 0.12), 0.92, height - 0.24
            edge = colours.get(word, theme.rule)
            axes.add_patch(Rectangle(*box, facecolor=theme.ground, edgecolor=edge, linewidth=2))
            colour = colours.get(word, theme.text)
            axes.text(column + 0.5, top + height / 2, word, color=colour, **CENTRED, va="center")
    axes.set_xlim(0, len(columns))
    axes.set_ylim(sum(heights), -1.2)
    axes.set_axis_off()


def lifecycle_light() -> None:
    """Draw the order of events for a light page."""
    lifecycle(LIGHT)


def lifecycle_dark() -> None:
    """Draw the order of events for a dark page."""
    lifecycle(DARK)


def arrivals_light() -> None:
    """Draw the arrivals for a light page."""
    arrivals(LIGHT)


def arrivals_dark() -> None:
    """Draw the arrivals for a dark page."""
    arrivals(DARK)
