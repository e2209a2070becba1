"""What a page shows of ``clients.csv``: for each language, a call that notices every cut."""

from collections.abc import Mapping

from docs.measurements.lab.results import recorded


def in_lines(code: str) -> str:
    """Return code as the lines of a cell."""
    lines = [(len(line) - len(line.lstrip()), line.lstrip()) for line in code.splitlines()]
    return "\n".join(f"| {' ' * indent}``{line}``" for indent, line in lines)


def notices(row: Mapping[str, str]) -> bool:
    """Tell whether a client reported every cut of a body that has chunks or a length."""
    cuts = [name for name in row if "chunked, cut" in name or "length, cut" in name]
    return all(row[name] == "error" for name in cuts)


def noticing_calls() -> list[list[str]]:
    """Return, for each language, the first of its calls that notices every cut, if one does."""
    rows = [row for row in recorded("clients") if not row.get("not measured")]
    none = ["", ":silent:`no call here notices every cut`"]
    calls = {row["language"]: none for row in rows}
    for row in reversed(rows):
        if notices(row):
            calls[row["language"]] = [in_lines(row["call"]), f"``{row['reports']}``"]
    return [["With", "Write", "A cut is"], *([name, *cells] for name, cells in calls.items())]
