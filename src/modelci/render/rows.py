"""What the tables show, as plain text; every renderer escapes and lays it out in its own way."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelci.domain.changes import DataChange, FileChange, Scalar, ValueChange
from modelci.domain.evidence import EvaluationResult, Evidence
from modelci.domain.gates import GateResult, Outcome, Rule, Subject, Waiver
from modelci.domain.history import HistoryPoint, MetricHistory
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, known_direction
from modelci.domain.pipeline import ChangeKind, StageChange, StageRun, StageStatus
from modelci.domain.report import WaiverChange
from modelci.domain.slices import FairnessResult, SliceResult
from modelci.render import quantities
from modelci.render.quantities import ABSENT
from modelci.render.sparkline import sparkline

VALUE_LIMIT = 80


class Mood(StrEnum):
    """How a row is to be taken; renderers give it a sign and a colour, never colour alone."""

    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """``trend`` says in a word what ``arrow`` and ``mood`` mean: better, worse, new, removed."""

    path: str
    name: str
    base: str
    head: str
    change: str = ""
    arrow: str = ""
    trend: str = ""
    mood: Mood = Mood.NEUTRAL


def metric_row(delta: MetricDelta) -> MetricRow:
    """Return a metric with both sides and what became of it."""
    base, head = quantities.pair(delta.base, delta.head)
    trend, mood = _trend(delta)
    return MetricRow(
        path=delta.key.path,
        name=delta.key.name,
        base=base,
        head=head,
        change=quantities.change(delta),
        arrow=_arrow(delta),
        trend=trend,
        mood=mood,
    )


def relative_change(delta: MetricDelta) -> float:
    """Return how much a metric changed, by its base; infinite where that cannot be said."""
    if delta.change is None or not isinstance(delta.base, float):
        return math.inf if delta.is_changed else 0.0
    if not delta.change:
        return 0.0
    return abs(delta.change) / abs(delta.base) if delta.base else math.inf


def _arrow(delta: MetricDelta) -> str:
    if not delta.change:
        return ""
    return "▲" if delta.change > 0 else "▼"


def _trend(delta: MetricDelta) -> tuple[str, Mood]:
    if not delta.is_changed:
        return "equal", Mood.NEUTRAL
    if delta.base is None:
        return "new", Mood.NEUTRAL
    if delta.head is None:
        return "removed", Mood.WARNING
    if delta.change is None:
        return ("no number", Mood.BAD) if isinstance(delta.base, float) else ("", Mood.NEUTRAL)
    if delta.gain is None:
        return "", Mood.NEUTRAL
    return ("better", Mood.GOOD) if delta.gain > 0 else ("worse", Mood.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """A gate on one metric; ``metric`` is the gate's own pattern where it found none.

    ``interval`` bounds head minus base at ``level``, from ``rows`` predictions; ``proof`` is that
    interval, or the words "no evidence" where only two numbers were compared. ``mode`` is empty
    for what does not compare with the base. ``detectable`` is the smallest worsening that an
    inconclusive gate could have shown.
    """

    outcome: str
    mood: Mood
    rule: str
    path: str
    metric: str
    base: str
    head: str
    change: str
    limit: str
    reason: str
    subject: str = "metric"
    mode: str = ""
    interval: str = ""
    level: str = ""
    proof: str = ""
    rows: str = ""
    detectable: str = ""
    waiver: "WaiverRow | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRow:
    """Why a gate may fail, who said so, and the last day that it may."""

    gate: str
    reason: str
    author: str
    until: str


def waiver_row(waiver: Waiver) -> WaiverRow:
    """Return a waiver as text."""
    return WaiverRow(
        gate=waiver.gate,
        reason=waiver.reason,
        author=waiver.author,
        until=waiver.expires.isoformat(),
    )


def waiver_edit(change: WaiverChange) -> tuple[str, WaiverRow]:
    """Return what the head does (added, deleted) to which waiver."""
    return str(change.kind), waiver_row(change.waiver)


def gate_row(result: GateResult) -> GateRow:
    """Return a gate with what it saw and what it allows."""
    delta = result.delta
    evidence = result.evidence
    delta = delta or (_delta_of(evidence) if evidence else None)
    base, head = quantities.pair(delta.base, delta.head) if delta else (ABSENT, ABSENT)
    return GateRow(
        subject=str(result.subject),
        mode=str(result.mode) if compares(result) else "",
        interval=_interval(evidence) if evidence else "",
        level=quantities.level(evidence.alpha) if evidence else "",
        proof=proof_of(result),
        rows=f"{evidence.rows:,}" if evidence else "",
        detectable=_detectable(result),
        waiver=waiver_row(result.waiver) if result.waiver else None,
        outcome=str(result.outcome),
        mood=gate_mood(result),
        rule=str(result.gate.rule),
        path=result.key.path if result.key else "",
        metric=metric_of(result),
        base=base,
        head=head,
        change=quantities.change(delta) if delta else "",
        limit=quantities.limit(result.gate.threshold),
        reason=reason_of(result),
    )


def compares(result: GateResult) -> bool:
    """Whether a gate was judged by more than one number."""
    return result.gate.rule.is_relative_to_base or result.evidence is not None


def reason_of(result: GateResult) -> str:
    """Return why a gate came out so; of an inconclusive one also what it could have shown."""
    found = _shown(result)
    if found is None:
        return result.reason
    what, least = found
    smallest = quantities.size_of_change(least)
    if smallest in result.reason:
        return result.reason
    return f"{result.reason}; these rows show {what} only from {smallest} on"


def _detectable(result: GateResult) -> str:
    smallest = smallest_shown(result)
    return "" if smallest is None else quantities.size_of_change(smallest)


def smallest_shown(result: GateResult) -> float | None:
    """Return the worsening that an inconclusive gate's rows would have shown, were it true.

    None for what is no comparison with the base: a gap between groups, a gain over a dummy.
    """
    found = _shown(result)
    worsens = result.subject is Subject.METRIC and result.gate.rule is not Rule.MAX_INCREASE
    return found[1] if found and worsens else None


def _shown(result: GateResult) -> tuple[str, float] | None:
    """Return what an inconclusive gate's rows could have shown, and from which size on."""
    evidence, gate = result.evidence, result.gate
    if evidence is None or result.outcome is not Outcome.INCONCLUSIVE:
        return None
    allowed = gate.threshold.against(evidence.base or 0.0)
    match result.subject:
        case Subject.FAIRNESS:
            return "a gap above the limit", allowed + evidence.detectable
        case Subject.BASELINE:
            return "a gain over a dummy", allowed + evidence.detectable
        case Subject.METRIC if gate.rule is not Rule.MIN_GAIN:
            what = "an increase" if gate.rule is Rule.MAX_INCREASE else "a worsening"
            return what, allowed + evidence.detectable
        case Subject.METRIC:  # a gain that is missed is shown from that much below it on
            least = evidence.detectable - allowed
            return ("a worsening", least) if least > 0 else None
    return None


def proof_of(result: GateResult) -> str:
    """Return the interval, or the words "no evidence" where chance was not asked."""
    if result.evidence:
        return _bounds(result.evidence)
    judged = result.outcome not in {Outcome.MISSING, Outcome.INCOMPARABLE}
    # The bytes of a model are what they are: chance has no part in them.
    measured = result.gate.rule.is_relative_to_base and result.subject is not Subject.BUDGET
    return "no evidence" if judged and measured else ""


def _bounds(evidence: Evidence) -> str:
    return f"{_interval(evidence)} ({quantities.level(evidence.alpha)})"


def _interval(evidence: Evidence) -> str:
    """Return the bounds of a difference, or (unsigned) of what stands for itself."""
    signed = evidence.base is not None
    return quantities.interval(evidence.low, evidence.high, signed=signed)


def _delta_of(evidence: Evidence) -> MetricDelta:
    """Return what was measured, for what is no metric of its own: a slice, a gap."""
    key = MetricKey(path="", name=evidence.measure)
    return MetricDelta(key=key, base=evidence.base, head=evidence.head)


def metric_of(result: GateResult) -> str:
    """Return the name of what was judged."""
    return result.key.name if result.key else result.gate.metric


def gate_mood(result: GateResult) -> Mood:
    """Return how bad a gate's result is: what blocks is bad, everything else is not."""
    if result.outcome is Outcome.PASSED:
        return Mood.GOOD
    return Mood.BAD if result.blocks else Mood.WARNING


def value_pair(change: ValueChange) -> tuple[str, str]:
    """Return both sides of a parameter so that one can see what differs."""
    base, head = _scalar(change.base), _scalar(change.head)
    if change.kind is ChangeKind.ADDED:
        return ABSENT, _window(head, 0)
    if change.kind is ChangeKind.DELETED:
        return _window(base, 0), ABSENT
    if base == head:  # 1 and "1"
        base, head = json.dumps(change.base), json.dumps(change.head)
    same = next(
        (place for place, (one, other) in enumerate(zip(base, head, strict=False)) if one != other),
        min(len(base), len(head)),
    )
    start = max(0, same - VALUE_LIMIT // 4) if max(len(base), len(head)) > VALUE_LIMIT else 0
    return _window(base, start), _window(head, start)


def _scalar(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _window(text: str, start: int) -> str:
    """Return what stands from ``start`` on, as far as a cell can hold it."""
    end = start + VALUE_LIMIT
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return f"{before}{text[start:end]}{after}" or '""'


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRow:
    """A tracked file or directory; ``size`` and ``files`` hold both sides where they differ."""

    path: str
    what: str
    kind: str
    size: str
    files: str


def data_row(change: DataChange) -> DataRow:
    """Return what became of a tracked path's bytes."""
    base, head = change.base, change.head
    sizes = quantities.size_pair(base.bytes if base else None, head.bytes if head else None)
    files = tuple(
        f"{side.files:,}" if side and side.files is not None else ABSENT for side in (base, head)
    )
    return DataRow(
        path=change.path,
        what=str(change.data),
        kind=str(change.kind),
        size=_between(*sizes),
        files="" if files == (ABSENT, ABSENT) else _between(*files),
    )


def _between(base: str, head: str) -> str:
    return head if base == head else f"{base} → {head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A stage of a run."""

    name: str
    status: str
    mood: Mood
    time: str
    reason: str


def stage_row(stage: StageRun) -> StageRow:
    """Return a stage, what came of it, how long it took and why."""
    return StageRow(
        name=stage.name,
        status=str(stage.status).replace("_", " "),
        mood=_STATUS_MOODS[stage.status],
        time="" if stage.seconds is None else quantities.duration(stage.seconds),
        reason="; ".join(stage.reasons),
    )


_STATUS_MOODS = {
    StageStatus.RAN: Mood.GOOD,
    StageStatus.RESTORED: Mood.GOOD,
    StageStatus.UNCHANGED: Mood.NEUTRAL,
    StageStatus.FAILED: Mood.BAD,
    StageStatus.NOT_RUN: Mood.WARNING,
    StageStatus.INTERRUPTED: Mood.WARNING,
}


def stage_fields(change: StageChange) -> str:
    """Return which parts of a stage's definition differ."""
    return ", ".join(change.fields)


def line_counts(change: FileChange) -> str:
    """Return ``+12 −3``, or nothing for a binary file."""
    if change.added is None or change.deleted is None:
        return ""
    return f"+{change.added:,} −{change.deleted:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """A measure on a slice; ``gain`` is how much better it got (negative: worse), if known.

    ``p`` is adjusted for the number of slices. ``trend`` says in a word what ``mood`` means.
    """

    measure: str
    slice: str
    by: str
    rows: str
    base: str
    head: str
    change: str
    interval: str
    p: str
    outcome: str
    trend: str
    mood: Mood
    reason: str
    gain: float | None


def slice_row(result: SliceResult) -> SliceRow:
    """Return a measure on a slice with both sides and what became of it."""
    delta = _slice_delta(result)
    base, head = quantities.pair(delta.base, delta.head)
    trend, mood = _slice_trend(result, delta)
    return SliceRow(
        measure=result.measure,
        slice=result.label,
        by=result.by,
        rows=f"{result.rows:,}",
        base=base,
        head=head,
        change=quantities.change(delta),
        interval=_bounds(result.evidence) if result.evidence else "",
        p=quantities.probability(result.evidence.p_value if result.evidence else None),
        outcome=str(result.outcome),
        trend=trend,
        mood=mood,
        reason=result.reason,
        gain=delta.gain,
    )


def worst_first(slices: Iterable[SliceResult]) -> tuple[SliceResult, ...]:
    """Order slices: those that failed, then the rest, each from the greatest loss on."""
    return tuple(sorted(slices, key=_badness))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """A slice with a cell for each measure of the table; None where it was not measured."""

    by: str
    slice: str
    rows: str
    cells: tuple[SliceRow | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Slices by measures, the slices as the report has them."""

    measures: tuple[str, ...]
    rows: tuple[HeatRow, ...]


def heat(slices: Sequence[SliceResult]) -> Heat:
    """Return slices as a table of measures."""
    measures = tuple(dict.fromkeys(one.measure for one in slices))
    found: dict[tuple[str, str], dict[str, SliceRow]] = {}
    for one in slices:
        found.setdefault((one.by, one.label), {})[one.measure] = slice_row(one)
    rows = tuple(
        HeatRow(
            by=by,
            slice=name,
            rows=next(iter(cells.values())).rows,
            cells=tuple(cells.get(measure) for measure in measures),
        )
        for (by, name), cells in found.items()
    )
    return Heat(measures=measures, rows=rows)


_SLICE_ORDER = (
    Outcome.FAILED,
    Outcome.WARNED,
    Outcome.MISSING,
    Outcome.INCONCLUSIVE,
    Outcome.INCOMPARABLE,
    Outcome.PASSED,
)


def _badness(result: SliceResult) -> tuple[int, float]:
    gain = _slice_delta(result).gain
    return _SLICE_ORDER.index(result.outcome), math.inf if gain is None else gain


def _slice_delta(result: SliceResult) -> MetricDelta:
    return MetricDelta(
        key=MetricKey(path="", name=result.measure),
        base=result.base,
        head=result.head,
        direction=known_direction(result.measure),
    )


def _slice_trend(result: SliceResult, delta: MetricDelta) -> tuple[str, Mood]:
    if result.outcome is Outcome.FAILED:
        return "worse", Mood.BAD
    if result.outcome is Outcome.WARNED:
        return "worse", Mood.WARNING
    if result.outcome is not Outcome.PASSED:
        return str(result.outcome), Mood.WARNING
    if result.evidence is None:
        return "not judged", Mood.NEUTRAL
    if delta.gain is not None and delta.gain > 0 and _excludes_zero(result.evidence):
        return "better", Mood.GOOD
    return "", Mood.NEUTRAL


def _excludes_zero(evidence: Evidence) -> bool:
    return evidence.low > 0 or evidence.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRow:
    """A group's rate, and the rows behind it."""

    name: str
    rate: str
    rows: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessRow:
    """A gap between groups; ``groups`` from the lowest rate to the highest."""

    metric: str
    column: str
    rate: str
    gap: str
    base_gap: str
    interval: str
    groups: tuple[GroupRow, ...]


def fairness_row(result: FairnessResult) -> FairnessRow:
    """Return a gap with the rates that make it."""
    rates = sorted(result.rates.items(), key=lambda item: (item[1], item[0]))
    gap = result.evidence.head if result.evidence else _gap([rate for _, rate in rates])
    base, head = quantities.pair(result.base_gap, gap)
    return FairnessRow(
        metric=str(result.metric).replace("_", " "),
        column=result.column,
        rate=result.rate,
        gap=head,
        base_gap=base,
        interval=_bounds(result.evidence) if result.evidence else "",
        groups=tuple(
            GroupRow(
                name=name,
                rate=quantities.number(rate),
                rows=f"{result.rows[name]:,}" if name in result.rows else ABSENT,
                share=rate,
            )
            for name, rate in rates
        ),
    )


def _gap(rates: Sequence[float]) -> float | None:
    return rates[-1] - rates[0] if rates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    """A pair of predictions; ``overlap`` says how many ids both sides have."""

    predictions: str
    task: str
    state: str
    mood: Mood
    rows: str
    overlap: str
    reason: str


def evaluation_row(result: EvaluationResult) -> EvaluationRow:
    """Return what became of a pair of predictions."""
    counts = [
        ABSENT if count is None else f"{count:,}" for count in (result.base_rows, result.head_rows)
    ]
    state = "compared" if result.comparable else "not comparable"
    return EvaluationRow(
        predictions=result.predictions,
        task=str(result.task),
        state=f"{state}, base scored anew" if result.rescored else state,
        mood=Mood.GOOD if result.comparable else Mood.WARNING,
        rows=_between(*counts),
        overlap=_overlap(result),
        reason=result.reason or "",
    )


def _overlap(result: EvaluationResult) -> str:
    if result.common is None:
        return ABSENT
    most = max(result.base_rows or 0, result.head_rows or 0)
    share = f" ({100 * result.common / most:.3g} %)" if most else ""
    return f"{result.common:,}{share}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A metric over time: a sparkline, how many points have a number, and the last of them."""

    path: str
    name: str
    spark: str
    first: str
    last: str
    best: str
    count: str


def history_row(history: MetricHistory) -> HistoryRow:
    """Return a metric's way in a line."""
    known = [point for point in history.points if isinstance(point.value, float)]
    first, last = (known[0], known[-1]) if known else (None, None)
    base, head = quantities.pair(first.value if first else None, last.value if last else None)
    return HistoryRow(
        path=history.key.path,
        name=history.key.name,
        spark=sparkline(history),
        first=base,
        last=head,
        best=_best(known, history.direction),
        count=f"{len(known):,}",
    )


def _best(points: Sequence[HistoryPoint], direction: Direction) -> str:
    """Return the best value and where it was; nothing where better is not known."""
    if not points or direction is Direction.UNKNOWN:
        return ""
    sign = 1 if direction is Direction.HIGHER else -1
    best = max(points, key=lambda point: sign * _finite(point))
    return f"{quantities.number(best.value)} ({best.name})"


def _finite(point: HistoryPoint) -> float:
    assert isinstance(point.value, float)  # noqa: S101 - only such are asked
    return point.value
