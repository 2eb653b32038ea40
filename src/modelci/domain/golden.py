"""What a served model is held to: its inputs, golden requests, and the environment it came from.

A pipeline writes it beside the model (``modelci golden``), so that it is versioned, reviewed and
promoted with it; whoever serves the model replays it before the first request.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Value = float | int | str | bool | None
"""A cell of a request; a missing one is None."""

Row = Mapping[str, Value]
Answer = Mapping[str, float | str | tuple[float, ...]]
"""What a model says of a row, by output: a number, a label, or one number per class."""


class ValueType(StrEnum):
    """What a column of requests holds."""

    NUMBER = "number"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputColumn:
    """A column of requests; ``values``, ``min`` and ``max`` are what the data had.

    ``dtype`` is how pandas held it there: ``float32``, ``category``, … It is ``nullable`` where the
    data had gaps, or the model answers to one.
    """

    name: str
    type: ValueType
    dtype: str | None = None
    nullable: bool = True
    values: tuple[str, ...] | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputColumn:
    """A column of answers: one number a row, or, with ``classes``, one number for each of them."""

    name: str
    type: ValueType = ValueType.NUMBER
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Python's version and those of packages, by normalized name.

    ``needs`` are the packages whose types the model's file holds: their versions decide whether
    it loads, and what it answers.
    """

    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The document ``modelci.golden/1``: requests, and in their order the ``responses`` to them.

    ``tolerance`` is how far a number may be off, absolutely. ``sha256`` is the model file's.
    """

    model: str
    sha256: str
    flavour: str
    inputs: tuple[InputColumn, ...]
    outputs: tuple[OutputColumn, ...]
    requests: tuple[Row, ...]
    responses: tuple[Answer, ...]
    environment: Environment
    tolerance: float = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What came of loading a model and replaying its golden requests (``modelci.health/1``).

    ``worst`` is the largest difference of a number; the latencies are those of single rows.
    """

    ok: bool
    problems: tuple[str, ...] = ()
    rows: int = 0
    worst: float | None = None
    load_seconds: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    environment: Environment | None = None


def find_skew(recorded: Environment, found: Environment) -> tuple[str, ...]:
    """Return what differs between where a model was made and where it is to run, in sentences.

    Python counts by its minor version (3.11), what the model ``needs`` by its whole version.
    """
    return tuple(_skew(recorded, found))


def _skew(recorded: Environment, found: Environment) -> Iterator[str]:
    if _minor(recorded.python) != _minor(found.python):
        yield f"Python {recorded.python} at training, {found.python} here"
    for name in recorded.needs:
        made, here = recorded.packages.get(name), found.packages.get(name)
        if made is not None and made != here:
            yield f"{name} {made} at training, {here or 'not installed'} here"


def _minor(python: str) -> tuple[str, ...]:
    return tuple(python.split(".")[:2])


def compare_answers(
    expected: Sequence[Answer], found: Sequence[Answer], *, tolerance: float
) -> tuple[float | None, tuple[str, ...]]:
    """Return the largest difference of a number, and what is off by more than ``tolerance``.

    A NaN equals only a NaN. At most five rows are named.
    """
    if len(expected) != len(found):
        return None, (f"{len(found)} answers to {len(expected)} golden requests",)
    worst, problems = 0.0, []
    for number, (want, got) in enumerate(zip(expected, found, strict=True), start=1):
        for name, wanted in want.items():
            off = _off(wanted, got.get(name))
            worst = max(worst, off)
            if off > tolerance:
                problems.append(f"row {number}: {name} is {got.get(name)!r}, not {wanted!r}")
    shown = problems[:5]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return worst, tuple(shown)


def _off(wanted: object, got: object) -> float:
    if isinstance(wanted, (tuple, list)) and isinstance(got, (tuple, list)):
        if len(wanted) != len(got):
            return math.inf
        return max(map(_off, wanted, got), default=0.0)
    if isinstance(wanted, (int, float)) and isinstance(got, (int, float)):
        if math.isnan(wanted) or math.isnan(got):
            return 0.0 if math.isnan(wanted) and math.isnan(got) else math.inf
        return 0.0 if wanted == got else abs(wanted - got)
    return 0.0 if wanted == got else math.inf
