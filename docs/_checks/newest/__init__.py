"""Measure every category again on the newest releases: ``nox -s newest``."""
