"""A module for each kind of block: what running it means."""
