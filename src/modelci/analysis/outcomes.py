"""How well a deployed model does: by its outcomes, or by an estimate until they are known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelci.analysis.measures import (
    CELL_MEASURES,
    LOSS_MEASURES,
    Cells,
    Curve,
    Scored,
    calibration_error,
)
from modelci.analysis.paired import Comparer
from modelci.analysis.predictions import Floats, Ints, Pair, Sample, locate
from modelci.domain.evaluation import CostMatrix, Evaluation, Task
from modelci.domain.monitoring import Estimate
from modelci.domain.profile import Calibration, Realised

CBPE = "cbpe"

LEAST_OF_A_CLASS = 10
"""With fewer rows of either class a binary measure's interval would mean nothing."""

_PLAIN = Evaluation(predictions="")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joined:
    """Scored rows and their outcomes.

    ``rows`` (n,) are the places of the scored rows whose outcome is known, ``outcomes`` (n,) the
    places of these outcomes. ``unlabelled`` scored rows have none yet, ``unknown`` outcomes are of
    no scored row. ``repeated`` ids have more than one row on either side: of equal outcomes the
    first counts, and ids with ``contradicting`` ones are left out.
    """

    rows: Ints
    outcomes: Ints
    unlabelled: int
    unknown: int
    repeated: int
    contradicting: int


def join(scored: "pd.Series[Any]", outcomes: "pd.Series[Any]", labels: "pd.Series[Any]") -> Joined:
    """Join scored rows with outcomes by their ids; the ``labels`` are those of the outcomes.

    Ids match as text where the files' types differ: "17" and 17 are the same. Rows without an id
    or a label have no outcome.
    """
    ours = _first_places(scored)
    known, contradicting = _settled(outcomes, labels)
    theirs = _first_places(outcomes.iloc[known]) if len(known) else known
    theirs = known[theirs]
    wanted, offered = scored.iloc[ours], outcomes.iloc[theirs]
    places = locate(offered, wanted) if len(ours) and len(theirs) else np.full(len(ours), -1)
    places = np.arange(len(ours)) if places is None else places
    found = places >= 0
    matched = int(np.count_nonzero(found))
    return Joined(
        rows=ours[found],
        outcomes=theirs[places[found]],
        unlabelled=len(ours) - matched,
        unknown=len(theirs) - matched,
        repeated=int(scored.notna().sum()) - len(ours) + len(known) - len(theirs),
        contradicting=contradicting,
    )


def calibrate(scores: Floats, labels: NDArray[Any]) -> Calibration:
    """Fit the isotonic map from scores (n,) to the observed rates of labels (n,) 0 or 1.

    Least squares under "never falls" (Barlow et al. 1972; for classifiers Zadrozny & Elkan 2002).
    Raises ValueError where there is nothing to fit: no rows, or labels that are neither 0 nor 1.
    """
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - it takes a second

    scores, labels = _checked(scores), np.asarray(labels)
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores):,} scores have {len(labels):,} labels")
    if not len(scores):
        raise ValueError("there are no rows")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels are 0 or 1")
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, labels.astype(np.float64))
    return Calibration(
        scores=tuple(fitted.X_thresholds_.tolist()),
        rates=tuple(fitted.y_thresholds_.tolist()),
        rows=len(scores),
    )


def rates_of(scores: Floats, calibration: Calibration) -> Floats:
    """Return the expected rate (n,) of positives of each score (n,)."""
    return np.interp(scores, calibration.scores, calibration.rates)


def realise(
    measures: Iterable[str],
    scores: Floats,
    labels: NDArray[Any],
    *,
    evaluation: Evaluation = _PLAIN,
    answers: NDArray[Any] | None = None,
    alpha: float = 0.025,
) -> Mapping[str, Realised]:
    """Return each measure on labelled rows, with an interval of level ``1 - 2 * alpha``.

    ``scores``, ``labels`` and ``answers`` are ``Sample``'s score, target and label: for a binary
    task scores (n,) and labels (n,) 0 or 1. What these rows cannot say is left out: a measure that
    needs two classes on one of them, or too few rows of a class. Raises ValueError where the task
    has no such measure.
    """
    sample = _sample(scores, labels, evaluation, answers)
    comparer = Comparer(
        Pair(base=_faultless(sample, evaluation), head=sample, evaluation=_alone(evaluation, alpha))
    )
    found = {measure: _realise(measure, sample, comparer, evaluation) for measure in measures}
    return {measure: one for measure, one in found.items() if one is not None}


def estimate(
    measures: Iterable[str],
    scores: Floats,
    calibration: Calibration,
    *,
    evaluation: Evaluation = _PLAIN,
    alpha: float = 0.025,
) -> Mapping[str, Estimate]:
    """Estimate binary measures of scores (n,) that nobody has labelled yet.

    Confidence-based performance estimation: each row is as much a positive as its calibrated score
    says (NannyML's CBPE). It sees that other rows come, and cannot see that rows of the same score
    now turn out otherwise. The interval is of level ``1 - 2 * alpha`` for the value that labels
    will give, by the chance of this window's labels and of those that the map was fitted to.
    Raises ValueError where a binary task has no such measure.
    """
    if evaluation.task is not Task.BINARY:
        raise ValueError(f"{CBPE} estimates binary tasks only, not {evaluation.task}")
    measures, scores = tuple(measures), _checked(scores)
    if not len(scores):
        return {}
    rates = rates_of(scores, calibration)
    drawn = (np.random.default_rng(evaluation.seed).random(len(rates)) < rates).astype(np.int8)
    chance = realise(measures, scores, drawn, evaluation=evaluation, alpha=alpha)
    wider = sqrt(1 + len(scores) / calibration.rows)
    expected = _Expected(scores, rates, evaluation)
    found = {}
    for measure, one in chance.items():
        value = expected.value(measure)
        if value is not None:
            low, high = (
                value - wider * (one.value - one.low),
                value + wider * (one.high - one.value),
            )
            low, high = _bounded(measure, low, high)
            found[measure] = Estimate(
                method=CBPE, value=value, low=low, high=high, rows=len(scores)
            )
    return found


class _Expected:
    """Measures where each row is a positive by ``rates`` (n,) and a negative by the rest."""

    def __init__(self, scores: Floats, rates: Floats, evaluation: Evaluation) -> None:
        self._scores, self._rates, self._evaluation = scores, rates, evaluation
        self._chosen = scores >= evaluation.threshold

    def value(self, measure: str) -> float | None:
        if measure in CELL_MEASURES or measure == "cost":
            found = self._cells().measure(measure, self._evaluation)
            return None if found is None else float(found[0])
        if measure in LOSS_MEASURES:
            positive, negative = (self._as(kind).losses(measure) for kind in (1.0, 0.0))
            return float((self._rates * positive + (1 - self._rates) * negative).mean())
        if measure == "ece":
            return calibration_error(self._as(self._rates))
        return self._of_curve(measure)

    def _of_curve(self, measure: str) -> float | None:
        total = float(self._rates.sum())
        if not 0 < total < len(self._rates):
            return None
        curve = Curve.of(self._rates, self._scores, np.argsort(-self._scores))
        return {"roc_auc": curve.roc_auc, "pr_auc": curve.average_precision, "ks": curve.ks}[
            measure
        ]()

    def _cells(self) -> Cells:
        hits = float(self._rates[self._chosen].sum())
        positives, chosen = float(self._rates.sum()), float(np.count_nonzero(self._chosen))
        rows = len(self._rates)
        right_no = rows - positives - chosen + hits
        return Cells(
            np.array([[right_no, hits]]),
            np.array([[rows - chosen, chosen]]),
            np.array([[rows - positives, positives]]),
        )

    def _as(self, target: "Floats | float") -> Scored:
        return Scored(
            target=np.broadcast_to(np.asarray(target), self._scores.shape),
            score=self._scores,
            label=self._chosen,
            evaluation=self._evaluation,
        )


def _realise(
    measure: str, sample: Sample, comparer: Comparer, evaluation: Evaluation
) -> Realised | None:
    if evaluation.task is Task.BINARY:
        positives = int(np.count_nonzero(sample.target))
        if min(positives, len(sample) - positives) < LEAST_OF_A_CLASS:
            return None
    found = comparer.compare(measure)
    if found is None:
        return None
    if measure == "cost":
        found = replace(found, standard_error=_cost_error(sample, evaluation))
    low, high = _bounded(measure, found.base + found.low, found.base + found.high)
    return Realised(value=found.head, low=low, high=high, rows=found.rows, alpha=found.alpha)


def _cost_error(sample: Sample, evaluation: Evaluation) -> float:
    """Standard error of the mean cost; right answers may have a cost too, so that it varies."""
    cost = evaluation.cost or CostMatrix()
    table = np.array(
        [
            [cost.true_negative, cost.false_positive],
            [cost.false_negative, cost.true_positive],
        ]
    )
    costs = table[sample.target.astype(np.int64), sample.label.astype(np.int64)]
    return float(np.std(costs, ddof=1)) / sqrt(len(costs))


def _bounded(measure: str, low: float, high: float) -> tuple[float, float]:
    least, most = _RANGES.get(measure, (0.0, 1.0))
    return min(max(low, least), most), max(min(high, most), least)


_RANGES = {
    "mcc": (-1.0, 1.0),
    "r2": (-inf, 1.0),
    "cost": (-inf, inf),
    **dict.fromkeys(("log_loss", "mae", "mse", "rmse", "mape"), (0.0, inf)),
}


def _alone(evaluation: Evaluation, alpha: float) -> Evaluation:
    """One model is judged: what luck in training does to the measure has no part in it."""
    return replace(evaluation, alpha=alpha, retrain_sd={})


def _sample(
    scores: Floats, labels: NDArray[Any], evaluation: Evaluation, answers: NDArray[Any] | None
) -> Sample:
    scores, labels = _checked(scores), np.asarray(labels)
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores):,} scores have {len(labels):,} labels")
    if evaluation.task is not Task.REGRESSION:
        labels = labels.astype(np.int64)
    if answers is None:
        answers = _answers(scores, evaluation)
    return Sample(target=labels, score=scores, label=answers, classes=(), frame=pd.DataFrame())


def _answers(scores: Floats, evaluation: Evaluation) -> NDArray[Any]:
    if evaluation.task is Task.BINARY:
        return (scores >= evaluation.threshold).astype(np.int64)
    return scores.argmax(axis=1) if evaluation.task is Task.MULTICLASS else scores


def _faultless(sample: Sample, evaluation: Evaluation) -> Sample:
    """Return what a model without fault would answer: the base to compare with.

    Its measures are the same on any rows, so that the difference varies as much as the measure.
    """
    target = sample.target.astype(np.float64)
    score = target
    if evaluation.task is Task.MULTICLASS:
        score = np.eye(sample.score.shape[1])[sample.target]
    return replace(sample, score=score, label=sample.target)


def _checked(scores: Floats) -> Floats:
    scores = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite numbers")
    return scores


def _first_places(ids: "pd.Series[Any]") -> Ints:
    return np.flatnonzero(ids.notna().to_numpy() & ~ids.duplicated().to_numpy())


def _settled(outcomes: "pd.Series[Any]", labels: "pd.Series[Any]") -> tuple[Ints, int]:
    """Return the places of outcomes that nothing contradicts, and how many ids have two."""
    known = np.flatnonzero((outcomes.notna().to_numpy()) & labels.notna().to_numpy())
    ids, values = outcomes.iloc[known], labels.iloc[known]
    if ids.is_unique:
        return known, 0
    kinds = values.groupby(ids.to_numpy()).transform("nunique").to_numpy()
    return known[kinds == 1], int(ids[kinds > 1].nunique())
