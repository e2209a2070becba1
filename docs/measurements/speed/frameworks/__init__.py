"""The same export written with other frameworks, and how fast each sends it."""
