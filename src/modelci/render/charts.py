"""The page's small charts as plain geometry: shares of a width, or points in a box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelci.domain.gates import GateResult, Rule
from modelci.domain.history import MetricHistory
from modelci.domain.metrics import Direction, known_direction
from modelci.render import quantities

_ROOM = 1.12
_WIDTH, _HEIGHT = 100.0, 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """An interval about a point, zero and the gate's limit, in per cent of the width.

    Right is better; where that is not known, right is greater. ``title`` says it in words.
    """

    low: float
    high: float
    point: float
    limit: float
    zero: float
    title: str


def whisker(result: GateResult) -> Whisker | None:
    """Return what to draw of a gate that was judged by evidence against the base."""
    evidence, delta = result.evidence, result.delta
    if evidence is None or not result.gate.rule.is_relative_to_base:
        return None
    direction = delta.direction if delta else Direction.UNKNOWN
    if direction is Direction.UNKNOWN:
        direction = known_direction(evidence.measure)
    sign = -1.0 if direction is Direction.LOWER else 1.0
    ends = sorted((sign * evidence.low, sign * evidence.high))
    point = sign * evidence.difference
    limit = _limit(result, evidence.base or 0.0, sign)
    values = (*ends, point, limit)
    reach = max(map(abs, values)) * _ROOM
    if not math.isfinite(reach) or reach <= 0:
        return None
    low, high, at, bound = (round(50 + 50 * value / reach, 2) for value in values)
    level = f"{100 * (1 - 2 * evidence.alpha):.3g} %"
    numbers = (evidence.difference, evidence.low, evidence.high)
    shown = [quantities.number(value) for value in numbers]
    return Whisker(
        low=low,
        high=high,
        point=at,
        limit=bound,
        zero=50.0,
        title=f"head minus base: {shown[0]}, {level} interval {shown[1]} to {shown[2]} "
        f"({evidence.method}, {evidence.rows:,} rows)",
    )


def _limit(result: GateResult, base: float, sign: float) -> float:
    allowed = result.gate.threshold.against(base)
    match result.gate.rule:
        case Rule.MIN_GAIN:
            return allowed
        case Rule.MAX_INCREASE:
            return sign * allowed
        case _:
            return -allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A metric's course: ``lines`` are points of SVG polylines, broken where a value is missing."""

    lines: tuple[str, ...]
    last: tuple[float, float]
    title: str


def spark(history: MetricHistory) -> Spark | None:
    """Return a line for two or more values, in a box of 100 × 24."""
    values = [point.value for point in history.points]
    known = [value for value in values if isinstance(value, float)]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    step = _WIDTH / max(1, len(values) - 1)

    def place(at: int, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(at * step, 2), round(2 + (_HEIGHT - 4) * (1 - share), 2)

    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if isinstance(value, float):
            runs[-1].append(place(at, value))
        elif runs[-1]:
            runs.append([])
    last = next(run for run in reversed(runs) if run)[-1]
    first, final = history.points[0], history.points[-1]
    return Spark(
        lines=tuple(_points(run) for run in runs if len(run) > 1),
        last=last,
        title=f"{len(values)} commits, {first.name} to {final.name}: "
        f"{quantities.number(low)} to {quantities.number(high)}",
    )


def _points(run: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in run)
