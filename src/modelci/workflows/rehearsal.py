"""Tries what ``modelci.yaml`` evaluates on the work tree's own files: what fails blocks a change.

It loads pandas: ``modelci doctor`` comes here only where the configuration asks for evidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from modelci.analysis.columns import advise
from modelci.analysis.measures import measure_of, measures_for
from modelci.analysis.slices import find_slices
from modelci.config.model import Config, SlicesConfig
from modelci.domain.checks import Check, Health
from modelci.domain.evaluation import Evaluation, SliceBy
from modelci.domain.gates import GateResult, Outcome
from modelci.domain.metrics import diff_metrics
from modelci.domain.snapshot import NOT_CACHED, Snapshot
from modelci.errors import ModelCIError
from modelci.ports import FileTree, Progress, Tables
from modelci.workflows.evidence import find_evidence
from modelci.workflows.findings import Findings, Sides

_NAME = "evaluation"


def rehearse(
    config: Config, snapshot: Snapshot, tree: FileTree, *, tables: Tables, progress: Progress
) -> Iterator[Check]:
    """Yield what would be wrong with a change that changes nothing; else that all of it works.

    What DVC keeps elsewhere is not fetched: files that are not here are warned of and no more.
    """
    known = _Known(tables, tree)
    checks = [
        *(one for evaluation in config.evaluation for one in _names(evaluation)),
        *_measures(config),
        *_slices(config, known),
    ]
    found = find_evidence(
        Sides(base=tree, head=tree, before=snapshot, after=snapshot),
        # The first slice wrong would hide the others, which are named above.
        replace(config, slices=SlicesConfig()) if checks else config,
        diff_metrics(snapshot.metrics, snapshot.metrics, config.metrics),
        tables=tables,
        pull=False,
        progress=progress,
    )
    checks += _evidence(found, known, config.evaluation)
    yield from checks or [_fine(config, found)]


class _Known:
    """The head's predictions, with every column; None where they cannot be read."""

    def __init__(self, tables: Tables, tree: FileTree) -> None:
        self._tables = tables
        self._tree = tree

    def slices(self, evaluation: Evaluation, by: str | SliceBy) -> str | None:
        """Return what is wrong with one way to slice these predictions."""
        try:
            table = self._tables.read(self._tree, evaluation.predictions)
        except ModelCIError:
            return None  # which the evidence says itself
        try:
            find_slices(table.frame, [by])
        except ValueError as error:
            return str(error)
        return None

    def advice(self, evaluation: Evaluation) -> str:
        """Return how to mend an evaluation's keys, as far as the file's columns say."""
        try:
            told = advise(self._tables.read(self._tree, evaluation.predictions).frame, evaluation)
        except ModelCIError:
            told = None
        if told is None:
            return "Mend `evaluation:` in modelci.yaml, or what writes that file."
        return f"Under `evaluation:` in modelci.yaml {told}"


def _names(evaluation: Evaluation) -> Iterator[Check]:
    """Check the names of measures in an evaluation's own settings."""
    measures = measures_for(evaluation.task)
    for name in evaluation.retrain_sd:
        if measure_of(name) not in measures:
            yield _problem(
                f"retrain_sd of {evaluation.predictions}",
                f"{name} is no measure of {evaluation.task} predictions",
                f"Name one of {', '.join(measures)}.",
            )


def _measures(config: Config) -> Iterator[Check]:
    """Check that each measure to slice by is one of some evaluation's."""
    measures = {one: None for each in config.evaluation for one in measures_for(each.task)}
    for name in config.slices.metrics if measures else ():
        if measure_of(name) not in measures:
            yield _problem(
                "slices.metrics",
                f"predictions say nothing of {name}",
                f"In modelci.yaml name some of {', '.join(measures)}.",
            )


def _slices(config: Config, known: _Known) -> Iterator[Check]:
    for evaluation in config.evaluation:
        for by in config.slices.by if evaluation.slices else ():
            wrong = known.slices(evaluation, by)
            if wrong is not None:
                column = by if isinstance(by, str) else by.name or by.query or by.column
                yield _problem(
                    "slices.by",
                    f"{column}, of {evaluation.predictions}: {wrong}",
                    "Mend it under `slices: {by: …}` in modelci.yaml.",
                )


def _evidence(found: Findings, known: _Known, evaluations: Sequence[Evaluation]) -> Iterator[Check]:
    lost = [
        (one, evaluation)
        for one, evaluation in zip(found.evaluations, evaluations, strict=True)
        if not one.comparable
    ]
    for one, evaluation in lost:
        absent = NOT_CACHED in (one.reason or "")
        yield Check(
            name=_NAME,
            health=Health.WARNING if absent else Health.PROBLEM,
            detail=f"{one.predictions}: {one.reason}",
            fix="`dvc pull`, to have it tried here." if absent else known.advice(evaluation),
        )
    reasons = [one.reason for one, _ in lost if one.reason]
    for note in found.notes:
        if not any(reason in note for reason in reasons):
            yield Check(
                name=_NAME,
                health=Health.WARNING,
                detail=note,
                fix="Write predictions and metrics in the same stage, from the same model.",
            )
    for result in found.gates:
        if result.outcome is not Outcome.PASSED and not any(
            reason in result.reason for reason in reasons
        ):
            yield _gate(result)


def _gate(result: GateResult) -> Check:
    absent = NOT_CACHED in result.reason
    return Check(
        name=f"{result.subject} gate",
        health=Health.PROBLEM if result.blocks and not absent else Health.WARNING,
        detail=f"{result.gate.metric}: {result.reason}",
        fix="`dvc pull`, to have it tried here." if absent else "Mend it in modelci.yaml.",
    )


def _fine(config: Config, found: Findings) -> Check:
    rows = sum(one.head_rows or 0 for one in found.evaluations)
    counts = (
        (rows, "row of predictions", "rows of predictions"),
        (len(config.slices.by), "way to slice", "ways to slice"),
        (len(config.fairness), "gap between groups", "gaps between groups"),
        (len(config.data), "dataset", "datasets"),
    )
    told = ", ".join(
        f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count
    )
    return Check(name=_NAME, health=Health.OK, detail=f"{told}: all can be judged")


def _problem(name: str, detail: str, fix: str) -> Check:
    return Check(name=name, health=Health.PROBLEM, detail=detail, fix=fix)
