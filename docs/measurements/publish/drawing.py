"""What every figure is drawn with: the colours of light and dark pages, axes and bars."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator


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

WIDTH = 5.6  # inches; on a phone the text is shown at two thirds of its size
FONT = 12  # points, which can still be read there


def style(theme: Theme) -> dict[Any, Any]:
    """Return the settings of Matplotlib with which a figure is drawn in a theme."""
    return {
        "font.size": FONT,
        "axes.titlesize": FONT,
        "axes.labelcolor": theme.text,
        "text.color": theme.text,
        "lines.linewidth": 2.2,
        "lines.markersize": 5,
        "grid.color": theme.rule,
        "legend.frameon": False,
    }


def axes_of(theme: Theme, height: float, title: str = "") -> Axes:
    """Return axes without a frame, in the colours of a theme.

    :param height: of the figure, in inches.
    :param title: what stands above it.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
    axes = figure.subplots()
    axes.set_facecolor("none")
    if title:
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=FONT)
    axes.tick_params(colors=theme.text, length=0, pad=6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return axes


def bars(theme: Theme, title: str, groups: Sequence[tuple[str, float, str]]) -> Axes:
    """Return axes with a bar for each of some values, and the value at its end.

    :param title: what the values are.
    :param groups: for each bar what it is, its value, and the colour that it has in a theme.
    """
    axes = axes_of(theme, 0.9 + 0.3 * len(groups), title)
    names, values, shades = zip(*groups, strict=True)
    colours = [getattr(theme, shade) for shade in shades]
    drawn = axes.barh(range(len(groups)), values, color=colours, height=0.66)
    labels = [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in values]
    axes.bar_label(drawn, labels, padding=4)
    axes.set_yticks(range(len(groups)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(values))
    axes.set_xticks([])
    return axes


def log_axis(axes: Axes, marks: dict[int, str], base: int = 10) -> None:
    """Let the values of the horizontal axis be a power of a base apart, and rule the other one.

    :param marks: what stands below some of the values.
    """
    axes.set_xscale("log", base=base)
    axes.set_xticks(list(marks), list(marks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
