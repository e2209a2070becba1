"""Say what a piece of Python needs of the page above it, and what it leaves for the page below."""

import ast
from dataclasses import dataclass, field

from pyflakes.checker import Builtin, Checker, ModuleScope
from pyflakes.messages import UndefinedName

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class Dependencies:
    """The names and files that join a block to the others of its page."""

    #: The names that it uses before it makes them, or never makes.
    needs: set[str] = field(default_factory=set)
    makes: set[str] = field(default_factory=set)
    #: The names of the page that its own lines change in place, as ``seen.append(1)`` does.
    changes: set[str] = field(default_factory=set)
    #: Those that its functions change once they are called.
    changes_when_called: set[str] = field(default_factory=set)
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


def names_of(source: str) -> Dependencies:
    """Return the names that a program needs and makes.

    :raises SyntaxError: when it is no program.
    """
    checker = Checker(ast.parse(source))
    undefined = [each for each in checker.messages if isinstance(each, UndefinedName)]
    module = next(scope for scope in checker.deadScopes if isinstance(scope, ModuleScope))
    return Dependencies(
        needs={each.message_args[0] for each in undefined},
        makes={name for name, binding in module.items() if not isinstance(binding, Builtin)},
    )


def dependencies(source: str) -> Dependencies:
    """Return what a program needs of a page and leaves on it.

    :raises SyntaxError: when it is no program.
    """
    found = names_of(source)
    inside: set[ast.AST] = set()  # the functions, and all that is in them
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and node not in inside:
            inside.update(ast.walk(node))
            function = names_of(ast.unparse(node))
            changed = set().union(*map(changed_by, ast.walk(node)))
            found.changes_when_called |= (function.needs | function.makes) & changed
        elif node not in inside:
            found.changes |= changed_by(node)
        match node:
            case ast.Constant(str() as text):
                found.strings.add(text.removeprefix("./"))
            case ast.Import(imported):
                found.modules |= {f"{module.name}.py" for module in imported}
            case ast.ImportFrom(module=str() as module):
                found.modules.add(f"{module}.py")
    return found
