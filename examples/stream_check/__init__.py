"""Tell whether a response streams: when each chunk arrives, how it ends, what to try next.

``python -m examples.stream_check URL`` asks any server, of any framework. As ``stream_check.pyz``
the package is one file, and needs nothing but Python 3.9 or later: copy it to where the trouble is.
"""
