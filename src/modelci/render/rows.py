"""What the tables show, as plain text; every renderer escapes and lays it out in its own way."""

import json
import math
from dataclasses import dataclass
from enum import StrEnum

from modelci.domain.changes import DataChange, FileChange, Scalar, ValueChange
from modelci.domain.gates import GateResult, Outcome
from modelci.domain.metrics import MetricDelta
from modelci.domain.pipeline import ChangeKind, StageChange, StageRun, StageStatus
from modelci.render import quantities
from modelci.render.quantities import ABSENT

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
    """A gate on one metric; ``metric`` is the gate's own pattern where it found none."""

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


def gate_row(result: GateResult) -> GateRow:
    """Return a gate with what it saw and what it allows."""
    delta = result.delta
    base, head = quantities.pair(delta.base, delta.head) if delta else (ABSENT, ABSENT)
    return GateRow(
        outcome=str(result.outcome),
        mood=gate_mood(result),
        rule=str(result.gate.rule),
        path=result.key.path if result.key else "",
        metric=metric_of(result),
        base=base,
        head=head,
        change=quantities.change(delta) if delta else "",
        limit=quantities.limit(result.gate.threshold),
        reason=result.reason,
    )


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
}


def stage_fields(change: StageChange) -> str:
    """Return which parts of a stage's definition differ."""
    return ", ".join(change.fields)


def line_counts(change: FileChange) -> str:
    """Return ``+12 −3``, or nothing for a binary file."""
    if change.added is None or change.deleted is None:
        return ""
    return f"+{change.added:,} −{change.deleted:,}"
