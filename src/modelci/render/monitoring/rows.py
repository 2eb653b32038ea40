"""What the tables of a watched window show, as plain text; renderers escape and lay it out."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelci.domain.gates import GateResult, Outcome, Subject
from modelci.domain.history import HistoryPoint, MetricHistory
from modelci.domain.metrics import Direction, MetricKey, known_direction
from modelci.domain.monitoring import (
    Action,
    ActionKind,
    ColumnDrift,
    DriftStatistic,
    Estimate,
    Monitoring,
    Performance,
)
from modelci.domain.profile import ColumnKind, ColumnProfile, Realised
from modelci.domain.watching import effect_of
from modelci.domain.wording import counted
from modelci.render import quantities
from modelci.render.digest import urgency
from modelci.render.escape import web_address
from modelci.render.quantities import ABSENT
from modelci.render.rows import Mood, gate_mood, metric_of, reason_of
from modelci.render.sparkline import bars

DECISIONS = "decision rate"
"""The share of rows at or above the threshold, as a row among the columns and a trend."""

_COLUMN_SUBJECTS = frozenset({Subject.DRIFT, Subject.SCHEMA})


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRow:
    """A column (or the scores) of the window against the reference.

    PSI, Jensen-Shannon and Cramér's V are without what chance alone gives, as they are judged.
    ``state`` and ``mood`` are of the gravest gate that speaks of it, ``why`` of all that do not
    hold. ``new`` and ``lost`` are categories with their shares.
    """

    name: str
    kind: str
    type: str
    state: str
    mood: Mood
    psi: str
    ks: str
    wasserstein: str
    jensen_shannon: str
    cramers_v: str
    p: str
    missing: str
    new: tuple[tuple[str, str], ...]
    lost: tuple[tuple[str, str], ...]
    why: str


Seen = tuple[ColumnDrift, ColumnRow]
"""A column with its row; its shape takes time, and is for who shows the row to make."""


def column_rows(monitoring: Monitoring) -> list[Seen]:
    """Return the scores, and the columns: what does not hold first, then by effect."""
    found = results_by_name(monitoring)
    known = [(one, found.get(one.name, ())) for one in monitoring.columns]
    scores = monitoring.scores
    ordered = [
        *([(scores, found.get(scores.name, ()))] if scores else []),
        *sorted(known, key=lambda pair: _gravity(*pair)),
    ]
    return [(one, column_row(one, results)) for one, results in ordered]


def results_by_name(monitoring: Monitoring) -> Mapping[str, list[GateResult]]:
    """Return what was found of drift and schema, by the column that it speaks of."""
    found: dict[str, list[GateResult]] = {}
    for result in sorted(monitoring.gates, key=urgency):
        if result.subject in _COLUMN_SUBJECTS:
            found.setdefault(column_of(result), []).append(result)
    return found


def column_of(result: GateResult) -> str:
    """Return what a result speaks of: the column of ``psi of income`` or ``income: type``."""
    metric = metric_of(result)
    if result.subject is Subject.SCHEMA:
        return metric.rpartition(": ")[0] or metric
    if result.subject is Subject.DRIFT:
        return metric.partition(" of ")[2] or metric
    return metric


def column_row(drift: ColumnDrift, results: Sequence[GateResult]) -> ColumnRow:
    """Return a column with what its gates say."""
    state, mood = _state(drift, results)
    bad = [reason_of(one) for one in results if one.outcome is not Outcome.PASSED]
    return ColumnRow(
        name=drift.name,
        kind=str(drift.reference.kind),
        type=_type(drift.reference, drift.current),
        state=state,
        mood=mood,
        psi=quantities.effect(effect_of(drift, DriftStatistic.PSI)),
        ks=quantities.effect(drift.ks),
        wasserstein=quantities.effect(drift.wasserstein),
        jensen_shannon=quantities.effect(effect_of(drift, DriftStatistic.JENSEN_SHANNON)),
        cramers_v=quantities.effect(effect_of(drift, DriftStatistic.CRAMERS_V)),
        p=quantities.probability(drift.p_value),
        missing=ABSENT if is_gone(drift) else _between(drift.missing_before, drift.missing_now),
        new=_shares(drift.new),
        lost=_shares(drift.lost),
        why="; ".join(dict.fromkeys([*bad, *([drift.note] if drift.note else [])])),
    )


def _state(drift: ColumnDrift, results: Sequence[GateResult]) -> tuple[str, Mood]:
    if results:
        return str(results[0].outcome), gate_mood(results[0])
    if is_gone(drift):
        return "missing", Mood.WARNING
    if drift.p_value is None:
        return "not compared", Mood.NEUTRAL
    return ("", Mood.NEUTRAL) if is_judged(drift) else ("not judged", Mood.NEUTRAL)


def is_gone(drift: ColumnDrift) -> bool:
    """Whether the window has no such column."""
    return drift.current is None or not drift.current.dtype


def is_judged(drift: ColumnDrift) -> bool:
    """Whether a column is judged without being named: dates move on by themselves."""
    return drift.note is None and drift.reference.kind is not ColumnKind.DATETIME


def _gravity(drift: ColumnDrift, results: Sequence[GateResult]) -> tuple[int, bool, bool, float]:
    worst = min((_MOODS.index(gate_mood(one)) for one in results), default=len(_MOODS))
    psi = effect_of(drift, DriftStatistic.PSI)
    effect = psi if psi is not None and not math.isnan(psi) else -1.0
    return worst, not is_gone(drift), not is_judged(drift), -effect


_MOODS = (Mood.BAD, Mood.WARNING, Mood.GOOD, Mood.NEUTRAL)


def _type(before: ColumnProfile, now: ColumnProfile | None) -> str:
    if now is None or now.dtype in {before.dtype, ""}:
        return before.dtype
    return f"{before.dtype} → {now.dtype}"


def _between(before: float, now: float) -> str:
    sides = quantities.share(before), quantities.share(now)
    return sides[1] if sides[0] == sides[1] else f"{sides[0]} → {sides[1]}"


def _shares(values: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        (name if name.strip() else '""', quantities.share(share)) for name, share in ordered
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceRow:
    """A measure: of the reference, by this window's labels, and as estimated without them."""

    measure: str
    state: str
    mood: Mood
    reference: str
    realised: str
    estimated: str
    method: str
    change: str
    why: str


def performance_rows(monitoring: Monitoring) -> list[PerformanceRow]:
    """Return the measures, what does not hold first."""
    found: dict[str, list[GateResult]] = {}
    for result in sorted(monitoring.gates, key=urgency):
        if result.subject is Subject.PERFORMANCE:
            found.setdefault(metric_of(result), []).append(result)
    rows = [_performance(one, found.get(one.measure, ())) for one in monitoring.performance]
    return sorted(rows, key=lambda row: _MOODS.index(row.mood))


def _performance(one: Performance, results: Sequence[GateResult]) -> PerformanceRow:
    bad = [reason_of(result) for result in results if result.outcome is not Outcome.PASSED]
    return PerformanceRow(
        measure=one.measure,
        state=str(results[0].outcome) if results else "not judged",
        mood=gate_mood(results[0]) if results else Mood.NEUTRAL,
        reference=_measured(one.reference),
        realised=_measured(one.realised),
        estimated=f"≈ {_measured(one.estimated)}" if one.estimated else ABSENT,
        method=one.estimated.method if one.estimated else "",
        change=_change(one),
        why="; ".join(dict.fromkeys([*bad, *_contradiction(one)])),
    )


def _measured(one: Realised | Estimate | None) -> str:
    """Return ``0.781 (0.772 … 0.790)``."""
    if one is None:
        return ABSENT
    bounds = quantities.interval(one.low, one.high, signed=False)
    return f"{quantities.number(one.value)} ({bounds})"


def _change(one: Performance) -> str:
    now = one.realised or one.estimated
    if one.reference is None or now is None:
        return ""
    change = quantities.signed_change(one.reference.value, now.value)
    return f"≈ {change}" if change and one.realised is None else change


def _contradiction(one: Performance) -> Iterator[str]:
    """Say that the labels refute the estimate: their intervals do not meet."""
    real, guess = one.realised, one.estimated
    if real is not None and guess is not None and (real.high < guess.low or guess.high < real.low):
        yield "the labels refute the estimate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRow:
    """What a trigger asked for; ``url`` is where it can be seen."""

    what: str
    trigger: str
    reason: str
    state: str
    mood: Mood
    url: str | None


def action_rows(actions: Iterable[Action]) -> list[ActionRow]:
    """Return what was asked for, and what came of it."""
    return [
        ActionRow(
            what=_ACTIONS[one.kind],
            trigger=str(one.trigger),
            reason=one.reason,
            state=_action_state(one),
            mood=Mood.GOOD if one.done else Mood.NEUTRAL if one.held_back else Mood.WARNING,
            url=web_address(one.url),
        )
        for one in actions
    ]


_ACTIONS = {ActionKind.RETRAIN_PR: "retraining pull request", ActionKind.ISSUE: "issue"}


def _action_state(action: Action) -> str:
    if action.held_back:
        return f"held back: {action.held_back}"
    if action.failed:
        return f"failed: {action.failed}"
    return action.done or "to be done"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRow:
    """A window among the others; ``is_this`` is the one that the document speaks of."""

    window: str
    version: str
    rows: str
    labelled: str
    state: str
    mood: Mood
    found: str
    measures: tuple[str, ...]
    actions: tuple[tuple[str, str | None], ...]
    is_this: bool


def course(monitoring: Monitoring, history: Sequence[Monitoring]) -> list[Monitoring]:
    """Return the windows in their order, with the one that is looked at in its place."""
    windows = {one.window: one for one in history if one.watched.artifact == _artifact(monitoring)}
    windows[monitoring.window] = monitoring
    return list(windows.values())


def _artifact(monitoring: Monitoring) -> str:
    return monitoring.watched.artifact


def window_rows(windows: Sequence[Monitoring], this: Monitoring) -> list[WindowRow]:
    """Return a row for each window, the newest last; ``measures`` are those of this one."""
    names = [one.measure for one in this.performance]
    return [_window(one, names, is_this=one is this) for one in windows]


def _window(one: Monitoring, names: Sequence[str], *, is_this: bool) -> WindowRow:
    values = {found.measure: found for found in one.performance}
    state, mood = window_state(one)
    bad = sorted((gate for gate in one.gates if gate.outcome is not Outcome.PASSED), key=urgency)
    return WindowRow(
        window=one.window,
        version=one.watched.version or (one.watched.commit or "")[:7],
        rows=f"{one.rows:,}",
        labelled=f"{one.labelled:,}" if one.labelled else ABSENT,
        state=state,
        mood=mood,
        found=_named([column_of(gate) for gate in bad]),
        measures=tuple(_brief(values.get(name)) for name in names),
        actions=tuple((_ACTIONS[action.kind], action.url) for action in one.actions if action.done),
        is_this=is_this,
    )


def _named(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    more = len(found) - _MOST_NAMES
    return ", ".join(found[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


_MOST_NAMES = 4


def window_state(one: Monitoring) -> tuple[str, Mood]:
    """Return a window's verdict in a word."""
    verdict = one.verdict
    if verdict.blocked:
        return ("unclear" if verdict.unclear else "failed"), Mood.BAD
    unclear = verdict.inconclusive + verdict.incomparable + verdict.missing
    if not verdict.passed and unclear:
        return "undecided", Mood.WARNING
    if verdict.warned or verdict.failed or unclear:
        return "warned", Mood.WARNING
    return ("well", Mood.GOOD) if one.gates else ("not judged", Mood.NEUTRAL)


def _brief(one: Performance | None) -> str:
    if one is None or (one.realised is None and one.estimated is None):
        return ABSENT
    if one.realised is not None:
        return quantities.number(one.realised.value)
    assert one.estimated is not None  # noqa: S101 - else both are None
    return f"≈ {quantities.number(one.estimated.value)}"


def effect_bars(history: MetricHistory, *, most: int) -> str:
    """Return a bar for each of the last ``most`` effects; noise stays at the foot."""
    values = [point.value for point in history.points[-most:]]
    numbers = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    return bars(values, within=(0.0, max([_LARGE, *numbers])))


_LARGE = 0.25
"""A PSI of which everyone says that it is large; less does not fill a chart."""


def trends(windows: Sequence[Monitoring], names: Iterable[str]) -> Mapping[str, MetricHistory]:
    """Return how the effect (PSI) of columns went; None where a window does not know it."""
    wanted = dict.fromkeys(names)
    effects = [
        {
            one.name: effect_of(one, DriftStatistic.PSI)
            for one in _compared(window)
            if one.name in wanted
        }
        for window in windows
    ]
    return {
        name: _series(name, windows, [one.get(name) for one in effects], Direction.LOWER)
        for name in wanted
    }


def _compared(window: Monitoring) -> Iterator[ColumnDrift]:
    yield from window.columns
    if window.scores is not None:
        yield window.scores


def measure_trends(windows: Sequence[Monitoring], measures: Iterable[str]) -> list[MetricHistory]:
    """Return how measures went: by labels, and, where a window has none, as estimated."""
    found = []
    for name in measures:
        values = [_best_known(window, name) for window in windows]
        found.append(_series(name, windows, values, known_direction(name)))
    return found


def _best_known(window: Monitoring, measure: str) -> float | None:
    one = next((one for one in window.performance if one.measure == measure), None)
    known = (one.realised or one.estimated) if one else None
    return None if known is None else known.value


def _series(
    name: str,
    windows: Sequence[Monitoring],
    values: Sequence[float | None],
    direction: Direction,
) -> MetricHistory:
    points = (
        HistoryPoint(sha="", name=window.window, seconds=0, value=value)
        for window, value in zip(windows, values, strict=True)
    )
    return MetricHistory(
        key=MetricKey(path="", name=name), direction=direction, points=tuple(points)
    )


def facts(monitoring: Monitoring) -> list[tuple[str, str, str]]:
    """Return what was watched: a label, a name to be set as code or nothing, and words."""
    watched = monitoring.watched
    age = watched.age_days
    skew = monitoring.skew
    version = watched.version or watched.tag or (watched.commit or "")[:7]
    tag = f" ({watched.tag})" if watched.tag and watched.tag != version else ""
    stage = f"holds {watched.stage}{tag}" if watched.stage else ""
    old = "" if age is None else f"{age:,.0f} days old"
    known = f"{counted(monitoring.labelled, 'outcome')} known" if monitoring.labelled else ""
    lines = [
        ("Version", version, _listed(stage, old)),
        ("Window", monitoring.window, _listed(counted(monitoring.rows, "row"), known)),
        ("Data", place(monitoring.current), ""),
    ]
    if monitoring.chosen_before is not None and monitoring.chosen_now is not None:
        lines.append(("Decisions", "", f"{decisions(monitoring)} at or above the threshold"))
    if skew is not None:
        lines.append(("Skew", "", skew_text(skew.differing, skew.rows, skew.worst)))
    return [line for line in lines if line[1] or line[2]]


def place(location: str) -> str:
    """Return where data are, without the keys and signatures that an address may hold."""
    scheme, found, rest = location.partition("://")
    if not found:
        return location
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def decisions(monitoring: Monitoring) -> str:
    """Return ``12 % → 19 %``; nothing where it is not known."""
    if monitoring.chosen_before is None or monitoring.chosen_now is None:
        return ""
    return _between(monitoring.chosen_before, monitoring.chosen_now)


def skew_text(differing: int, rows: int, worst: float) -> str:
    """Return what came of asking the tagged model again."""
    asked = f"{counted(rows, 'logged answer')} asked of the tagged model again"
    if not differing:
        return f"{asked}: all the same"
    return f"{asked}: {differing:,} differ, by {quantities.size_of_change(worst)} at worst"


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
