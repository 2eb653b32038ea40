"""Gates: what a change must not do to the model, and what came of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import partial
from typing import Protocol

from modelci.domain.evaluation import Mode
from modelci.domain.evidence import Evidence
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, matches
from modelci.domain.plots import Side

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
    SAFETY = "safety"
    DRIFT = "drift"
    SCHEMA = "schema"
    PERFORMANCE = "performance"
    AGE = "age"
    SKEW = "skew"


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

    @property
    def options(self) -> tuple[str, ...]:
        """What it is beside its limit, where that is not usual: ``missing: ignore``."""
        usual = Gate(metric=self.metric, rule=self.rule, threshold=self.threshold)
        names = ("severity", "missing", "mode", "inconclusive", "incomparable")
        return tuple(
            f"{name}: {getattr(self, name)}"
            for name in names
            if getattr(self, name) != getattr(usual, name)
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What an evaluation knows of a metric: evidence, or the ``reason`` why it has none.

    ``incomparable``: the two sides were tested on different rows, so that their values do not
    mean the same. ``base`` is the base's value on the head's rows, where it was scored anew.
    ``p_value`` takes a worsening in the metric's unit and returns the one-sided p-value of "the
    head is worse by no more than that". ``contradicted`` is the side whose recorded value its own
    predictions do not give, although the other side's do; ``reason`` then says both numbers.
    """

    mode: Mode = Mode.EVIDENCE
    evidence: Evidence | None = None
    reason: str = ""
    incomparable: bool = False
    base: float | None = None
    p_value: Callable[[float], float] | None = None
    contradicted: Side | None = None


_NOTHING: Mapping[MetricKey, Grounds] = {}


def judge_all(
    gates: Iterable[Gate],
    deltas: Sequence[MetricDelta],
    grounds: Mapping[MetricKey, Grounds] = _NOTHING,
    *,
    subject: Subject = Subject.METRIC,
) -> tuple[GateResult, ...]:
    """Judge every gate on every metric that it means; none is an outcome too.

    A gate that compares with the base is judged by the ``grounds`` of its metric, in its own mode
    or theirs; without any, two numbers are compared.
    """
    return tuple(
        replace(result, subject=subject)
        for gate in gates
        for result in _judge_gate(gate, deltas, grounds)
    )


def on_the_same_rows(
    deltas: Iterable[MetricDelta], grounds: Mapping[MetricKey, Grounds]
) -> tuple[MetricDelta, ...]:
    """Return the metrics with the base's values on the head's rows, where it was scored anew."""
    rescored = {key: one.base for key, one in grounds.items() if one.base is not None}
    return tuple(replace(one, base=rescored.get(one.key, one.base)) for one in deltas)


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


def _judge_gate(
    gate: Gate, deltas: Sequence[MetricDelta], grounds: Mapping[MetricKey, Grounds]
) -> Iterable[GateResult]:
    meant = [delta for delta in deltas if matches(gate.metric, delta.key)]
    if not meant:
        if gate.missing is not WhenMissing.IGNORE:
            yield _missing(gate, None, "no metric of that name exists")
        return
    for delta in meant:
        if delta.head is not None:
            yield _judge(gate, delta, grounds.get(delta.key))
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


def _judge(gate: Gate, delta: MetricDelta, grounds: Grounds | None) -> GateResult:
    result = _compare(gate, delta, grounds)
    if grounds is not None and grounds.contradicted is not None:
        result = _doubt(result, grounds)
    if result.outcome is Outcome.FAILED and gate.severity is Severity.WARN:
        return replace(result, outcome=Outcome.WARNED)
    return result


def _doubt(result: GateResult, grounds: Grounds) -> GateResult:
    """Let nothing hold that is judged by a number which its own predictions contradict.

    What fails by the numbers still fails: else wrong predictions would open every gate.
    """
    if grounds.contradicted is Side.BASE and not result.gate.rule.is_relative_to_base:
        return result
    if result.outcome is not Outcome.FAILED:
        return replace(result, outcome=Outcome.INCOMPARABLE, reason=grounds.reason)
    if grounds.reason in result.reason:
        return result
    return replace(result, reason=f"{result.reason}; {grounds.reason}")


def _compare(gate: Gate, delta: MetricDelta, grounds: Grounds | None) -> GateResult:
    result = partial(GateResult, gate=gate, key=delta.key, delta=delta)
    if not isinstance(delta.head, float):
        return result(outcome=Outcome.FAILED, reason=f"the head's value is {delta.head}")
    if not gate.rule.is_relative_to_base:
        outcome, reason = _compare_bound(gate, delta.head)
        return result(outcome=outcome, reason=reason)
    if delta.base is None:
        reason = "the base does not have it: nothing to compare with"
        return result(outcome=Outcome.INCOMPARABLE, reason=reason)
    if not isinstance(delta.base, float):
        return result(outcome=Outcome.INCOMPARABLE, reason=f"the base's value is {delta.base}")
    change = _change(gate, delta, delta.head - delta.base, delta.base)
    return _compare_change(result, gate, change, grounds)


def _compare_change(
    result: "_MakeResult", gate: Gate, change: "_Change | str", grounds: Grounds | None
) -> GateResult:
    if isinstance(change, str):
        return result(outcome=Outcome.FAILED, reason=change)
    mode = gate.mode or (grounds.mode if grounds else Mode.POINT)
    if mode is Mode.POINT:
        return result(outcome=_held(change.holds), reason=change.text)
    if grounds is None or grounds.evidence is None:
        return _without_evidence(result, mode, change, grounds or _UNKNOWN)
    return _by_evidence(result, mode, change, grounds.evidence, grounds.p_value)


_UNKNOWN = Grounds(reason="no evaluation reproduces this metric")


def _compare_bound(gate: Gate, head: float) -> tuple[Outcome, str]:
    limit = gate.threshold.value
    holds, sign = (head >= limit, "≥") if gate.rule is Rule.MIN else (head <= limit, "≤")
    shown, bound = _show(head, limit)
    return _held(holds), f"{shown} must be {sign} {bound}"


def _no_direction(key: MetricKey) -> str:
    name = key.name.rsplit(".", 1)[-1]
    return (
        "whether higher or lower is better is not known: "
        f"set metrics: {{{name}: higher}} (or lower) in modelci.yaml"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change on a scale where more is better: ``gain`` must be ``required`` at least.

    A tolerance is a negative requirement. ``sign`` turns head minus base into the gain, ``scale``
    is the size of the numbers behind it.
    """

    rule: Rule
    gain: float
    required: float
    sign: int
    scale: float
    text: str

    @property
    def holds(self) -> bool:
        return _at_most(self.required, self.gain, scale=self.scale)


def _change(gate: Gate, delta: MetricDelta, difference: float, base: float) -> _Change | str:
    """Return the change, or why it is neither for the better nor for the worse."""
    if gate.rule is not Rule.MAX_INCREASE and delta.direction is Direction.UNKNOWN:
        return _no_direction(delta.key)
    limit = gate.threshold.against(base)
    higher = gate.rule is not Rule.MAX_INCREASE and delta.direction is Direction.HIGHER
    sign = 1 if higher else -1
    gain = sign * difference
    return _Change(
        rule=gate.rule,
        gain=gain,
        required=limit if gate.rule is Rule.MIN_GAIN else -limit,
        sign=sign,
        scale=max(abs(base), abs(base + difference)),
        text=_increase_text(difference, limit)
        if gate.rule is Rule.MAX_INCREASE
        else _gain_text(gate.rule, gain, limit),
    )


def _increase_text(change: float, limit: float) -> str:
    shown, bound = _show(change, limit)
    sign = "+" if change > 0 else ""
    return f"{sign}{shown}, allowed {'+' if limit > 0 else ''}{bound}"


def _gain_text(rule: Rule, gain: float, limit: float) -> str:
    shown, bound = _show(abs(gain), limit)
    better = f"better by {shown}" if gain > 0 else f"worse by {shown}" if gain else "equal"
    return f"{better}, {'allowed drop' if rule is Rule.MAX_DROP else 'required gain'} {bound}"


class _MakeResult(Protocol):
    def __call__(
        self,
        *,
        outcome: Outcome,
        reason: str,
        mode: Mode = ...,
        evidence: Evidence | None = ...,
    ) -> GateResult: ...


def _without_evidence(
    result: _MakeResult, mode: Mode, change: _Change, grounds: Grounds
) -> GateResult:
    """Compare two numbers, where they mean the same; a proof that is demanded is still owed."""
    if grounds.incomparable:
        return result(outcome=Outcome.INCOMPARABLE, reason=grounds.reason, mode=mode)
    if change.holds and mode in {Mode.NONINFERIOR, Mode.SUPERIOR}:
        reason = f"{change.text}; not proven: {grounds.reason}"
        return result(outcome=Outcome.INCONCLUSIVE, reason=reason, mode=mode)
    reason = f"{change.text}; no evidence: {grounds.reason}"
    return result(outcome=_held(change.holds), reason=reason)


def _by_evidence(
    result: _MakeResult,
    mode: Mode,
    change: _Change,
    evidence: Evidence,
    p_value: Callable[[float], float] | None,
) -> GateResult:
    required, outcome = _decide(mode, change, evidence)
    # The p-value is of "worse by no more than allowed", whatever the mode: what more is demanded
    # is read off the interval.
    if p_value is not None and change.rule is not Rule.MAX_INCREASE:
        evidence = replace(evidence, p_value=p_value(-required))
    return result(
        outcome=outcome,
        reason=_reason(outcome, mode, change, evidence),
        mode=mode,
        evidence=evidence,
    )


def _decide(mode: Mode, change: _Change, evidence: Evidence) -> tuple[float, Outcome]:
    """Return what the gain must be, and the outcome; bounds are one-sided, each at ``alpha``."""
    low, high = sorted((change.sign * evidence.low, change.sign * evidence.high))
    required, scale = change.required, change.scale
    if mode is Mode.NONINFERIOR:
        return required, _held(_at_most(required, low, scale=scale))
    if mode is Mode.SUPERIOR:
        required = max(0.0, required)
        return required, _held(low > required + 1e-12 * scale)
    if change.holds:
        return required, Outcome.PASSED
    refuted = not _at_most(required, high, scale=scale)
    return required, Outcome.FAILED if refuted else Outcome.INCONCLUSIVE


def _reason(outcome: Outcome, mode: Mode, change: _Change, evidence: Evidence) -> str:
    if outcome is Outcome.INCONCLUSIVE:
        return f"{change.text}, but that may be chance{_p_text(evidence)}"
    if mode is Mode.EVIDENCE:
        return f"{change.text}{_p_text(evidence) if outcome is Outcome.FAILED else ''}"
    wanted = "better" if mode is Mode.SUPERIOR else "within that"
    proven = "proven" if outcome is Outcome.PASSED else "not proven"
    return f"{change.text}; {proven} to be {wanted}: {_at_worst(change, evidence)}"


def _p_text(evidence: Evidence) -> str:
    if evidence.p_value is None:
        return ""
    if evidence.p_value < 1e-4:
        return ", p < 0.0001"
    return f", p = {evidence.p_value:.2g}"


def _at_worst(change: _Change, evidence: Evidence) -> str:
    """Say where the bound lies that a proof must keep within."""
    low = min(change.sign * evidence.low, change.sign * evidence.high)
    shown = _digits(abs(low), 3)
    if change.rule is Rule.MAX_INCREASE:
        return f"{'-' if low > 0 else '+'}{shown} at most"
    if not low:
        return "equal at worst"
    return f"better by {shown} at least" if low > 0 else f"worse by {shown} at most"


def _at_most(value: float, limit: float, *, scale: float) -> bool:
    # 0.8 - 0.79 is 0.010000000000000009: a change of just the tolerance is within it. What a
    # subtraction loses grows with what is subtracted (``scale``), not with the difference.
    return value <= limit + 1e-12 * scale


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
    sign, size = "−" if number < 0 else "", abs(number)
    if size < 1e4:
        return f"{sign}{size:,.{digits if size < 1e3 else max(digits, 4)}g}"
    return f"{sign}{size:,.{max(0, digits - 4)}f}".removesuffix(".0")
