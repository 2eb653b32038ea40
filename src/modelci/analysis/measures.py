"""Measures of predictions, by scikit-learn's names and with its values.

A measure has a value, and most have an influence function: how the value changes, per row, as
that row gets a little more weight (Hampel 1974; Efron, *The Jackknife, the Bootstrap and Other
Resampling Plans*, 1982, ch. 6: the infinitesimal jackknife). Paired differences take their
standard errors from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelci.analysis.predictions import Floats, Ints, Mask, Sample
from modelci.domain.evaluation import CostMatrix, Evaluation, Task

_BINARY = tuple(
    """roc_auc pr_auc accuracy balanced_accuracy f1 precision recall mcc cost brier log_loss ks
    ece""".split()
)
_MULTICLASS = tuple(
    """accuracy balanced_accuracy f1_macro precision_macro recall_macro mcc log_loss
    roc_auc_ovr_macro""".split()
)
_REGRESSION = ("mae", "rmse", "mse", "r2", "mape")
_LOWER = frozenset({"cost", "brier", "log_loss", "ece", "mae", "rmse", "mse", "mape"})
_SIDES = ("train_", "training_", "val_", "valid_", "validation_", "test_", "eval_", "dev_", "cv_")
_SYNONYMS = {
    "acc": "accuracy",
    "accuracy_score": "accuracy",
    "ap": "pr_auc",
    "auc": "roc_auc",
    "auc_pr": "pr_auc",
    "auc_roc": "roc_auc",
    "auprc": "pr_auc",
    "auroc": "roc_auc",
    "average_precision": "pr_auc",
    "average_precision_score": "pr_auc",
    "avg_prec": "pr_auc",
    "balanced_accuracy_score": "balanced_accuracy",
    "bal_acc": "balanced_accuracy",
    "bacc": "balanced_accuracy",
    "brier_loss": "brier",
    "brier_score": "brier",
    "brier_score_loss": "brier",
    "cross_entropy": "log_loss",
    "expected_calibration_error": "ece",
    "f1_binary": "f1",
    "f1_score": "f1",
    "f1_score_macro": "f1_macro",
    "ks_stat": "ks",
    "ks_statistic": "ks",
    "log_loss_score": "log_loss",
    "logloss": "log_loss",
    "macro_f1": "f1_macro",
    "macro_precision": "precision_macro",
    "macro_recall": "recall_macro",
    "matthews_corrcoef": "mcc",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_error": "mse",
    "nll": "log_loss",
    "precision_score": "precision",
    "r2_score": "r2",
    "recall_score": "recall",
    "roc_auc_macro": "roc_auc_ovr_macro",
    "roc_auc_ovr": "roc_auc_ovr_macro",
    "roc_auc_score": "roc_auc",
    "root_mean_squared_error": "rmse",
    "sensitivity": "recall",
    "tpr": "recall",
}
_ALL = frozenset({*_BINARY, *_MULTICLASS, *_REGRESSION})


@lru_cache(maxsize=4096)
def measure_of(name: str) -> str | None:
    """Return the measure that a metric's name means (``test.roc_auc_score`` is ``roc_auc``)."""
    last = name.rsplit(".", 1)[-1].lower().replace("-", "_").replace(" ", "_")
    for prefix in _SIDES:
        last = last.removeprefix(prefix)
    last = _SYNONYMS.get(last, last)
    return last if last in _ALL else None


def measures_for(task: Task) -> tuple[str, ...]:
    """Return the measures that predictions of this kind have."""
    return {Task.BINARY: _BINARY, Task.MULTICLASS: _MULTICLASS, Task.REGRESSION: _REGRESSION}[task]


def is_loss(measure: str) -> bool:
    """Whether a measure gets better as it shrinks."""
    return measure in _LOWER


def value(measure: str, sample: Sample, evaluation: Evaluation) -> float:
    """Return a measure's value on all rows.

    Raises ValueError where the task has no such measure, and where it cannot be said: a ranking
    of one class, a cost without a cost matrix.
    """
    if measure not in measures_for(evaluation.task):
        raise ValueError(f"{measure} is no measure of {evaluation.task} predictions")
    found = Scored.of(sample, evaluation).value(measure)
    if found is None:
        raise ValueError(f"{measure} cannot be said of these rows")
    return found


@dataclass(frozen=True, slots=True)
class Curve:
    """What every threshold does, from the highest score down; ties make one step.

    ``steps`` (g,) are the last places of equal scores, ``hits`` and ``chosen`` (g,) the positives
    and rows at or above each, ``sizes`` (g,) the rows of each step. ``order`` (n,) sorts rows.
    """

    order: NDArray[Any]
    target: NDArray[Any]
    sizes: Ints | None
    hits: Floats
    chosen: Floats
    positives: float
    negatives: float

    @classmethod
    def of(cls, target: NDArray[Any], score: Floats, order: NDArray[Any]) -> "Curve":
        """Build the curve; ``order`` sorts ``score`` downwards."""
        ranked, labels = score[order], target[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        hits = np.cumsum(labels, dtype=np.float64)[ends]
        chosen = np.asarray(ends + 1, dtype=np.float64)
        distinct = len(ends) == len(order)
        sizes = None if distinct else np.diff(ends, prepend=-1)
        positives = float(hits[-1])
        return cls(order, labels, sizes, hits, chosen, positives, len(order) - positives)

    def spread(self, steps: Floats) -> Floats:
        """Give each row, from the highest score down, the number of its step."""
        return steps if self.sizes is None else np.repeat(steps, self.sizes)

    def in_rows(self, ranked: Floats) -> Floats:
        """Put numbers that are sorted as the scores are back in the rows' order."""
        found = np.empty_like(ranked)
        found[self.order] = ranked
        return found

    def placements(self) -> Floats:
        """Return each row's share of the other class that it is ranked rightly against.

        DeLong, DeLong & Clarke-Pearson 1988, the structural components V10 (positives) and V01
        (negatives), by mid-ranks as in Sun & Xu 2014; the mean over either class is the AUC.
        """
        misses = self.chosen - self.hits
        above = _before(self.hits) + np.diff(self.hits, prepend=0.0) / 2
        below = self.negatives - (_before(misses) + np.diff(misses, prepend=0.0) / 2)
        of_positives, of_negatives = below / self.negatives, above / self.positives
        return np.where(self.target == 1, self.spread(of_positives), self.spread(of_negatives))

    def roc_auc(self) -> float:
        """Area under the ROC curve by the trapezoidal rule."""
        misses = self.chosen - self.hits
        gained = np.diff(self.hits, prepend=0.0)
        right = gained @ (self.negatives - misses) + gained @ np.diff(misses, prepend=0.0) / 2
        return float(right / (self.positives * self.negatives))

    def average_precision(self) -> float:
        """Sum of precisions weighted by the recall that each step gains."""
        gained = np.diff(self.hits, prepend=0.0)
        return float(gained @ (self.hits / self.chosen) / self.positives)

    def average_precision_influence(self) -> Floats:
        """Influence of each row: derivative of the weighted average precision at equal weights.

        With A_g and N_g the weights of the positives and of all rows at or above step g, it is
        AP = sum over g of dA_g·(A_g/N_g)/A; a row counts in each step at or below its own.
        """
        gained = np.diff(self.hits, prepend=0.0)
        precision = self.hits / self.chosen
        reach = _after(gained / self.chosen)
        loss = _after(gained * precision / self.chosen)
        of_positive = precision - gained @ precision / self.positives + reach - loss
        ranked = np.where(self.target == 1, self.spread(of_positive), self.spread(-loss))
        return self.in_rows(ranked * (len(self.order) / self.positives))

    def ks(self) -> float:
        """Largest gap between the classes' distributions of scores."""
        return float(np.abs(self._gaps()).max())

    def ks_influence(self) -> Floats:
        """Influence of each row on the gap where it is largest.

        Where that is may move, but that changes the largest gap in second order only.
        """
        gaps = self._gaps()
        place = int(np.abs(gaps).argmax())
        sign = 1.0 if gaps[place] >= 0 else -1.0
        above = np.arange(len(self.order)) < self.chosen[place]
        hit, miss = self.hits[place], self.chosen[place] - self.hits[place]
        of_positives = (above - hit / self.positives) / self.positives
        of_negatives = (miss / self.negatives - above) / self.negatives
        ranked = np.where(self.target == 1, of_positives, of_negatives)
        return self.in_rows(ranked * (sign * len(self.order)))

    def _gaps(self) -> Floats:
        return self.hits / self.positives - (self.chosen - self.hits) / self.negatives


def _before(sums: Floats) -> Floats:
    return np.append(0.0, sums[:-1])


def _after(parts: Floats) -> Floats:
    return np.cumsum(parts[::-1])[::-1]


class Scored:
    """One model's answers on some rows, with what several measures share worked out once."""

    def __init__(
        self,
        *,
        target: NDArray[Any],
        score: Floats,
        label: NDArray[Any],
        evaluation: Evaluation,
        whole: "tuple[Scored, Mask] | None" = None,
    ) -> None:
        self.target = target
        self.score = score
        self.label = label
        self.evaluation = evaluation
        self._whole = whole

    @classmethod
    def of(cls, sample: Sample, evaluation: Evaluation) -> "Scored":
        """Take all rows of a sample."""
        return cls(
            target=sample.target, score=sample.score, label=sample.label, evaluation=evaluation
        )

    def part(self, rows: Mask) -> "Scored":
        """Return the answers on the rows (n,) that are True."""
        return Scored(
            target=self.target[rows],
            score=self.score[rows],
            label=self.label[rows],
            evaluation=self.evaluation,
            whole=(self, rows),
        )

    @property
    def classes(self) -> int:
        """Number of classes that a label can be."""
        return 2 if self.score.ndim == 1 else self.score.shape[1]

    @cached_property
    def order(self) -> NDArray[np.int32]:
        """Places of the rows from the highest score down; a part is not sorted anew."""
        if self._whole is None:
            return np.argsort(-self.score).astype(np.int32)
        whole, rows = self._whole
        places = np.cumsum(rows, dtype=np.int32) - np.int32(1)
        return np.asarray(places[whole.order[rows[whole.order]]], dtype=np.int32)

    def value(self, measure: str) -> float | None:
        """Return a measure's value, or None where the rows cannot say."""
        if measure in CELL_MEASURES or measure == "cost":
            cells = Cells.of(self)
            found = cells.measure(measure, self.evaluation)
            return None if found is None else float(found[0])
        if measure in _LOSSES:
            return float(self.losses(measure).mean())
        return _VALUES[measure](self)

    @cached_property
    def curve(self) -> Curve | None:
        """Thresholds' curve, or None where the rows are all of one class."""
        if len(self.target) < 2 or not 0 < np.count_nonzero(self.target) < len(self.target):
            return None
        return Curve.of(self.target, self.score, self.order)

    @cached_property
    def class_curves(self) -> tuple[Curve, ...] | None:
        """Each class against the rest, or None where a class has no row."""
        found = []
        for place in range(self.score.shape[1]):
            target = (self.target == place).astype(np.int8)
            if not 0 < np.count_nonzero(target) < len(target):
                return None
            column = self.score[:, place]
            found.append(Curve.of(target, column, np.argsort(-column)))
        return tuple(found)

    def losses(self, measure: str) -> Floats:
        """Return what each row adds to a measure that is a mean over rows."""
        return _LOSSES[measure](self)

    @cached_property
    def bin_gaps(self) -> tuple[Ints, Floats]:
        """Each row's bin of equal width (its upper edge within), and target minus score."""
        bins = self.evaluation.bins
        places = np.ceil(self.score * bins).astype(np.int64) - 1
        return np.clip(places, 0, bins - 1), self.target - self.score


def _log_losses(scored: Scored) -> Floats:
    # scikit-learn clips to the type's epsilon, so that one sure mistake is not infinite.
    tiny = np.finfo(np.float64).eps
    if scored.score.ndim == 1:
        right = np.where(scored.target == 1, scored.score, 1 - scored.score)
        return np.asarray(-np.log(np.clip(right, tiny, 1 - tiny)), dtype=np.float64)
    right = np.clip(scored.score, tiny, 1 - tiny)[np.arange(len(scored.target)), scored.target]
    return np.asarray(-np.log(right), dtype=np.float64)


def _absolute_shares(scored: Scored) -> Floats:
    tiny = np.finfo(np.float64).eps
    shares = np.abs(scored.target - scored.score) / np.maximum(np.abs(scored.target), tiny)
    return np.asarray(shares, dtype=np.float64)


_LOSSES: dict[str, Callable[[Scored], Floats]] = {
    "brier": lambda scored: np.square(scored.target - scored.score),
    "log_loss": _log_losses,
    "mae": lambda scored: np.abs(scored.target - scored.score),
    "mse": lambda scored: np.square(scored.target - scored.score),
    "mape": _absolute_shares,
}
LOSS_MEASURES = frozenset(_LOSSES)


def calibration_error(scored: Scored) -> float:
    """Expected calibration error: the bins' gaps, weighted by their rows (Naeini et al. 2015)."""
    places, gaps = scored.bin_gaps
    sums = np.bincount(places, gaps, minlength=scored.evaluation.bins)
    return float(np.abs(sums).sum() / len(gaps))


def _r2(scored: Scored) -> float | None:
    spread = np.square(scored.target - scored.target.mean()).sum()
    return float(1 - scored.losses("mse").sum() / spread) if spread > 0 else None


def _roc_auc_ovr(scored: Scored) -> float | None:
    curves = scored.class_curves
    return None if curves is None else float(np.mean([curve.roc_auc() for curve in curves]))


_VALUES: dict[str, Callable[[Scored], float | None]] = {
    "roc_auc": lambda scored: scored.curve.roc_auc() if scored.curve else None,
    "pr_auc": lambda scored: scored.curve.average_precision() if scored.curve else None,
    "ks": lambda scored: scored.curve.ks() if scored.curve else None,
    "ece": calibration_error,
    "rmse": lambda scored: float(np.sqrt(scored.losses("mse").mean())),
    "r2": _r2,
    "roc_auc_ovr_macro": _roc_auc_ovr,
}


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts by class, one row for each of ``b`` resamples.

    ``right`` (b, k) counts right answers, ``answered`` (b, k) answers and ``true`` (b, k) rows of
    each class.
    """

    right: Floats
    answered: Floats
    true: Floats

    @classmethod
    def of(cls, scored: Scored) -> "Cells":
        """Count the rows as they are."""
        kinds = scored.classes
        true = np.bincount(scored.target, minlength=kinds)
        answered = np.bincount(scored.label, minlength=kinds)
        right = np.bincount(scored.target[scored.target == scored.label], minlength=kinds)
        return cls(*(np.asarray(part, dtype=np.float64)[None] for part in (right, answered, true)))

    def measure(self, measure: str, evaluation: Evaluation) -> Floats | None:
        """Return a measure's value (b,) for each resample, or None where it has none."""
        if measure == "cost":
            return None if evaluation.cost is None else self._cost(evaluation.cost)
        return CELL_MEASURES[measure](self)

    def _cost(self, cost: CostMatrix) -> Floats:
        hits, right_no = self.right[:, 1], self.right[:, 0]
        false_yes, false_no = self.answered[:, 1] - hits, self.true[:, 1] - hits
        total = (
            hits * cost.true_positive
            + right_no * cost.true_negative
            + false_yes * cost.false_positive
            + false_no * cost.false_negative
        )
        return np.asarray(total / self.true.sum(axis=1), dtype=np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide; nothing by nothing is 0, as scikit-learn has it."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _f1(cells: Cells) -> Floats:
    return _ratio(2 * cells.right, cells.answered + cells.true)


def _seen_mean(cells: Cells, shares: Floats) -> Floats:
    """Return the mean over the classes that are among the targets or the answers."""
    seen = (cells.true + cells.answered) > 0
    return np.asarray((shares * seen).sum(axis=1) / seen.sum(axis=1), dtype=np.float64)


def _balanced_accuracy(cells: Cells) -> Floats:
    seen = cells.true > 0
    recalls = _ratio(cells.right, cells.true)
    return np.asarray(recalls.sum(axis=1) / seen.sum(axis=1), dtype=np.float64)


def _mcc(cells: Cells) -> Floats:
    """Matthews' correlation for any number of classes (Gorodkin 2004)."""
    rows = cells.true.sum(axis=1)
    both = cells.right.sum(axis=1) * rows - (cells.answered * cells.true).sum(axis=1)
    answers = rows**2 - np.square(cells.answered).sum(axis=1)
    truths = rows**2 - np.square(cells.true).sum(axis=1)
    return _ratio(both, np.sqrt(answers) * np.sqrt(truths))


CELL_MEASURES: dict[str, Callable[[Cells], Floats]] = {
    "accuracy": lambda cells: cells.right.sum(axis=1) / cells.true.sum(axis=1),
    "balanced_accuracy": _balanced_accuracy,
    "f1": lambda cells: _f1(cells)[:, 1],
    "precision": lambda cells: _ratio(cells.right, cells.answered)[:, 1],
    "recall": lambda cells: _ratio(cells.right, cells.true)[:, 1],
    "mcc": _mcc,
    "f1_macro": lambda cells: _seen_mean(cells, _f1(cells)),
    "precision_macro": lambda cells: _seen_mean(cells, _ratio(cells.right, cells.answered)),
    "recall_macro": lambda cells: _seen_mean(cells, _ratio(cells.right, cells.true)),
}
