"""What a page may not contain, because nothing would run it or no reader would see it."""

from sybil.typing import Evaluator

#: Options that leave a block to be what it runs and what every reader sees.
OPTIONS = {
    "caption",
    "emphasize-lines",
    "end-at",
    "end-before",
    "language",
    "pyobject",
    "start-after",
    "start-at",
}

#: Markup of Markdown that shows code and that nothing would run, and what to write instead.
REFUSED_IN_MARKDOWN = {
    r"^(?: {4}|\t)\S|<pre\b": "nothing runs this: write a fence with a language",
    r"<!--(?:(?!-->)[\s\S])*?^```": "a block that no reader sees",
}

#: Markup that shows code and that nothing would run, and what to write instead.
REFUSED = {
    r"^[ \t]*\.\.[ \t]+(?:code-block|literalinclude)[ \t]*:(?!:)": (
        "one colon makes this a comment, which no reader sees: write two"
    ),
    r"^[ \t]*\.\.[ \t]+(?:invisible-|skip:|clear-namespace|only[ \t]*::)": (
        "a block that no reader sees: what a page needs stands on the page"
    ),
    r"^[ \t]*\.\.[ \t]+(?:code|sourcecode|parsed-literal|prompt|doctest|test\w+)[ \t]*::": (
        "nothing runs this directive: write '.. code-block:: LANGUAGE'"
    ),
    r"^(?![ \t]*\.\.[ \t]).*::[ \t]*$": (
        "nothing runs a literal block after '::': write '.. code-block:: LANGUAGE'"
    ),
    r"^[ \t]*\.\.[ \t]+raw[ \t]*::": (
        "nothing runs what a page shows raw: write '.. code-block:: LANGUAGE'"
    ),
    r"^[ \t]*(?:[-*+]|\d+\.|#\.)[ \t]+(?:[-*][ \t]+)?\.\.[ \t]+(?:code-block|literalinclude)": (
        "nothing finds a block on the line of a list item: indent it below the item"
    ),
    r"^[ \t]*>>> ": "nothing runs a prompt outside a block: write '.. code-block:: pycon'",
}


def refuse(reason: str) -> Evaluator:
    """Make an evaluator that fails with a reason.

    :param reason: what is wrong with the block, and what to write instead.
    :returns: an evaluator whose failure carries the page and the line.
    """
    return lambda example: f"{example.path}:{example.line}: {reason}"
