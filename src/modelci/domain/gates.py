"""Gates: what a change must not do to the model, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from modelci.domain.evaluation import Mode
from modelci.domain.evidence import Evidence
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, matches

Limit = float | str
"""``0.01`` is in the metric's own unit, ``"1%"`` a share of the base's value."""


class Rule(StrEnum):
    """What a gate compares.

    ``min`` and ``max`` bound the head's value. ``max_drop`` bounds how much *worse* and
    ``min_gain`` demands how much *better* the head is, in the metric's own direction.
    ``max_increase`` bounds head minus base, whatever is better.
    """

    MIN = "min"
    MAX = "max"
    MAX_DROP = "max_drop"
    MAX_INCREASE = "max_increase"
    MIN_GAIN = "min_gain"

    @property
    def is_relative_to_base(self) -> bool:
        """Whether the base's value is needed."""
        return self not in {Rule.MIN, Rule.MAX}


class Severity(StrEnum):
    """What a gate that does not hold does to the pull request."""

    BLOCK = "block"
    WARN = "warn"


class WhenMissing(StrEnum):
    """What is made of a metric that the head does not have."""

    FAIL = "fail"
    WARN = "warn"
    IGNORE = "ignore"


class WhenUnclear(StrEnum):
    """What is made of a gate that the data cannot decide."""

    FAIL = "fail"
    WARN = "warn"


class Subject(StrEnum):
    """What kind of thing a gate speaks of."""

    METRIC = "metric"
    SLICE = "slice"
    FAIRNESS = "fairness"
    BUDGET = "budget"
    DATA = "data"
    BASELINE = "baseline"


class Outcome(StrEnum):
    """What came of one gate."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A limit: absolute, or (``relative``) a share of the base's magnitude, 0.01 for 1 %."""

    value: float
    relative: bool = False

    def against(self, base: float) -> float:
        """Return the limit in the metric's own unit."""
        return self.value * abs(base) if self.relative else self.value

    def __str__(self) -> str:
        return f"{self.value * 100:.10g}%" if self.relative else f"{self.value:.10g}"


def parse_limit(limit: Limit) -> Threshold:
    """Read a limit, or raise ValueError saying what is wrong with it."""
    if not isinstance(limit, str):
        return Threshold(value=float(limit))
    number, percent, rest = limit.strip().partition("%")
    if not percent or rest:
        raise ValueError(f"{limit!r} is neither a number nor a share such as 1%")
    try:
        return Threshold(value=float(number) / 100, relative=True)
    except ValueError:
        raise ValueError(f"{limit!r} is neither a number nor a share such as 1%") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One rule for the metrics that ``metric`` (a name or glob, see ``matches``) means.

    ``mode`` None takes the mode of the evaluation that the metric belongs to.
    """

    metric: str
    rule: Rule
    threshold: Threshold
    severity: Severity = Severity.BLOCK
    missing: WhenMissing = WhenMissing.FAIL
    mode: Mode | None = None
    inconclusive: WhenUnclear = WhenUnclear.WARN
    incomparable: WhenUnclear = WhenUnclear.WARN

    def __str__(self) -> str:
        return f"{self.metric} {self.rule} {self.threshold}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Why a gate may fail for a while.

    ``gate`` is a gate's metric, as the gate writes it. ``expires`` is the last day that it holds
    (UTC, ISO 8601).
    """

    gate: str
    reason: str
    author: str
    expires: date


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What came of a gate on one metric; ``key`` is None where no metric was meant.

    ``mode`` is how it was judged. Without ``evidence`` two numbers were compared. A gate with a
    ``waiver`` blocks nothing.
    """

    gate: Gate
    outcome: Outcome
    reason: str
    key: MetricKey | None = None
    delta: MetricDelta | None = None
    subject: Subject = Subject.METRIC
    mode: Mode = Mode.POINT
    evidence: Evidence | None = None
    waiver: Waiver | None = None

    @property
    def blocks(self) -> bool:
        """Whether this result alone forbids the merge."""
        if self.gate.severity is not Severity.BLOCK or self.waiver is not None:
            return False
        if self.outcome is Outcome.MISSING:
            return self.gate.missing is WhenMissing.FAIL
        if self.outcome is Outcome.INCONCLUSIVE:
            return self.gate.inconclusive is WhenUnclear.FAIL
        if self.outcome is Outcome.INCOMPARABLE:
            return self.gate.incomparable is WhenUnclear.FAIL
        return self.outcome is Outcome.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gates' results, counted; ``waived`` ones are counted by their outcome too.

    ``unclear`` says that nothing blocks but gates which the data cannot decide.
    """

    blocked: bool
    unclear: bool = False
    waived: int = 0
    passed: int = 0
    failed: int = 0
    warned: int = 0
    inconclusive: int = 0
    incomparable: int = 0
    missing: int = 0


def judge_all(gates: Iterable[Gate], deltas: Sequence[MetricDelta]) -> tuple[GateResult, ...]:
    """Judge every gate on every metric that it means; none is an outcome too."""
    return tuple(result for gate in gates for result in _judge_gate(gate, deltas))


def reach_verdict(results: Iterable[GateResult]) -> Verdict:
    """Count the outcomes and say whether any of them blocks."""
    results = tuple(results)
    counts = {
        str(outcome): sum(result.outcome is outcome for result in results) for outcome in Outcome
    }
    blocking = [result.outcome for result in results if result.blocks]
    return Verdict(
        blocked=bool(blocking),
        unclear=bool(blocking) and _UNCLEAR.issuperset(blocking),
        waived=sum(result.waiver is not None for result in results),
        **counts,
    )


_UNCLEAR = frozenset({Outcome.INCONCLUSIVE, Outcome.INCOMPARABLE})


def _judge_gate(gate: Gate, deltas: Sequence[MetricDelta]) -> Iterable[GateResult]:
    meant = [delta for delta in deltas if matches(gate.metric, delta.key)]
    if not meant:
        if gate.missing is not WhenMissing.IGNORE:
            yield _missing(gate, None, "no metric of that name exists")
        return
    for delta in meant:
        if delta.head is not None:
            yield _judge(gate, delta)
        elif gate.missing is not WhenMissing.IGNORE:
            yield _missing(gate, delta, "the base has it, the head does not")


def _missing(gate: Gate, delta: MetricDelta | None, reason: str) -> GateResult:
    return GateResult(
        gate=gate,
        outcome=Outcome.MISSING,
        reason=reason,
        key=delta.key if delta else None,
        delta=delta,
    )


def _judge(gate: Gate, delta: MetricDelta) -> GateResult:
    outcome, reason = _compare(gate, delta)
    if outcome is Outcome.FAILED and gate.severity is Severity.WARN:
        outcome = Outcome.WARNED
    return GateResult(gate=gate, outcome=outcome, reason=reason, key=delta.key, delta=delta)


def _compare(gate: Gate, delta: MetricDelta) -> tuple[Outcome, str]:
    if not isinstance(delta.head, float):
        return Outcome.FAILED, f"the head's value is {delta.head}"
    if not gate.rule.is_relative_to_base:
        return _compare_bound(gate, delta.head)
    if delta.base is None:
        return Outcome.INCOMPARABLE, "the base does not have it: nothing to compare with"
    if not isinstance(delta.base, float):
        return Outcome.INCOMPARABLE, f"the base's value is {delta.base}"
    if gate.rule is Rule.MAX_INCREASE:
        return _compare_increase(gate, delta.head - delta.base, delta.base)
    return _compare_gain(gate, delta, delta.base)


def _compare_bound(gate: Gate, head: float) -> tuple[Outcome, str]:
    limit = gate.threshold.value
    holds, sign = (head >= limit, "≥") if gate.rule is Rule.MIN else (head <= limit, "≤")
    shown, bound = _show(head, limit)
    return _held(holds), f"{shown} must be {sign} {bound}"


def _compare_increase(gate: Gate, change: float, base: float) -> tuple[Outcome, str]:
    limit = gate.threshold.against(base)
    holds = _at_most(change, limit, scale=_scale(base, base + change))
    shown, bound = _show(change, limit)
    sign = "+" if change > 0 else ""
    return _held(holds), f"{sign}{shown}, allowed {'+' if limit > 0 else ''}{bound}"


def _compare_gain(gate: Gate, delta: MetricDelta, base: float) -> tuple[Outcome, str]:
    if delta.direction is Direction.UNKNOWN:
        name = delta.key.name.rsplit(".", 1)[-1]
        return Outcome.FAILED, (
            "whether higher or lower is better is not known: "
            f"set metrics: {{{name}: higher}} (or lower) in modelci.yaml"
        )
    gain = delta.gain or 0.0
    limit = gate.threshold.against(base)
    shown, bound = _show(abs(gain), limit)
    better = f"better by {shown}" if gain > 0 else f"worse by {shown}" if gain else "equal"
    scale = _scale(base, base + (delta.change or 0.0))
    if gate.rule is Rule.MAX_DROP:
        return _held(_at_most(-gain, limit, scale=scale)), f"{better}, allowed drop {bound}"
    return _held(_at_most(limit, gain, scale=scale)), f"{better}, required gain {bound}"


def _at_most(value: float, limit: float, *, scale: float) -> bool:
    # 0.8 - 0.79 is 0.010000000000000009: a change of just the tolerance is within it. What a
    # subtraction loses grows with what is subtracted (``scale``), not with the difference.
    return value <= limit + 1e-12 * scale


def _scale(one: float, other: float) -> float:
    return max(abs(one), abs(other))


def _held(holds: bool) -> Outcome:  # noqa: FBT001
    return Outcome.PASSED if holds else Outcome.FAILED


def _show(value: float, limit: float) -> tuple[str, str]:
    """Write both with four digits, or as many as it takes to tell them apart."""
    for digits in range(4, 18):
        shown = _digits(value, digits), _digits(limit, digits)
        if shown[0] != shown[1] or value == limit:
            break
    return shown


def _digits(number: float, digits: int) -> str:
    if abs(number) < 1e4:
        return f"{number:.{digits}g}"
    return f"{number:,.{max(0, digits - 4)}f}".removesuffix(".0")
