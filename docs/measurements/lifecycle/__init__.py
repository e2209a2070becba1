"""What Flask does: the order of events, and what an abandoned stream leaves."""
