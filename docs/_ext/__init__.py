"""The guide's own extensions of Sphinx."""
