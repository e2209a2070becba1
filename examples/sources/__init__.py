"""Where the lines of an export come from: each module has a function ``blocks``."""
