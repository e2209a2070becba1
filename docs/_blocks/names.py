"""Say what a piece of Python needs, what it makes and what it changes."""

import ast
import builtins
import dis
from dataclasses import dataclass, field
from types import CodeType

#: Instructions that read a name of the module, and those that bind one.
READS = ("LOAD_GLOBAL", "LOAD_NAME")
BINDS = ("STORE_GLOBAL", "STORE_NAME")

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def names(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a program uses before it makes them, or never does, and those it makes.

    :param source: the program.
    :raises SyntaxError: when it is none.
    """
    used: set[str] = set()
    made: set[str] = set()
    early: set[str] = set()
    codes = [compile(source, "", "exec")]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(code):
            if instruction.opname in READS:
                used.add(instruction.argval)
                if code is codes[0] and instruction.argval not in made:
                    early.add(instruction.argval)
            elif instruction.opname in BINDS:
                made.add(instruction.argval)
    return (used - made | early) - {"__file__", "__name__", *dir(builtins)}, made


@dataclass
class Effects:
    """What a program leaves behind, or reads, beside the names that it makes."""

    #: The names of the module that its own lines change in place, as ``seen.append(1)`` does.
    changed: set[str] = field(default_factory=set)
    #: Those that its functions change once they are called.
    changed_when_called: set[str] = field(default_factory=set)
    #: Its strings, each of which may be the name of a file.
    strings: set[str] = field(default_factory=set)
    #: The files that would be the modules that it imports, if the page has them.
    modules: set[str] = field(default_factory=set)


def base(node: ast.AST) -> set[str]:
    """Return the name before the first dot or bracket: ``seen`` of ``seen.by["ada"].append``."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def changed_by(node: ast.AST) -> set[str]:
    """Return the names whose values one statement, or the body of a ``lambda``, changes."""
    match node:
        case ast.Expr(ast.Call(ast.Attribute() as method)):  # called for what it does
            return base(method)
        case ast.Lambda(body=ast.Call(ast.Attribute() as method)):
            return base(method)
        case (
            ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del())
        ):
            return base(node)
        case ast.Global(names=declared):
            return set(declared)
    return set()


def effects(source: str) -> Effects:
    """Return what a program leaves behind beside the names that it makes.

    :param source: the program.
    :raises SyntaxError: when it is none.
    """
    found = Effects()
    tree = ast.parse(source)
    inside: set[ast.AST] = set()  # the functions, and all that is in them
    for node in ast.walk(tree):
        if isinstance(node, Function) and node not in inside:
            inside.update(ast.walk(node))
            used, made = names(ast.unparse(node))
            found.changed_when_called |= (used | made) & set().union(
                *map(changed_by, ast.walk(node))
            )
    for node in ast.walk(tree):
        if node not in inside:
            found.changed |= changed_by(node)
        match node:
            case ast.Constant(str() as text):
                found.strings.add(text.removeprefix("./"))
            case ast.Import(imported):
                found.modules |= {f"{module.name}.py" for module in imported}
            case ast.ImportFrom(module=str() as module):
                found.modules.add(f"{module}.py")
    return found
