"""Takes values out of YAML that anybody may have written: each is what we expect, or named.

What these functions raise is turned by ``located`` into a ConfigError with file, line and key.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modelci.errors import ConfigError
from modelci.formats import locate_yaml

Where = tuple[str | int, ...]

MAX_NODES = 2_000_000
MAX_DEPTH = 100


class ShapeError(Exception):
    """A value is not what it must be; ``where`` are the keys that lead to it."""

    def __init__(self, where: Where, problem: str) -> None:
        super().__init__(problem)
        self.where = where
        self.problem = problem


@contextmanager
def located(path: str, data: bytes) -> Iterator[None]:
    """Turn a ShapeError into a ConfigError that names the file, the line and the key."""
    try:
        yield
    except ShapeError as error:
        line = locate_yaml(data, error.where)
        place = f"{path}:{line}" if line else path
        key = f" `{dotted(error.where)}`" if error.where else ""
        raise ConfigError(f"{place}:{key} {error.problem}.") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply.") from error


def dotted(where: Where) -> str:
    """Return ``stages.train.deps[0]``."""
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def measure(value: Any) -> None:
    """Refuse what aliases blow up, or tie into a ring, before anyone walks it recursively."""
    nodes = 0
    stack = [iter((value,))]
    while stack:
        for child in stack[-1]:
            nodes += 1
            if nodes > MAX_NODES:
                raise ShapeError((), f"expands to more than {MAX_NODES:,} values")
            if isinstance(child, Mapping | list) and child:
                if len(stack) > MAX_DEPTH:
                    raise ShapeError((), f"is nested more than {MAX_DEPTH} levels deep")
                stack.append(iter(child.values() if isinstance(child, Mapping) else child))
                break
        else:
            stack.pop()


def mapping(value: Any, where: Where) -> dict[str, Any]:
    """Return a mapping whose keys are text; nothing at all is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ShapeError(where, f"must be a mapping, not {kind_of(value)}")
    for key in value:
        if not isinstance(key, str):
            raise ShapeError(where, f"has the key {key!r}, which must be text: quote it")
    return value


def sequence(value: Any, where: Where) -> list[Any]:
    """Return a list; nothing at all is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeError(where, f"must be a list, not {kind_of(value)}")
    return value


def text(value: Any, where: Where) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str):
        raise ShapeError(where, f"must be text, not {kind_of(value)}")
    if not value:
        raise ShapeError(where, "must not be empty")
    return value


def optional_text(value: Any, where: Where) -> str | None:
    """Return a text, or None."""
    return None if value is None else text(value, where)


def kind_of(value: Any) -> str:  # noqa: PLR0911 - a table of words
    """Return what to call a value in a message."""
    match value:
        case None:
            return "nothing"
        case bool() | int() | float():
            return repr(value)
        case str():
            return "text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case dt.date() | dt.time():
            return "a date"
        case _:
            return f"a {type(value).__name__}"
