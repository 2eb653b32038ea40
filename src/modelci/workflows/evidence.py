"""Gathers predictions and datasets of both sides, by hash, and has them judged.

It loads pandas: only a report whose configuration asks for it comes here.
"""

from collections.abc import Sequence
from dataclasses import replace

from modelci.analysis.paired import Comparer
from modelci.analysis.predictions import Pair, Sample, pair_predictions, read_sample
from modelci.config.model import Config, DataConfig
from modelci.domain.evaluation import Evaluation, SliceBy
from modelci.domain.evidence import EvaluationResult
from modelci.domain.metrics import MetricDelta
from modelci.domain.plots import Side
from modelci.errors import ModelCIError, PipelineError
from modelci.ports import FileTree, MissingDataError, Progress, Rescorer, Table, Tables
from modelci.workflows.findings import Findings, Sides
from modelci.workflows.judging import Case, Dataset, judge_evidence


def find_evidence(
    sides: Sides,
    config: Config,
    metrics: Sequence[MetricDelta],
    *,
    tables: Tables,
    pull: bool,
    progress: Progress,
    rescorer: Rescorer | None = None,
) -> Findings:
    """Read the predictions and datasets that ``config`` names, and judge by them.

    With a ``rescorer`` the base's model is scored anew where the test sets differ and the
    evaluation says how. What cannot be read is a reason in the results, never an error.
    """
    reader = _Reader(tables, sides, pull=pull)
    with progress.busy("Reading predictions and datasets"):
        cases = [
            _gather(one, config, reader, sides, rescorer=rescorer, progress=progress, pull=pull)
            for one in config.evaluation
        ]
        datasets = [(one, _read_dataset(one, reader)) for one in config.data]
    with progress.busy("Comparing predictions"):
        return judge_evidence(cases, datasets, config, metrics)


class _Reader:
    """Reads a file once, though both sides have it, or several sections want it."""

    def __init__(self, tables: Tables, sides: Sides, *, pull: bool) -> None:
        self._tables = tables
        self._sides = sides
        self._pull = pull
        self._known: dict[tuple[Side, str, tuple[str, ...] | None], Table] = {}

    def read(self, side: Side, path: str, columns: Sequence[str] | None) -> Table:
        """Return a table of one side; MissingDataError where there is none."""
        wanted = None if columns is None else tuple(dict.fromkeys(columns))
        key = (side, path, wanted)
        if key not in self._known:
            self._known[key] = self._twin(side, path, wanted) or self._read(side, path, wanted)
        return self._known[key]

    def _read(self, side: Side, path: str, columns: tuple[str, ...] | None) -> Table:
        tree = self._sides.head if side is Side.HEAD else self._sides.base
        if tree is None:
            raise MissingDataError("there is no base")
        return self._tables.read(tree, path, columns=columns, pull=self._pull)

    def _twin(self, side: Side, path: str, columns: tuple[str, ...] | None) -> Table | None:
        """Return what the head has, where the base has the very same bytes."""
        if side is Side.HEAD:
            return None
        tracked = self._sides.before.tracked.get(path)
        for (_, other, theirs), table in self._known.items():
            has_all = theirs is None or (columns is not None and set(columns) <= set(theirs))
            if (
                other == path
                and has_all
                and tracked
                and tracked.hash
                and table.hash == tracked.hash
            ):
                return table
        return None


def _columns(evaluation: Evaluation) -> tuple[str, ...]:
    score = evaluation.score
    scores = (score,) if isinstance(score, str) else tuple(score.values())
    hard = () if evaluation.prediction is None else (evaluation.prediction,)
    return (evaluation.id, evaluation.target, *scores, *hard)


def _extra_columns(config: Config) -> tuple[str, ...] | None:
    """Return what slices and groups are made of; None for every column, since a query may."""
    found = [one.column for one in config.fairness]
    for by in config.slices.by:
        column = by.column if isinstance(by, SliceBy) else by
        if column is None:
            return None
        found.append(column)
    return tuple(found)


def _read_head(evaluation: Evaluation, config: Config, reader: _Reader) -> Table:
    needed, extra = _columns(evaluation), _extra_columns(config)
    path = evaluation.predictions
    if extra is None:
        return reader.read(Side.HEAD, path, None)
    try:
        return reader.read(Side.HEAD, path, (*needed, *extra))
    except MissingDataError:
        if not extra:
            raise
        # A column to slice by is no part of the evidence: what lacks it says so by itself.
        return reader.read(Side.HEAD, path, needed)


def _gather(
    evaluation: Evaluation,
    config: Config,
    reader: _Reader,
    sides: Sides,
    *,
    rescorer: Rescorer | None,
    progress: Progress,
    pull: bool,
) -> Case:
    try:
        ours = _read_head(evaluation, config, reader)
        head = read_sample(ours.frame, evaluation)
    except _UNUSABLE as error:
        return _nothing(evaluation, _unread(evaluation, Side.HEAD, error))
    is_new = False
    try:
        theirs = reader.read(Side.BASE, evaluation.predictions, _columns(evaluation))
        base = read_sample(theirs.frame, evaluation)
        case = _pair(evaluation, theirs, ours, base, head)
    except _UNUSABLE as error:
        no_base = sides.base is None
        reason = _said(error) if no_base else _unread(evaluation, Side.BASE, error)
        result = _result(evaluation, reason, ours=ours)
        # A test set that is new, such as this month's: the base has a model, and no answers yet.
        is_new = isinstance(error, MissingDataError) and not no_base
        case = Case(evaluation=evaluation, result=result, head=head, reason=reason)
    if (case.differs or is_new) and evaluation.rescore and rescorer and sides.base is not None:
        return _rescore(case, ours, sides.base, rescorer=rescorer, progress=progress, pull=pull)
    return case


_UNUSABLE = (MissingDataError, ValueError, TypeError)
"""What reading a sample raises: TypeError is pandas' of lists and objects in a column."""


def _unread(evaluation: Evaluation, side: Side, error: Exception) -> str:
    if isinstance(error, MissingDataError):  # it names the file
        return f"predictions of the {side}: {_said(error)}"
    return f"{evaluation.predictions} of the {side} cannot be read: {_said(error)}"


def _said(error: Exception) -> str:
    if isinstance(error, TypeError):
        return f"a column holds what is neither text nor number: {error}"
    hint = error.hint if isinstance(error, ModelCIError) else None
    return f"{str(error).rstrip('.')} ({hint.rstrip('.')})" if hint else str(error).rstrip(".")


def _nothing(evaluation: Evaluation, reason: str) -> Case:
    result = _result(evaluation, reason)
    return Case(evaluation=evaluation, result=result, reason=reason, missing=reason)


def _result(
    evaluation: Evaluation,
    reason: str | None,
    *,
    theirs: Table | None = None,
    ours: Table | None = None,
    common: int | None = None,
    rescored: bool = False,
) -> EvaluationResult:
    return EvaluationResult(
        predictions=evaluation.predictions,
        task=evaluation.task,
        comparable=reason is None,
        reason=reason,
        base_hash=theirs.hash if theirs else None,
        head_hash=ours.hash if ours else None,
        base_rows=len(theirs.frame) if theirs else None,
        head_rows=len(ours.frame) if ours else None,
        common=common,
        rescored=rescored,
    )


def _pair(evaluation: Evaluation, theirs: Table, ours: Table, base: Sample, head: Sample) -> Case:
    found = pair_predictions(theirs.frame, ours.frame, evaluation)
    if isinstance(found, Pair):
        result = _result(evaluation, None, theirs=theirs, ours=ours, common=len(found))
        return Case(
            evaluation=evaluation,
            result=result,
            head=found.head,
            base=found.base,
            theirs=found.base,
            comparer=Comparer(found),
        )
    reason = f"{found.reason}; {_how_to_rescore(evaluation)}"
    return Case(
        evaluation=evaluation,
        result=_result(evaluation, reason, theirs=theirs, ours=ours, common=found.common),
        head=head,
        theirs=base,
        differs=True,
        reason=reason,
    )


def _how_to_rescore(evaluation: Evaluation) -> str:
    if evaluation.rescore is None:
        return "`rescore:` in modelci.yaml can score the base's model on the head's rows"
    return "`modelci report --rescore` scores the base's model on the head's rows"


def _rescore(
    case: Case,
    ours: Table,
    base: FileTree,
    *,
    rescorer: Rescorer,
    progress: Progress,
    pull: bool,
) -> Case:
    """Score the base's model on the head's rows; where that fails, the sides stay incomparable."""
    evaluation = case.evaluation
    assert evaluation.rescore is not None  # noqa: S101 - who calls has looked
    assert case.head is not None  # noqa: S101 - likewise
    try:
        theirs = rescorer.rescore(
            evaluation.rescore, base, like=evaluation.predictions, pull=pull, progress=progress
        )
        sample = read_sample(theirs.frame, evaluation)
        found = _pair(evaluation, theirs, ours, sample, case.head)
    except (*_UNUSABLE, PipelineError) as error:
        reason = f"{case.reason.partition(';')[0]}; the base could not be rescored: {_said(error)}"
        progress.warn(f"{evaluation.predictions}: {reason}.")
        return replace(case, reason=reason, result=replace(case.result, reason=reason))
    result = replace(
        found.result, base_hash=case.result.base_hash, common=case.result.common, rescored=True
    )
    if found.differs:
        reason = f"{found.reason.partition(';')[0]}, although the base was rescored"
        return replace(found, reason=reason, result=replace(result, reason=reason))
    return replace(found, result=result, theirs=case.theirs)


def _read_dataset(data: DataConfig, reader: _Reader) -> Dataset | str:
    """Return a dataset's tables, or why they are not to be had."""
    try:
        table = _read_columns(data, reader)
        ids = [] if data.id is None else [data.id]
        others = {path: reader.read(Side.HEAD, path, ids) for path in data.disjoint_from}
    except MissingDataError as error:
        return _said(error)
    return Dataset(table=table, others=others)


def _read_columns(data: DataConfig, reader: _Reader) -> Table:
    wanted = [*data.columns, *([data.id] if data.id is not None else [])]
    if data.only_these_columns or not wanted:
        return reader.read(Side.HEAD, data.path, None)
    try:
        return reader.read(Side.HEAD, data.path, wanted)
    except MissingDataError:  # maybe only one of the columns is, which is a finding
        return reader.read(Side.HEAD, data.path, None)
