"""From recorded rows to the tables and figures of a page."""
