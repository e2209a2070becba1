"""What a page shows of what Flask does: the order of events, what is open, what is left behind."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import product
from typing import NamedTuple

from packaging.version import Version

from docs.measurements.lab.results import recorded

#: What a row was recorded on.
MEASURED_ON = ("flask", "werkzeug", "python", "date")


def different(column: str, record: str = "lifecycle") -> list[str]:
    """Return the different values of a recorded column, in their order."""
    return list(dict.fromkeys(row[column] for row in recorded(record)))


def recorded_on(flask: str, record: str, **cells: str) -> list[dict[str, str]]:
    """Return the recorded rows of a version of Flask, or of the newest one before it.

    :param flask: the version that is asked for.
    :param record: the name of the results.
    :param cells: what the rows have in other columns.
    :raises LookupError: when nothing was recorded on it or before it.
    """
    before = [each for each in different("flask", record) if Version(each) <= Version(flask)]
    if not before:
        raise LookupError(f"nothing was recorded on Flask {flask} or before it")
    cells["flask"] = max(before, key=Version)
    return [row for row in recorded(record) if cells.items() <= row.items()]


def recorded_order(*, flask: str, wrapped: bool, scenario: str) -> list[str]:
    """Return the order of events that was recorded on a version of Flask.

    :param flask: the version; if nothing was recorded on it, the newest one before it counts.
    :param wrapped: whether the generator was given to ``stream_with_context``.
    :param scenario: how the request ended.
    :raises LookupError: when nothing was recorded on it or before it.
    """
    cells = {"wrapped": "yes" if wrapped else "no", "scenario": scenario}
    return [row["event"] for row in recorded_on(flask, "lifecycle", **cells)]


def recorded_resource(
    resource: str, *, flask: str, wrapped: bool, scenario: str = "complete"
) -> tuple[str, str]:
    """Return what was recorded of a resource: when the stream starts, and after the request.

    :raises LookupError: when nothing was recorded of it on the version or before it.
    """
    cells = {"wrapped": "yes" if wrapped else "no", "resource": resource, "scenario": scenario}
    for row in recorded_on(flask, "lifecycle_resources", **cells):
        return row["at_first"], row["afterwards"]
    raise LookupError(f"nothing was recorded of {resource}, {scenario}")


class Settings(NamedTuple):
    """Versions of Flask that agree, and whether the generator is wrapped there."""

    wrapped: bool
    flasks: tuple[str, ...]

    def __str__(self) -> str:
        everything = list(self.flasks) == different("flask")
        versions = "all versions" if everything else f"Flask {', '.join(self.flasks)}"
        return f"{'Wrapped' if self.wrapped else 'Not wrapped'}, {versions}"


def agreeing() -> list[Settings]:
    """Return the versions of Flask in groups that recorded the same, wrapped ones first."""
    groups: dict[tuple[bool, str], list[str]] = {}
    for wrapped, flask in product((True, False), different("flask")):
        same = [
            [cell for name, cell in row.items() if name not in MEASURED_ON]
            for record in ("lifecycle", "lifecycle_resources")
            for row in recorded_on(flask, record, wrapped="yes" if wrapped else "no")
        ]
        groups.setdefault((wrapped, str(same)), []).append(flask)
    return [Settings(wrapped, tuple(flasks)) for (wrapped, _), flasks in groups.items()]


def merge(orders: Iterable[Sequence[str]]) -> list[str]:
    """Return the shortest order we find that has each of several orders in it."""
    merged: list[str] = []
    for order in orders:
        matcher = SequenceMatcher(None, merged, order, autojunk=False)
        longer: list[str] = []
        for tag, start, end, order_start, order_end in matcher.get_opcodes():
            longer += merged[start:end]
            longer += [] if tag == "equal" else order[order_start:order_end]
        merged = longer
    return merged


def steps(order: Sequence[str], events: Iterable[str]) -> list[int | None]:
    """Return for each event the number of the step at which an order has it, if it does."""
    places: list[int | None] = []
    step = 0
    for event in events:
        here = step < len(order) and order[step] == event
        step += here
        places.append(step if here else None)
    return places


def order_table(scenario: str, columns: dict[str, Settings]) -> list[list[str]]:
    """Return the steps of a request, a column for each of several settings.

    :param scenario: how the request ended.
    :param columns: the settings, by the heading.
    """
    orders = [
        recorded_order(flask=flasks[0], wrapped=wrapped, scenario=scenario)
        for wrapped, flasks in columns.values()
    ]
    events = merge(orders)
    lines = zip(events, *(steps(order, events) for order in orders), strict=True)
    return [["Event", *columns], *([str(cell or "") for cell in line] for line in lines)]


def leak_cell(row: dict[str, str]) -> str:
    """Return how many later requests were not torn down, marked as good or bad.

    A stream that was read to its end was not abandoned, and shows nothing.
    """
    if row["generator"] == "read to its end":
        return row["generator"]
    mark = "good" if row["not_torn_down"] == "0" else "bad"
    return f":{mark}:`{row['not_torn_down']} of {row['later']}`"


def leak_table() -> Iterator[list[str]]:
    """Yield for each variant how many later requests skipped teardown.

    Servers that agree in all share a column; versions of Flask that differ have a row each.
    """
    cells = {
        (row["server"], row["variant"], row["flask"]): leak_cell(row)
        for row in recorded("lifecycle_leak")
    }
    servers: dict[str, list[str]] = {}
    for server in different("server", "lifecycle_leak"):
        own = [cell for (name, _, _), cell in cells.items() if name == server]
        servers.setdefault(str(own), []).append(server)
    yield ["What happens to the stream", *(", ".join(names) for names in servers.values())]
    for variant in different("variant", "lifecycle_leak"):
        lines: dict[tuple[str, ...], list[str]] = {}
        for flask in different("flask", "lifecycle_leak"):
            line = tuple(cells[names[0], variant, flask] for names in servers.values())
            lines.setdefault(line, []).append(flask)
        for line, flasks in lines.items():
            which = f" (Flask {', '.join(flasks)})" if len(lines) > 1 else ""
            yield [f"{variant}{which}".replace("close()", "``close()``"), *line]


def tables() -> dict[str, list[list[str]]]:
    """Return the tables that the pages show, by name, as the recorded rows give them."""
    columns = {str(each): each for each in agreeing()}
    wrapped = {f"Flask {', '.join(each.flasks)}": each for each in columns.values() if each.wrapped}
    return {
        **{f"lifecycle_{each}": order_table(each, columns) for each in different("scenario")},
        "lifecycle_orders": order_table("complete", wrapped),
        "lifecycle_leak_table": list(leak_table()),
    }
