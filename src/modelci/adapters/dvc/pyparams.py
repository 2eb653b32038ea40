"""Reads parameters from Python files as DVC does: plain assignments, without running anything."""

import ast
import warnings
from collections.abc import Iterable
from typing import Any

from modelci.errors import ConfigError


def parse_python(data: bytes, source: str) -> dict[str, Any]:
    """Return the literals that the file, its classes and their ``__init__`` assign."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data, filename=source)
    except SyntaxError as error:
        place = f":{error.lineno}" if error.lineno else ""
        raise ConfigError(f"{source}{place} cannot be read: {error.msg}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{source} cannot be read: {error}.") from error
    return _assigned(tree.body, of_self=False)


def _assigned(body: Iterable[ast.stmt], *, of_self: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for statement in body:
        match statement:
            case (
                ast.Assign(targets=[target], value=value)
                | ast.AnnAssign(target=target, value=ast.expr() as value)
            ):
                _take(found, target, value, of_self=of_self)
            case ast.ClassDef(name=name):
                found[name] = _assigned(statement.body, of_self=False)
            case ast.FunctionDef(name="__init__"):
                found.update(_assigned(statement.body, of_self=True))
            case _:
                pass
    return found


def _take(found: dict[str, Any], target: ast.expr, value: ast.expr, *, of_self: bool) -> None:
    match target:
        case ast.Name(id=name) if not of_self:
            pass
        case ast.Attribute(attr=name, value=ast.Name(id="self")):
            pass
        case _:
            return
    try:
        found[name] = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return
