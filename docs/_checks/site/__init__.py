"""What must hold of the built site: ``nox -s site``."""
