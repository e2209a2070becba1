"""Count what makes the prose hard to read: ``python -m docs._checks.prose [PAGE ...]``."""
