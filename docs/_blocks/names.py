"""Say which names a piece of Python needs, and which it makes."""

import builtins
import dis
from types import CodeType


def names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a program uses and does not make, and those that it makes.

    :param source: the program.
    :raises SyntaxError: when it is none.
    """
    used: set[str] = set()
    made: set[str] = set()
    codes = [compile(source, "", "exec")]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                used.add(instruction.argval)
            elif instruction.opname in ("STORE_GLOBAL", "STORE_NAME"):
                made.add(instruction.argval)
    return used - made - {"__file__", "__name__", *dir(builtins)}, made
