"""Whether a deployed model is too old, and whether what answers is the model that was tagged."""

import math
from collections.abc import Sequence

from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Subject, Threshold
from modelci.domain.monitoring import Skew, Watched

DAY = 86_400
TOLERANCE = 1e-6


def judge_age(watched: Watched, max_days: float) -> GateResult:
    """Fail a version that was registered more than ``max_days`` ago."""
    gate = _gate("age in days", max_days)
    age = watched.age_days
    if age is None:
        reason = f"{watched.artifact} {watched.version or watched.commit} was never registered"
        return GateResult(
            gate=gate, outcome=Outcome.INCONCLUSIVE, reason=reason, subject=Subject.AGE
        )
    return GateResult(
        gate=gate,
        outcome=Outcome.PASSED if age <= max_days else Outcome.FAILED,
        reason=f"{age:.0f} days old, allowed {max_days:g}",
        subject=Subject.AGE,
    )


def compare_logged(
    logged: Sequence[object], answered: Sequence[object], *, tolerance: float
) -> Skew:
    """Return how logged answers differ from those of the model, asked again with the same rows.

    A text, or a number beside none, differs without a measure: ``worst`` is of numbers alone.
    """
    offs = [_off(one, other) for one, other in zip(logged, answered, strict=True)]
    return Skew(
        rows=len(offs),
        differing=sum(off > tolerance for off in offs),
        worst=max(filter(math.isfinite, offs), default=0.0),
    )


def judge_skew(skew: Skew, max_share: float) -> GateResult:
    """Fail where more than a share of the rows were answered by something else than the model."""
    share = skew.differing / skew.rows if skew.rows else math.nan
    gate = _gate("logged answers", max_share)
    if not skew.rows:
        outcome, reason = Outcome.INCONCLUSIVE, "no row could be asked again"
    else:
        outcome = Outcome.PASSED if share <= max_share else Outcome.FAILED
        reason = f"all {skew.rows:,} logged answers are the model's own"
        if skew.rows == 1:
            reason = "the one logged answer is the model's own"
        if skew.differing:
            reason = f"{skew.differing:,} of {skew.rows:,} logged answers differ"
            reason += f", by up to {skew.worst:.3g}" if skew.worst else ""
    return GateResult(gate=gate, outcome=outcome, reason=reason, subject=Subject.SKEW)


def _gate(name: str, most: float) -> Gate:
    return Gate(metric=name, rule=Rule.MAX, threshold=Threshold(value=most))


def _off(one: object, other: object) -> float:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        if math.isnan(one) or math.isnan(other):
            return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
        return 0.0 if one == other else abs(one - other)
    return 0.0 if one == other else math.inf
