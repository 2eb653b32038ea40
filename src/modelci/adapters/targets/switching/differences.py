"""How far two releases' answers to one request are apart."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

_ANSWERS = ("outputs", "predictions")
"""Where the server's answers have what the model says: by tensors, or by rows."""

_BESIDE = frozenset({"name", "shape", "datatype", "parameters"})
"""Fields of a tensor that only describe it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two answers of one shape: the sum of absolute differences of their ``numbers``.

    A label counts as a number: 0 where it is the same, else 1.
    """

    total: float
    numbers: int


def compare(expected: bytes, found: bytes) -> Difference | None:
    """Compare two JSON answers value by value; None where they are not of one shape."""
    try:
        wanted = list(_values(_said(msgspec.json.decode(expected))))
        got = list(_values(_said(msgspec.json.decode(found))))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if [path for path, _ in wanted] != [path for path, _ in got]:
        return None
    apart = [_apart(one, other) for (_, one), (_, other) in zip(wanted, got, strict=True)]
    if any(math.isinf(distance) for distance in apart):
        return None
    return Difference(total=math.fsum(apart), numbers=len(apart))


def _said(document: object) -> object:
    """Return what the model says, without which version says it and when."""
    if isinstance(document, dict):
        return {key: document[key] for key in _ANSWERS if key in document} or document
    return document


def _values(document: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[object, object]]:
    """Yield each value of a document with its path."""
    if isinstance(document, dict):
        for key in sorted(document.keys() - _BESIDE):
            yield from _values(document[key], (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from _values(value, (*path, index))
    else:
        yield path, document


def _apart(one: object, other: object) -> float:
    """Return how far two values are apart: infinitely, where they are not of one kind."""
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return float(one != other) if type(one) is type(other) else math.inf
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other)
    return 0.0 if one is other else math.inf
