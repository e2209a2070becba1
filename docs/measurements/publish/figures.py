"""The figures of the pages, each a function that draws recorded results in the colours of a theme.

``.. figure-of:: NAME`` shows the function of that name, once for light pages and once for dark.
"""

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from docs.measurements.lab.results import recorded
from docs.measurements.publish import flask_versions
from docs.measurements.publish.drawing import Theme, axes_of, bars, log_axis
from docs.measurements.publish.typical_run import typical_run


def arrivals(theme: Theme) -> Axes:
    """Draw which share of the page had arrived at each moment, streamed and buffered."""
    rows = recorded("arrivals")
    whole = max(int(row["bytes_so_far"]) for row in rows)
    runs = {
        view: [
            (float(row["seconds"]), 100 * int(row["bytes_so_far"]) / whole)
            for row in typical_run(rows, view)
        ]
        for view in ("streamed", "buffered")
    }
    end = 1.06 * max(run[-1][0] for run in runs.values())
    heights = {"streamed": 54, "buffered": 5}  # of the labels, left of where the lines rise

    axes = axes_of(theme, 3.3)
    for view, run in runs.items():
        colour = getattr(theme, view)
        seconds, shares = zip(*run, strict=True)
        axes.step([0, *seconds, end], [0, *shares, 100], where="post", color=colour, clip_on=False)
        half_way = next(second for second, share in run if share >= 50)
        label = f"{view}: first byte\nafter {seconds[0]:.2f} s"
        axes.text(half_way - 0.02 * end, heights[view], label, color=colour, ha="right")
    axes.set_title("Share of the page that has arrived", loc="left", pad=12)
    axes.set_xlabel("Seconds since the request")
    axes.set_xlim(0, end)
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.grid(axis="y")
    return axes


def phases(settings: flask_versions.Settings) -> list[str]:
    """Return the order of events of a stream that is read to its end, in few words."""
    order: list[str] = []
    for event in flask_versions.recorded_order(
        flask=settings.flasks[0], wrapped=settings.wrapped, scenario="complete"
    ):
        word = "teardown" if event.startswith("teardown") else event
        if event.startswith(("generator", "first byte")):
            word = "the stream"
        order += [] if order[-1:] == [word] else [word]
    return order


def lifecycle(theme: Theme) -> Axes:
    """Draw what runs before a stream and after it, a column for each recorded behaviour."""
    columns = flask_versions.agreeing()
    orders = [phases(settings) for settings in columns]
    words = flask_versions.merge(orders)
    heights = [2 if word == "the stream" else 1 for word in words]
    tops = [sum(heights[:row]) for row in range(len(words))]
    colours = {"teardown": theme.buffered, "the stream": theme.streamed}

    axes = axes_of(theme, 4.2)
    for column, (settings, order) in enumerate(zip(columns, orders, strict=True)):
        title = str(settings).replace(", ", ",\n", 1)
        axes.text(column + 0.5, -0.25, title, ha="center", va="bottom")
        axes.plot(
            [column + 0.5] * 2, [0.5, sum(heights) - 0.5], color=theme.rule, linewidth=1.5, zorder=0
        )
        places = flask_versions.steps(order, words)
        for word, top, height, step in zip(words, tops, heights, places, strict=True):
            if step is None:
                continue
            box = (column + 0.04, top + 0.12), 0.92, height - 0.24
            edge = colours.get(word, theme.rule)
            axes.add_patch(Rectangle(*box, facecolor=theme.ground, edgecolor=edge, linewidth=2))
            colour = colours.get(word, theme.text)
            place = column + 0.5, top + height / 2
            axes.text(*place, word, color=colour, ha="center", va="center")
    axes.set_xlim(0, len(columns))
    axes.set_ylim(sum(heights), -1.2)
    axes.set_axis_off()
    return axes


def yields(theme: Theme) -> Axes:
    """Draw where the time goes of a row that is yielded alone, and of one in a chunk."""
    rows = [row for row in recorded("yields") if row["way"] != "the row itself"]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    ends = dict.fromkeys([row["way"] for row in rows], 0.0)
    ways = list(ends)
    axes = axes_of(theme, 2.6, "Microseconds for each row")
    for layer, shade in zip(layers, (1.0, 0.75, 0.5, 1.0), strict=True):
        costs = {
            row["way"]: float(row["microseconds per row"]) for row in rows if row["layer"] == layer
        }
        starts, lengths = list(ends.values()), [costs[way] for way in ways]
        colour = theme.streamed if layer != "sending" else theme.buffered
        axes.barh(ways, lengths, left=starts, color=colour, alpha=shade, label=layer, height=0.6)
        ends = {way: ends[way] + costs[way] for way in ways}
    for place, end in enumerate(ends.values()):
        axes.text(end, place, f" {end:.1f}", va="center")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(ends.values()))
    axes.set_xticks([])
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.02), ncols=2)
    return axes


def chunk_sizes(theme: Theme) -> Axes:
    """Draw the throughput of chunks of each size."""
    rows = recorded("chunk_sizes")
    sizes = [int(row["chunk, bytes"]) for row in rows]
    values = [float(row["against 64 KiB"]) for row in rows]
    axes = axes_of(theme, 3.1, "Throughput, where that of 64 KiB is 1")
    axes.plot(sizes, values, color=theme.streamed, marker="o")
    marks = {128: "128 B", 1024: "1 KiB", 8192: "8 KiB", 65536: "64 KiB", 1048576: "1 MiB"}
    log_axis(axes, marks, base=2)
    axes.set_ylim(0, 1.1 * max(values))
    axes.set_xlabel("Size of a chunk")
    return axes


def pages(theme: Theme) -> Axes:
    """Draw how long each way takes to send a long page; the first two are this guide's."""
    groups = [
        (
            row["way"].replace(", ", ",\n"),
            float(row["milliseconds"]),
            "streamed" if number < 2 else "buffered",
        )
        for number, row in enumerate(recorded("long_pages"))
    ]
    return bars(theme, "Milliseconds for a page of 20,000 rows", groups)


def peers(theme: Theme) -> Axes:
    """Draw how many times as fast as the seed's loop each way is, with all columns."""
    groups = [
        (
            f"{row['contender']}, {row['way'].removeprefix('source ')}",
            float(row["against the seed's loop"]),
            "streamed" if row["contender"] == "large_csv.py" else "buffered",
        )
        for row in recorded("peers")
        if row["columns"] == "19" and row["database"] == "SQLite"
        if row["contender"] != "bare WSGI"
    ]
    groups.sort(key=lambda group: -group[1])
    return bars(theme, "Times the speed of the seed's loop, all columns", groups)


def memory(theme: Theme) -> Axes:
    """Draw the peak of the process for each number of rows, a line for each source."""
    sources: dict[str, dict[int, float]] = {}
    for row in recorded("memory"):
        points = sources.setdefault("{source}, {database}".format(**row), {})
        points[int(row["rows"])] = int(row["peak, KiB"]) * 1024 / 1e6
    highest = {name: points[max(points)] for name, points in sources.items()}
    colours = {name: theme.streamed if "SQLite" in name else theme.buffered for name in sources}
    axes = axes_of(theme, 3.6, "Peak of the process in MB, by the rows of the export")
    for name, points in sources.items():
        axes.plot(*zip(*points.items(), strict=True), color=colours[name], marker="o", markersize=4)
    placed = -100.0
    for name in sorted(highest, key=lambda each: highest[each]):
        placed = max(placed + 7.5, highest[name])
        axes.text(1.35e7, placed, name, color=colours[name], fontsize=11, va="center")
    marks = {1000: "1,000", 10**4: "", 10**5: "100,000", 10**6: "", 10**7: "10 million"}
    log_axis(axes, marks)
    axes.set_xlim(700, 1.2e7)
    axes.set_ylim(0, 1.1 * max(highest.values()))
    return axes
