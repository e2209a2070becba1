"""Compare the verdicts of ``stream_check`` with the record of servers, proxies and middleware.

A verdict has to agree with the category that was measured by other means: a measurement knows when
each piece was produced, and ``stream_check`` knows only when bytes arrived.
"""

#: For each category of arrival, the verdicts that agree with it. What comes one piece late comes
#: piece by piece all the same: only who knows when it was made can tell.
ARRIVED = {
    "as made": {"streamed"},
    "one late": {"streamed", "in lumps"},
    "in bursts": {"in lumps", "delayed"},
    "all at the end": {"buffered until the end"},
}

#: For each way in which a stream that raised ends, the endings that agree with it.
ENDED = {
    "cut": {"cut short"},
    "reset": {"cut short"},
    "silent": {"complete", "ended by closing"},
    "no answer": {"no answer"},
    "500": {"500"},
    "502": {"502"},
}

#: A column of ``stream_check``, the column that it is held against, and what agrees.
COMPARED = {
    "stream_check, small pieces": ("small pieces", ARRIVED),
    "stream_check, large pieces": ("large pieces", ARRIVED),
    "stream_check, error midway": ("error midway HTTP/1.1", ENDED),
}


def disagreements(row: dict[str, str]) -> list[str]:
    """Return where the verdicts of a recorded row do not agree with its categories.

    :raises KeyError: when a category has nothing here that agrees with it.
    """
    return [
        f"{row[category]}, and {name} finds {row[name]}"
        for name, (category, agreeing) in COMPARED.items()
        if not row.get("not measured") and row[name] not in agreeing[row[category]]
    ]
