"""Takes metrics and parameters out of parsed files: dotted names, and values that JSON can hold."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from modelci.domain.changes import Scalar, ValueKey
from modelci.domain.metrics import MetricKey, MetricValue, NonFinite, metric_value

MAX_LEAVES = 1_000_000
MAX_DEPTH = 200
_BIGGEST = 2**63


class TooLargeError(Exception):
    """A file holds more, or nests deeper, than anyone can mean."""


class Allowance:
    """How many values all files together may still have; YAML aliases can ask for billions."""

    def __init__(self, left: int = MAX_LEAVES) -> None:
        self.left = left

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise TooLargeError(f"more than {MAX_LEAVES:,} values")


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one file, and those of its values that are no numbers."""

    numbers: dict[MetricKey, MetricValue] = field(default_factory=dict)
    texts: dict[ValueKey, Scalar] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)


def read_metrics(path: str, content: Any, allowance: Allowance) -> Metrics:
    """Return what DVC would show of a metrics file, and also the nulls; lists are left out."""
    found = Metrics()
    for name, leaf in _leaves(content, allowance):
        kind = type(leaf)
        if kind is float or kind is int:
            key = _metric_key(path, name)
            if found.numbers.setdefault(key, value := _number(leaf)) is not value:
                found.twice.append(name)
        elif kind is not list and kind is not dict:
            text = ValueKey(path=path, name=name)
            if text in found.texts:
                found.twice.append(name)
            found.texts.setdefault(text, scalar(leaf))
    return found


@cache
def _metric_key(path: str, name: str) -> MetricKey:
    # Both sides of a report share a key: to compare it with itself costs nothing.
    return MetricKey(path=path, name=name)


def read_params(path: str, content: Any, allowance: Allowance) -> dict[ValueKey, Scalar]:
    """Return every value of a parameters file; a list stands as its JSON text."""
    return {
        ValueKey(path=path, name=name): scalar(leaf, allowance)
        for name, leaf in _leaves(content, allowance)
    }


def scalar(value: Any, allowance: Allowance | None = None) -> Scalar:
    """Return ``value`` as a leaf that every document can hold."""
    match value:
        case None | bool():
            return value
        case str():
            return printable(value)
        case int():
            return value if -_BIGGEST <= value < _BIGGEST else _digits(value)
        case float():
            return value if math.isfinite(value) else str(metric_value(value))
        case list() | tuple() | set() | frozenset() | Mapping():
            _count(value, allowance or Allowance())
            return printable(_json(value))
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Return ``text`` without the half characters that JSON may hold and UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _leaves(content: Any, allowance: Allowance) -> Iterator[tuple[str, Any]]:
    """Yield the dotted names and the leaves below nested mappings, in order."""
    if not isinstance(content, dict):
        yield "", content
        return
    allowance.spend(len(content))
    stack = [("", iter(content.items()))]
    while stack:
        prefix, items = stack[-1]
        for key, child in items:
            name = f"{prefix}{key}"
            if isinstance(child, dict) and child:
                if len(stack) >= MAX_DEPTH:
                    raise TooLargeError(f"more than {MAX_DEPTH} levels")
                allowance.spend(len(child))
                stack.append((f"{name}.", iter(child.items())))
                break
            yield name if name.isascii() else printable(name), child
        else:
            stack.pop()


def _number(value: float) -> MetricValue:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        return metric_value(value)
    except OverflowError:  # a whole number beyond what a float can hold
        return NonFinite.INFINITY if value > 0 else NonFinite.MINUS_INFINITY


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write thousands of digits
        return hex(value)


def _count(value: Any, allowance: Allowance) -> None:
    stack = [iter((value,))]
    while stack:
        for child in stack[-1]:
            allowance.spend(1)
            if isinstance(child, dict | list | tuple | set) and child:
                if len(stack) >= MAX_DEPTH:
                    raise TooLargeError(f"more than {MAX_DEPTH} levels")
                stack.append(iter(child.values() if isinstance(child, dict) else child))
                break
        else:
            stack.pop()


def _json(value: Any) -> str:
    def other(leaf: Any) -> Any:
        return sorted(leaf, key=str) if isinstance(leaf, set | frozenset) else str(leaf)

    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=other)
    except (TypeError, ValueError):  # keys that JSON cannot have, numbers without end
        return str(value)
