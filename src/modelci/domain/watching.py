"""What is made of a window: drift, a broken schema and lost performance as results of gates.

Nothing is found by chance alone: a rule asks for an effect that matters and for evidence that it
is there. What holds is summed up in one result, so that thousands of columns stay readable.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import erfc, hypot, log, sqrt
from statistics import NormalDist

from modelci.domain.evaluation import Mode
from modelci.domain.evidence import Evidence
from modelci.domain.gates import (
    Gate,
    GateResult,
    Grounds,
    Outcome,
    Rule,
    Severity,
    Subject,
    Threshold,
    WhenUnclear,
    judge_all,
)
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, known_direction
from modelci.domain.monitoring import (
    NO_ROWS,
    ColumnDrift,
    DriftStatistic,
    Estimate,
    Performance,
)
from modelci.domain.profile import ColumnKind, Realised
from modelci.domain.wording import counted

_NORMAL = NormalDist()
_POWER = 0.8
_ESTIMATED_ALPHA = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRule:
    """A column drifts where ``statistic`` reaches ``warn`` or ``fail``, and provably so."""

    statistic: DriftStatistic = DriftStatistic.PSI
    warn: float = 0.10
    fail: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRules:
    """The ``usual`` rule, those of single ``columns``, and what is asked of the evidence.

    ``alpha`` bounds the adjusted p-values. A window of fewer than ``min_rows`` rows is not judged.
    """

    usual: DriftRule = field(default_factory=DriftRule)
    columns: Mapping[str, DriftRule] = field(default_factory=dict)
    alpha: float = 0.01
    min_rows: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How many of a window's ``rows`` have an outcome (``labelled``).

    ``doubt`` says what is wrong with outcomes that should be there by now, and are not.
    """

    rows: int
    labelled: int = 0
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceRule:
    """How much worse than the reference a measure may be, or what bounds it."""

    max_drop: Threshold | None = None
    min: float | None = None
    max: float | None = None


def judge_drift(
    found: Iterable[ColumnDrift], rules: DriftRules, *, rows: int
) -> tuple[GateResult, ...]:
    """Judge what was compared in a window of ``rows``: what drifted, and one result for the rest.

    A statistic that says nothing of a column (``ks`` of a category) gives way to PSI with its
    usual limits. Dates move on by themselves: they are judged where ``rules`` name them.
    """
    if rows < rules.min_rows:
        few = f"not enough data: {counted(rows, 'row')}, at least {rules.min_rows:,} wanted"
        reason = few if rows else NO_ROWS
        gate = _gate("drift", 0.0, fails=True)
        return (
            GateResult(
                gate=gate, outcome=Outcome.INCONCLUSIVE, reason=reason, subject=Subject.DRIFT
            ),
        )
    judged = [one for one in found if one.p_value is not None and _is_judged(one, rules)]
    broken = [result for one in judged if (result := _judge_column(one, rules)) is not None]
    return (*broken, *_undrifted(len(judged), len(broken)))


def _is_judged(drift: ColumnDrift, rules: DriftRules) -> bool:
    return drift.reference.kind is not ColumnKind.DATETIME or drift.name in rules.columns


def _judge_column(drift: ColumnDrift, rules: DriftRules) -> GateResult | None:
    rule = rules.columns.get(drift.name, rules.usual)
    effect = effect_of(drift, rule.statistic)
    if effect is None:
        rule = DriftRule()
        effect = effect_of(drift, rule.statistic) or 0.0
    p_value = 1.0 if drift.p_value is None else drift.p_value
    if effect < min(rule.warn, rule.fail) or p_value >= rules.alpha:
        return None
    fails = effect >= rule.fail
    limit = rule.fail if fails else rule.warn
    return GateResult(
        gate=_gate(f"{rule.statistic} of {drift.name}", limit, fails=fails),
        outcome=Outcome.FAILED if fails else Outcome.WARNED,
        reason=f"{effect:.3g}, below {limit:g} wanted, {_p_text(p_value)}{_categories(drift)}",
        subject=Subject.DRIFT,
    )


def effect_of(drift: ColumnDrift, statistic: DriftStatistic) -> float | None:
    """Return how far a column is off by a statistic, None where that says nothing of it.

    What chance alone gives on average is taken off where it is known: small windows and columns of
    many values have a large PSI, Jensen-Shannon distance and Cramér's V where nothing has changed.
    For small differences the squares of the latter are that part of PSI which is taken here.
    """
    chance = drift.by_chance
    if statistic is DriftStatistic.PSI:
        return None if drift.psi is None else max(0.0, drift.psi - chance)
    if statistic is DriftStatistic.JENSEN_SHANNON:
        return _less(drift.jensen_shannon, chance / (8 * log(2)))
    if statistic is DriftStatistic.CRAMERS_V:
        return _less(drift.cramers_v, chance / 4)
    return drift.ks if statistic is DriftStatistic.KS else drift.wasserstein


def _less(distance: float | None, chance: float) -> float | None:
    return None if distance is None else sqrt(max(0.0, distance**2 - chance))


def _categories(drift: ColumnDrift) -> str:
    """Name what is new and what is gone, the most frequent first."""
    said = ""
    for word, found in (("new", drift.new), ("lost", drift.lost)):
        ranked = sorted(found.items(), key=lambda one: -one[1])
        shown = ", ".join(f"{_short(value)} ({share:.1%})" for value, share in ranked[:3])
        said += f"; {word}: {shown}{', …' if len(ranked) > 3 else ''}" if shown else ""
    return said


def judge_performance(
    found: Iterable[Performance],
    rules: Mapping[str, PerformanceRule],
    *,
    known: Known,
    min_rows: int = 300,
    inconclusive: WhenUnclear = WhenUnclear.WARN,
) -> tuple[GateResult, ...]:
    """Judge each measure that has a rule by its outcomes, or by an estimate where they lack.

    What is worse than allowed, and provably so, fails; what may be chance is inconclusive.
    Outcomes overrule the estimate however few they are: by fewer than ``min_rows`` labelled rows
    a measure may fail, and does not pass. Where outcomes are in ``doubt`` it warns at best; where
    nothing is known at all and ``inconclusive`` is to fail, it stays undecided.
    """
    by_name = {one.measure: one for one in found}
    return tuple(
        _doubted(_weighed(_judge_measure(gate, found), found, known, min_rows), known, inconclusive)
        for measure, rule in rules.items()
        for found in (by_name.get(measure),)
        for gate in _performance_gates(measure, rule)
    )


_NOTHING_KNOWN = "no outcome is known yet, or too few of a class, and nothing estimates it"


def _judge_measure(gate: Gate, found: Performance | None) -> GateResult:
    now = None if found is None else found.realised or found.estimated
    if found is None or now is None:
        return _performance(gate, Outcome.INCONCLUSIVE, _NOTHING_KNOWN)
    if gate.rule is not Rule.MAX_DROP:
        return _marked(_judge_bound(gate, now), now)
    if found.reference is None:
        reason = f"{now.value:.4g}; the reference has no {gate.metric} to compare with"
        return _performance(gate, Outcome.INCOMPARABLE, reason)
    return _marked(_judge_drop(gate, found.reference, now), now)


def _weighed(
    result: GateResult, found: Performance | None, known: Known, min_rows: int
) -> GateResult:
    """Let nothing pass of which few outcomes are known, by them or by an estimate."""
    if not known.rows:
        return replace(result, reason=NO_ROWS)
    realised = None if found is None else found.realised
    labelled = known.labelled if realised is None else realised.rows
    if not 0 < labelled < min_rows:
        return result
    said = f"{labelled:,} of {known.rows:,} outcomes known"
    if result.outcome is Outcome.FAILED:
        return replace(result, reason=f"{result.reason}; {said}")
    said = f"not enough data: {said}, at least {min_rows:,} wanted"
    kept = "" if result.reason == _NOTHING_KNOWN else f"; {result.reason}"
    outcome = Outcome.INCONCLUSIVE if result.outcome is Outcome.PASSED else result.outcome
    return replace(result, outcome=outcome, reason=f"{said}{kept}")


def _doubted(result: GateResult, known: Known, inconclusive: WhenUnclear) -> GateResult:
    """Let a gate warn where nobody knows its outcomes who should: no estimate makes up for that."""
    if not known.doubt or not known.rows:
        return result
    is_open = result.outcome is Outcome.PASSED or (
        result.outcome is Outcome.INCONCLUSIVE and inconclusive is WhenUnclear.WARN
    )
    kept = "" if result.reason == _NOTHING_KNOWN else f"; {result.reason}"
    return replace(
        result,
        outcome=Outcome.WARNED if is_open else result.outcome,
        reason=f"{known.doubt}{kept}",
    )


def _performance_gates(measure: str, rule: PerformanceRule) -> Iterator[Gate]:
    if rule.max_drop is not None:
        yield Gate(metric=measure, rule=Rule.MAX_DROP, threshold=rule.max_drop)
    for kind, limit in ((Rule.MIN, rule.min), (Rule.MAX, rule.max)):
        if limit is not None:
            yield Gate(metric=measure, rule=kind, threshold=Threshold(value=limit))


def _judge_drop(gate: Gate, reference: Realised, now: Realised | Estimate) -> GateResult:
    key = MetricKey(path="", name=gate.metric)
    direction = known_direction(gate.metric)
    evidence = _evidence(gate.metric, reference, now)
    worse = -evidence.difference if direction is Direction.HIGHER else evidence.difference
    grounds = Grounds(
        mode=Mode.EVIDENCE,
        evidence=evidence,
        p_value=lambda allowed: _upper(worse - allowed, evidence.standard_error),
    )
    delta = MetricDelta(key=key, base=reference.value, head=now.value, direction=direction)
    return judge_all([gate], [delta], {key: grounds}, subject=Subject.PERFORMANCE)[0]


def _evidence(measure: str, reference: Realised, now: Realised | Estimate) -> Evidence:
    """Return the difference of two independent samples, with what each is unsure of."""
    error = hypot(_error(reference), _error(now))
    alpha, difference = reference.alpha, now.value - reference.value
    quantile = _NORMAL.inv_cdf(1 - alpha)
    return Evidence(
        measure=measure,
        method="two samples",
        rows=now.rows,
        head=now.value,
        base=reference.value,
        difference=difference,
        standard_error=error,
        low=difference - quantile * error,
        high=difference + quantile * error,
        alpha=alpha,
        detectable=(_NORMAL.inv_cdf(_POWER) + quantile) * error,
    )


def _error(found: Realised | Estimate) -> float:
    """Return the standard error behind an interval, which a bound of the measure may have cut."""
    alpha = found.alpha if isinstance(found, Realised) else _ESTIMATED_ALPHA
    widest = max(found.high - found.value, found.value - found.low, (found.high - found.low) / 2)
    return widest / _NORMAL.inv_cdf(1 - alpha)


def _judge_bound(gate: Gate, now: Realised | Estimate) -> GateResult:
    limit = gate.threshold.value
    is_min = gate.rule is Rule.MIN
    holds = now.value >= limit if is_min else now.value <= limit
    refuted = now.high < limit if is_min else now.low > limit
    outcome = Outcome.PASSED if holds else Outcome.FAILED if refuted else Outcome.INCONCLUSIVE
    reason = f"{now.value:.4g} must be {'≥' if is_min else '≤'} {limit:.4g}"
    reason += f", {now.low:.4g} to {now.high:.4g} is likely"
    if outcome is Outcome.INCONCLUSIVE:
        reason += ": that may be chance"
    return _performance(gate, outcome, reason)


def _performance(gate: Gate, outcome: Outcome, reason: str) -> GateResult:
    return GateResult(gate=gate, outcome=outcome, reason=reason, subject=Subject.PERFORMANCE)


def _marked(result: GateResult, now: Realised | Estimate) -> GateResult:
    """Say of an estimate that it is one."""
    if isinstance(now, Realised):
        return result
    said = f"estimated ({now.method}) from scores: blind to a change of what they mean"
    return replace(result, reason=f"{result.reason}; {said}")


def _undrifted(judged: int, broken: int) -> Iterator[GateResult]:
    holding = judged - broken
    if holding:
        the_other = "the other " if broken else ""
        reason = f"none in {the_other}{holding:,} of {counted(judged, 'distribution')}"
        gate = _gate("drift", 0.0, fails=True)
        yield GateResult(gate=gate, outcome=Outcome.PASSED, reason=reason, subject=Subject.DRIFT)


def _gate(metric: str, limit: float, *, fails: bool) -> Gate:
    severity = Severity.BLOCK if fails else Severity.WARN
    return Gate(metric=metric, rule=Rule.MAX, threshold=Threshold(value=limit), severity=severity)


def _p_text(p_value: float) -> str:
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"


def _upper(excess: float, error: float) -> float:
    if error == 0:
        return 0.0 if excess > 0 else 1.0
    return erfc(excess / error / sqrt(2)) / 2


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"
