"""Judges by predictions and datasets: samples and tables in, results out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelci.analysis.baseline import against_dummy
from modelci.analysis.datachecks import Finding, check_table
from modelci.analysis.fairness import measure_gap
from modelci.analysis.measures import is_loss, measure_of, measures_for, value
from modelci.analysis.paired import Comparer
from modelci.analysis.predictions import Sample
from modelci.analysis.slices import find_slices, judge_slices, worst
from modelci.config.model import Config, DataConfig, FairnessConfig
from modelci.domain.evaluation import Evaluation, Mode, Task
from modelci.domain.evidence import EvaluationResult, Evidence
from modelci.domain.gates import (
    Gate,
    GateResult,
    Grounds,
    Outcome,
    Rule,
    Severity,
    Subject,
    Threshold,
)
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, MetricValue, matches
from modelci.domain.plots import Side
from modelci.domain.slices import FairnessResult, SliceResult
from modelci.ports import Table
from modelci.workflows.findings import Findings

if TYPE_CHECKING:
    from modelci.analysis.paired import Comparison

_REPRODUCED = 1e-4
_MOST_NOTES = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One evaluation's predictions, as far as they are to be had.

    ``head`` and ``base`` are what was read of each side, in the same order where ``comparer`` is
    there to compare them. ``reason`` says why it is not, ``missing`` why there is no head.
    ``theirs`` is the base's own sample even where the base's model was scored anew.
    """

    evaluation: Evaluation
    result: EvaluationResult
    head: Sample | None = None
    base: Sample | None = None
    theirs: Sample | None = None
    comparer: Comparer | None = None
    differs: bool = False
    reason: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A dataset of the head, and the tables whose ids it may not share, by path."""

    table: Table
    others: Mapping[str, Table]


def judge_evidence(
    cases: Sequence[Case],
    datasets: Sequence[tuple[DataConfig, "Dataset | str"]],
    config: Config,
    metrics: Sequence[MetricDelta],
) -> Findings:
    """Decide: samples in, results out."""
    grounds, notes = find_grounds(cases, metrics)
    sliced = [case for case in cases if case.evaluation.slices]
    slices, slice_gates = _judge_slices(sliced, config, grounds)
    fairness, fairness_gates = _judge_fairness(sliced, config.fairness)
    data = [_judge_data(one, found) for one, found in datasets]
    held = [case for case in cases if case.evaluation.baseline]
    gates = (*slice_gates, *fairness_gates, *_judge_baseline(held, config))
    return Findings(
        grounds=grounds,
        gates=(*_once(cases, gates), *(result for results, _ in data for result in results)),
        evaluations=tuple(case.result for case in cases),
        slices=slices,
        fairness=fairness,
        notes=(*_rescored_notes(cases), *notes),
        names=frozenset(name for _, names in data for name in names)
        | {result.gate.metric for result in gates},
    )


def _once(cases: Sequence[Case], gates: Sequence[GateResult]) -> Iterator[GateResult]:
    """Yield the results; those that want for one and the same predictions are one result."""
    by_cause = {case.missing: case for case in cases if case.missing}
    wanting = {cause: [one for one in gates if one.reason == cause] for cause in by_cause}
    for cause, results in wanting.items():
        if len(results) > 1:
            yield _unread(by_cause[cause], results, cases)
    for result in gates:
        if len(wanting.get(result.reason, ())) < 2:
            yield result


def _unread(case: Case, results: Sequence[GateResult], cases: Sequence[Case]) -> GateResult:
    blocks = any(one.gate.severity is Severity.BLOCK for one in results)
    gate = Gate(
        metric="predictions",
        rule=Rule.MAX,
        threshold=Threshold(value=0.0),
        severity=Severity.BLOCK if blocks else Severity.WARN,
    )
    return _finish(
        _named(gate, case, cases),
        Subject.DATA,
        Outcome.MISSING,
        f"{case.missing}; {len(results):,} gates need them",
        mode=Mode.POINT,
    )


def _rescored_notes(cases: Iterable[Case]) -> Iterator[str]:
    for case in cases:
        if case.result.rescored and case.comparer is not None:
            yield (
                "The test sets differ, so the base's model was scored anew on the head's "
                f"({case.evaluation.predictions}): its metrics are compared with that, "
                "not with what the base's files say."
            )


def find_grounds(
    cases: Sequence[Case], metrics: Sequence[MetricDelta]
) -> tuple[Mapping[MetricKey, Grounds], tuple[str, ...]]:
    """Return what the evaluations know of the metrics that they speak of, and notes.

    They speak of those whose recorded values their predictions reproduce; of a metric that
    ``metrics`` names but that is not reproduced they have no evidence to give.
    """
    grounds: dict[MetricKey, Grounds] = {}
    notes: list[str] = []
    doubted: dict[MetricKey, Grounds] = {}
    reproduced: set[MetricKey] = set()
    for case in cases:
        mine, wrong = _grounds_of(case, metrics)
        reproduced |= set() if case.head is None else mine.keys()
        doubted |= {key: one for key, one in wrong.items() if one.contradicted}
        plain = {key: one for key, one in wrong.items() if not one.contradicted}
        if case.evaluation.metrics is not None or not mine:
            notes += [f"No evidence: {one.reason}." for one in plain.values()][:_MOST_NOTES]
        if case.evaluation.metrics is not None:
            mine |= plain
        if case.missing:
            notes.append(f"No evidence: {case.missing}.")
        for key, found in mine.items():
            if key not in grounds or (grounds[key].evidence is None and found.evidence):
                grounds[key] = found
    doubted = {key: one for key, one in doubted.items() if key not in reproduced}
    notes += [_doubt_text(key, one) for key, one in doubted.items()][:_MOST_NOTES]
    return {**grounds, **doubted}, tuple(notes)


def _doubt_text(key: MetricKey, grounds: Grounds) -> str:
    other = Side.BASE if grounds.contradicted is Side.HEAD else Side.HEAD
    return (
        f"{key.name} of the {grounds.contradicted} is in doubt: {grounds.reason}, while those of "
        f"the {other} agree."
    )


def _grounds_of(
    case: Case, metrics: Sequence[MetricDelta]
) -> tuple[dict[MetricKey, Grounds], dict[MetricKey, Grounds]]:
    evaluation = case.evaluation
    known = measures_for(evaluation.task)
    judge = _Judge(case)
    grounds: dict[MetricKey, Grounds] = {}
    wrong: dict[MetricKey, Grounds] = {}
    for delta in metrics:
        measure = measure_of(delta.key.name)
        if measure is None or measure not in known:
            continue
        if not _is_behind(evaluation, delta.key):
            continue
        found = judge.contradicts(measure, delta)
        if found is None:
            grounds[delta.key] = judge.grounds(measure, delta.direction)
        else:
            wrong[delta.key] = found
    return grounds, wrong


def _is_behind(evaluation: Evaluation, key: MetricKey) -> bool:
    """Whether the evaluation says that a metric is its own; it does unless it names others."""
    if evaluation.metrics is None:
        return True
    names = evaluation.metrics
    return any(matches(one, key) for one in ((names,) if isinstance(names, str) else names))


class _Judge:
    """Works out each measure of a case once, however many metrics are named after it."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._values: dict[tuple[Side, str], float | str] = {}
        self._compared: dict[str, Comparison | None] = {}

    def contradicts(self, measure: str, delta: MetricDelta) -> Grounds | None:
        """Say how the predictions differ from what a metrics file says; None where they agree."""
        texts: dict[Side, str] = {}
        checked = 0
        sides = (
            (Side.HEAD, self._case.head, delta.head),
            (Side.BASE, self._case.theirs, delta.base),
        )
        for side, sample, recorded in sides:
            if sample is None or recorded is None:
                continue
            checked += 1
            found = self._value(side, measure, sample)
            if not _is_reproduced(found, recorded):
                shown = found if isinstance(found, str) else f"gives {measure} {found:.6g}"
                said = f"{recorded:.6g}" if isinstance(recorded, float) else recorded
                where = f"{delta.key.path} of the {side}"
                texts[side] = f"{self._case.evaluation.predictions} {shown}, {where} says {said}"
        if not texts:
            return None
        side, text = next(iter(texts.items()))
        return Grounds(
            mode=self._case.evaluation.mode,
            reason=text,
            contradicted=side if len(texts) < checked else None,
        )

    def grounds(self, measure: str, direction: Direction) -> Grounds:
        """Return the evidence for a measure, or why there is none."""
        case = self._case
        none = Grounds(mode=case.evaluation.mode, reason=case.reason, incomparable=case.differs)
        if case.comparer is None:
            return none
        found = self._comparison(measure)
        if found is None:
            return replace(none, reason=f"these rows cannot say {measure}")
        usual = (direction is Direction.LOWER) == is_loss(measure)
        return Grounds(
            mode=case.evaluation.mode,
            evidence=found.evidence(),
            base=found.base if case.result.rescored else None,
            p_value=found.p_value if usual else None,
        )

    def _comparison(self, measure: str) -> "Comparison | None":
        if self._case.comparer is None:
            return None
        if measure not in self._compared:
            self._compared[measure] = self._case.comparer.compare(measure)
        return self._compared[measure]

    def _value(self, side: Side, measure: str, sample: Sample) -> float | str:
        found = self._comparison(measure)
        if found is not None and (side is Side.HEAD or not self._case.result.rescored):
            return found.head if side is Side.HEAD else found.base
        if (side, measure) not in self._values:
            try:
                self._values[side, measure] = value(measure, sample, self._case.evaluation)
            except ValueError as error:
                self._values[side, measure] = f"has no {measure} ({error})"
        return self._values[side, measure]


def _is_reproduced(found: float | str, recorded: MetricValue) -> bool:
    """Whether a value is the recorded one, which may be rounded to three places or more."""
    if not isinstance(found, float) or not isinstance(recorded, float):
        return False
    _, _, places = f"{recorded!r}".partition(".")
    rounded = 0.5 * 10.0 ** -len(places) if places.isdecimal() and len(places) >= 3 else 0.0
    return abs(found - recorded) <= max(_REPRODUCED * abs(recorded), rounded, 1e-12)


def _finish(
    gate: Gate,
    subject: Subject,
    outcome: Outcome,
    reason: str,
    *,
    evidence: Evidence | None = None,
    delta: MetricDelta | None = None,
    mode: Mode = Mode.EVIDENCE,
) -> GateResult:
    if outcome is Outcome.FAILED and gate.severity is Severity.WARN:
        outcome = Outcome.WARNED
    return GateResult(
        gate=gate,
        outcome=outcome,
        reason=reason,
        subject=subject,
        evidence=evidence,
        delta=delta,
        mode=mode,
    )


def _named(gate: Gate, case: Case, cases: Sequence[Case]) -> Gate:
    """Tell the gates of several evaluations apart."""
    if len(cases) < 2:
        return gate
    return replace(gate, metric=f"{gate.metric} of {case.evaluation.predictions}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A measure to judge slices by, under the name that the user has for it."""

    name: str
    measure: str
    severity: Severity


def _judge_slices(
    cases: Sequence[Case], config: Config, grounds: Mapping[MetricKey, Grounds]
) -> tuple[tuple[SliceResult, ...], tuple[GateResult, ...]]:
    slices: list[SliceResult] = []
    gates: list[GateResult] = []
    for case in cases if config.slices.by else ():
        asked = _slice_measures(case, config, grounds)
        known = measures_for(case.evaluation.task)
        found = _slices_of(case, config, [one.measure for one in asked if one.measure in known])
        for one in asked or (_Asked("metrics", "", config.slices.severity),):
            gate = replace(config.slices.gate(one.name), severity=one.severity)
            gates.append(_judge_measure(_named(gate, case, cases), one, found, case, config))
        slices += () if isinstance(found, _Unjudged) else found
    return tuple(slices), tuple(gates)


def _judge_measure(
    gate: Gate,
    asked: _Asked,
    found: "tuple[SliceResult, ...] | _Unjudged",
    case: Case,
    config: Config,
) -> GateResult:
    task = case.evaluation.task
    if asked.measure and case.head is not None and asked.measure not in measures_for(task):
        reason = f"{asked.name} is no measure of {task} predictions"
        return _finish(gate, Subject.SLICE, Outcome.MISSING, reason)
    if isinstance(found, _Unjudged):
        return _finish(gate, Subject.SLICE, found.outcome, found.reason)
    mine = [one for one in found if one.measure == asked.measure]
    return _sum_up(gate, mine, case, config.slices.min_rows)


def _slice_measures(
    case: Case, config: Config, grounds: Mapping[MetricKey, Grounds]
) -> tuple[_Asked, ...]:
    """Return the measures asked for, by default those of the gates that compare with the base."""
    severity = config.slices.severity
    asked = [_Asked(name, measure_of(name) or name, severity) for name in config.slices.metrics]
    found: dict[str, _Asked] = {}
    for one in asked or _gated(config, grounds):
        first = found.setdefault(one.measure, one)
        if one.severity is Severity.BLOCK:
            found[one.measure] = replace(first, severity=Severity.BLOCK)
    if len(config.evaluation) > 1:  # what is no measure of this one may be another's
        known = measures_for(case.evaluation.task)
        found = {measure: one for measure, one in found.items() if measure in known}
    return tuple(found.values())


def _gated(config: Config, grounds: Mapping[MetricKey, Grounds]) -> Iterator[_Asked]:
    """Yield the metrics of gates that compare; what only warns in whole only warns in part."""
    for gate in config.all_gates():
        if not gate.rule.is_relative_to_base:
            continue
        severity = Severity.WARN if gate.severity is Severity.WARN else config.slices.severity
        plain = gate.metric.rpartition(":")[2]
        for key in grounds:
            measure = measure_of(key.name)
            if measure is not None and matches(gate.metric, key):
                name = key.name if set(plain) & set("*?[") else plain
                yield _Asked(name, measure, severity)


@dataclass(frozen=True, slots=True)
class _Unjudged:
    """Why no slice can be judged."""

    outcome: Outcome
    reason: str


def _slices_of(
    case: Case, config: Config, measures: Sequence[str]
) -> tuple[SliceResult, ...] | _Unjudged:
    if case.head is None:
        return _Unjudged(Outcome.MISSING, case.missing)
    if case.comparer is None:
        return _Unjudged(Outcome.INCOMPARABLE, case.reason)
    if not measures:
        reason = "no gate compares a metric that the predictions reproduce: name slices.metrics"
        return _Unjudged(Outcome.INCOMPARABLE, reason)
    try:
        return judge_slices(
            case.comparer,
            find_slices(case.head.frame, config.slices.by),
            measures,
            allowed=config.slices.gate("").threshold,
            min_rows=config.slices.min_rows,
            alpha=config.slices.alpha,
        )
    except ValueError as error:
        return _Unjudged(Outcome.MISSING, str(error))


def _sum_up(gate: Gate, results: Sequence[SliceResult], case: Case, min_rows: int) -> GateResult:
    """Return one result for a measure on all slices: the worst slice speaks for them.

    A slice that looks worse and is not proven to be makes no result of its own: of many slices
    some always do.
    """
    found = worst(results)
    if found is None or found.evidence is None:
        reason = f"none of {len(results)} slices has {min_rows:,} rows"
        return _finish(gate, Subject.SLICE, Outcome.INCOMPARABLE, reason)
    counts = {outcome: sum(one.outcome is outcome for one in results) for outcome in Outcome}
    small = counts[Outcome.INCOMPARABLE]
    said = [f"{len(results) - small} slices judged"]
    said += [f"{counts[Outcome.FAILED]} provably worse"] if counts[Outcome.FAILED] else []
    unclear = counts[Outcome.INCONCLUSIVE]
    said += [f"{unclear} worse, maybe by chance"] if unclear else []
    said += [f"{small} too small"] if small else []
    delta = MetricDelta(
        key=MetricKey(path=case.evaluation.predictions, name=f"{found.measure} on {found.label}"),
        base=found.base,
        head=found.head,
        direction=Direction.LOWER if is_loss(found.measure) else Direction.HIGHER,
    )
    failed = counts[Outcome.FAILED] > 0
    differs = any(one.evidence is not None and one.evidence.difference for one in results)
    worst_of = f"worst on {found.label} ({found.rows:,} rows): {found.reason}"
    return _finish(
        gate,
        Subject.SLICE,
        Outcome.FAILED if failed else Outcome.PASSED,
        f"{worst_of if differs else 'no slice differs'}; {', '.join(said)}",
        evidence=found.evidence,
        delta=delta,
    )


def _judge_fairness(
    cases: Sequence[Case], wanted: Sequence[FairnessConfig]
) -> tuple[tuple[FairnessResult, ...], tuple[GateResult, ...]]:
    results: list[FairnessResult] = []
    gates: list[GateResult] = []
    binary = [case for case in cases if case.evaluation.task is Task.BINARY]
    for one in wanted:
        if not binary:
            reason = "it takes an evaluation with task: binary"
            gates.append(_finish(one.gate(), Subject.FAIRNESS, Outcome.MISSING, reason))
        for case in binary:
            gate = _named(one.gate(), case, binary)
            found = _gap(one, case)
            if isinstance(found, str):
                gates.append(_finish(gate, Subject.FAIRNESS, Outcome.MISSING, found))
                continue
            results.append(found)
            gates.append(_judge_gap(gate, one, found))
    return tuple(results), tuple(gates)


def _gap(one: FairnessConfig, case: Case) -> FairnessResult | str:
    if case.head is None:
        return case.missing
    if one.column not in case.head.frame.columns:
        return f"{case.evaluation.predictions} has no column {one.column!r}"
    try:
        return measure_gap(
            one.metric,
            case.head,
            case.base,
            case.head.frame[one.column],
            column=one.column,
            alpha=case.evaluation.alpha,
            min_rows=one.min_rows,
            seed=case.evaluation.seed,
            resamples=case.evaluation.resamples,
            allowed=one.max,
        )
    except TypeError:
        return f"column {one.column!r} holds lists or objects: they make no groups"
    except ValueError as error:
        return str(error)


def _judge_gap(gate: Gate, one: FairnessConfig, found: FairnessResult) -> GateResult:
    evidence = found.evidence
    if evidence is None:
        reason = f"fewer than two groups of {one.column} have {one.min_rows:,} rows"
        return _finish(gate, Subject.FAIRNESS, Outcome.INCOMPARABLE, reason)
    lowest, highest = (pick(found.rates, key=found.rates.__getitem__) for pick in (min, max))
    said = (
        f"{found.rate} {found.rates[lowest]:.3g} ({lowest}) to {found.rates[highest]:.3g} "
        f"({highest}): a gap of {evidence.head:.3g}, allowed {one.max:.3g}"
    )
    outcome = _gap_outcome(one.mode, evidence, one.max)
    if outcome is Outcome.INCONCLUSIVE:
        said += ", but that may be chance"
    elif one.mode is Mode.NONINFERIOR and outcome is Outcome.FAILED:
        said += f"; not proven to be within that: it may be {evidence.high:.3g}"
    return _finish(gate, Subject.FAIRNESS, outcome, said, evidence=evidence, mode=one.mode)


def _gap_outcome(mode: Mode, evidence: Evidence, allowed: float) -> Outcome:
    if mode is Mode.NONINFERIOR:
        return Outcome.PASSED if evidence.high <= allowed else Outcome.FAILED
    if evidence.head <= allowed:
        return Outcome.PASSED
    if mode is Mode.POINT or evidence.low > allowed:
        return Outcome.FAILED
    return Outcome.INCONCLUSIVE


def _judge_baseline(cases: Sequence[Case], config: Config) -> Iterator[GateResult]:
    least = config.baseline.min_gain
    for name in config.baseline.metrics:
        measure = measure_of(name) or name
        for case in cases:
            known = measure in measures_for(case.evaluation.task)
            if not known and len(cases) > 1:
                continue
            gate = _named(config.baseline.gate(name), case, cases)
            if case.head is None or not known:
                tasks = f"{name} is no measure of {case.evaluation.task} predictions"
                reason = case.missing or tasks
                yield _finish(gate, Subject.BASELINE, Outcome.MISSING, reason)
                continue
            found = against_dummy(measure, case.head, case.evaluation, min_gain=least)
            yield _judge_dummy(gate, measure, found, least)


def _judge_dummy(gate: Gate, measure: str, found: Evidence | None, least: float) -> GateResult:
    if found is None:
        reason = f"{measure} says nothing of a dummy, or not on these rows"
        return _finish(gate, Subject.BASELINE, Outcome.INCOMPARABLE, reason)
    sign = -1 if is_loss(measure) else 1
    gain, surely = sign * found.difference, min(sign * found.low, sign * found.high)
    dummy = found.head - found.difference
    said = f"{found.head:.4g}, a dummy has {dummy:.4g}"
    said += f"; better by {least:.4g} is required" if least else ""
    if gain <= least:
        outcome = Outcome.FAILED
    elif surely > least:
        outcome = Outcome.PASSED
    else:
        outcome, said = Outcome.INCONCLUSIVE, f"{said}: that may be chance"
    return _finish(gate, Subject.BASELINE, outcome, said, evidence=found)


def _judge_data(
    data: DataConfig, found: Dataset | str
) -> tuple[tuple[GateResult, ...], tuple[str, ...]]:
    """Return a result for each check that does not hold and one for the rest; and all names."""
    if isinstance(found, str):
        gate = data.gate("readable")
        return (_finish(gate, Subject.DATA, Outcome.MISSING, found, mode=Mode.POINT),), ()
    findings = check_table(
        found.table.frame,
        id=data.id,
        columns=data.columns,
        min_rows=data.min_rows,
        max_rows=data.max_rows,
        only_these_columns=data.only_these_columns,
        others={path: table.frame[data.id] for path, table in found.others.items() if data.id},
    )
    broken = [one for one in findings if one.count]
    results = [
        _finish(data.gate(one.name), Subject.DATA, Outcome.FAILED, one.reason, mode=Mode.POINT)
        for one in broken
    ]
    names = tuple(data.gate(one.name).metric for one in findings)
    return (*results, *_rest(data, findings, len(broken), len(found.table.frame))), names


def _rest(
    data: DataConfig, findings: Sequence[Finding], broken: int, rows: int
) -> Iterator[GateResult]:
    if len(findings) > broken:
        holding = len(findings) - broken
        the_other = "the other " if broken else ""
        reason = f"{the_other}{holding} of {len(findings)} checks hold for {rows:,} rows"
        gate = data.gate("checks")
        yield _finish(gate, Subject.DATA, Outcome.PASSED, reason, mode=Mode.POINT)
