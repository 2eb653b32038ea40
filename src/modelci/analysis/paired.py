"""Differences between two models on the same rows, and how sure they are."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from modelci.analysis.measures import (
    CELL_MEASURES,
    LOSS_MEASURES,
    Cells,
    Scored,
    is_loss,
    measures_for,
)
from modelci.analysis.predictions import Floats, Mask, Pair
from modelci.domain.evidence import Evidence

_POWER = 0.8
_KEPT_ROWS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A measure of two models on the same rows; see ``Evidence`` for what the numbers are."""

    measure: str
    method: str
    rows: int
    base: float
    head: float
    difference: float
    standard_error: float
    alpha: float

    @property
    def low(self) -> float:
        """Lower bound of the difference, one-sided at ``alpha``."""
        return self.difference + float(ndtri(self.alpha)) * self.standard_error

    @property
    def high(self) -> float:
        """Upper bound of the difference, one-sided at ``alpha``."""
        return self.difference - float(ndtri(self.alpha)) * self.standard_error

    @property
    def detectable(self) -> float:
        """The smallest true worsening that a test at ``alpha`` finds 8 times out of 10."""
        return float(ndtri(1 - self.alpha) + ndtri(_POWER)) * self.standard_error

    @property
    def worse(self) -> float:
        """By how much the head is worse, in the measure's own direction."""
        return self.difference if is_loss(self.measure) else -self.difference

    def p_value(self, allowed: float = 0.0) -> float:
        """One-sided p of "worse by at most ``allowed``": small proves that it is worse by more."""
        return self._upper(self.worse - allowed)

    def p_noninferior(self, allowed: float = 0.0) -> float:
        """One-sided p of "worse by more than ``allowed``": small proves that it is not."""
        if self.standard_error == 0:
            return 0.0 if self.worse <= allowed else 1.0
        return self._upper(allowed - self.worse)

    def p_superior(self, gain: float = 0.0) -> float:
        """One-sided p of "better by at most ``gain``": small proves that it is better by more."""
        return self._upper(-self.worse - gain)

    def evidence(self, *, p_value: float | None = None) -> Evidence:
        """Return what a report says of it."""
        return Evidence(
            measure=self.measure,
            method=self.method,
            rows=self.rows,
            head=self.head,
            base=self.base,
            difference=self.difference,
            standard_error=self.standard_error,
            low=self.low,
            high=self.high,
            alpha=self.alpha,
            detectable=self.detectable,
            p_value=p_value,
        )

    def _upper(self, excess: float) -> float:
        if self.standard_error == 0:
            return 0.0 if excess > 0 else 1.0
        return float(ndtr(-excess / self.standard_error))


def compare(measure: str, pair: Pair, *, rows: Mask | None = None) -> Comparison | None:
    """Compare one measure; use a ``Comparer`` for several of one pair."""
    return Comparer(pair).compare(measure, rows=rows)


class Comparer:
    """Compares a pair by many measures on many slices, sorting and counting only once."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._whole = _View.whole(pair)
        self._views: OrderedDict[bytes, _View] = OrderedDict()

    def compare(self, measure: str, rows: Mask | None = None) -> Comparison | None:
        """Return the comparison on ``rows`` (n,), or None where these rows cannot say.

        Raises ValueError where the task has no such measure.
        """
        evaluation = self._pair.evaluation
        if measure not in measures_for(evaluation.task):
            raise ValueError(f"{measure} is no measure of {evaluation.task} predictions")
        view = self._whole if rows is None else self._view(rows)
        if view is None or len(view.target) < 2:
            return None
        base, head = view.base.value(measure), view.head.value(measure)
        if base is None or head is None:
            return None
        method, error = view.standard_error(measure)
        if not np.isfinite(error):
            return None
        trained = evaluation.retrain_sd.get(measure, 0.0)
        return Comparison(
            measure=measure,
            method=method,
            rows=len(view.target),
            base=base,
            head=head,
            difference=head - base,
            standard_error=hypot(error, sqrt(2) * trained),
            alpha=evaluation.alpha,
        )

    def _view(self, rows: Mask) -> "_View | None":
        if rows.shape != (len(self._pair),) or rows.dtype != np.bool_:
            raise ValueError(f"rows must be {len(self._pair):,} booleans")
        key = np.packbits(rows).tobytes()
        if key in self._views:
            self._views.move_to_end(key)
            return self._views[key]
        if not rows.any():
            return None
        view = self._views[key] = self._whole.part(rows)
        while len(self._views) > 1 and sum(map(len, self._views.values())) > _KEPT_ROWS:
            self._views.popitem(last=False)
        return view


class _View:
    """Both models on some rows."""

    def __init__(self, base: Scored, head: Scored) -> None:
        self.base, self.head = base, head
        self.target = head.target
        self.evaluation = head.evaluation

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def whole(cls, pair: Pair) -> "_View":
        sides = []
        for sample in (pair.base, pair.head):
            order = None
            if sample.score.ndim == 1:
                order = np.argsort(-sample.score).astype(np.int32)
            sides.append(
                Scored(
                    target=sample.target,
                    score=sample.score,
                    label=sample.label,
                    evaluation=pair.evaluation,
                    order=order,
                )
            )
        return cls(*sides)

    def part(self, rows: Mask) -> "_View":
        return _View(self.base.part(rows), self.head.part(rows))

    def standard_error(self, measure: str) -> tuple[str, float]:
        """Return the method's name and the standard error of head minus base."""
        if measure in CELL_MEASURES or measure == "cost":
            return "multinomial bootstrap", self._of_cells(measure)
        if measure in LOSS_MEASURES:
            change = self.head.losses(measure) - self.base.losses(measure)
            return "normal", _mean_error(change)
        method, error = _METHODS[measure]
        return method, error(self)

    def _of_cells(self, measure: str) -> float:
        base, head = self._resampled
        old = base.measure(measure, self.evaluation)
        new = head.measure(measure, self.evaluation)
        if old is None or new is None:
            return float("nan")
        return float(np.std(new - old, ddof=1))

    @cached_property
    def _resampled(self) -> tuple[Cells, Cells]:
        """Draw both models' counts (b, k) from the joint cells (y, base label, head label)."""
        kinds = 2 if self.base.score.ndim == 1 else self.base.score.shape[1]
        codes = (self.target.astype(np.int64) * kinds + self.base.label) * kinds + self.head.label
        counts = np.bincount(codes, minlength=0)
        seen = np.flatnonzero(counts)
        rng = np.random.default_rng([self.evaluation.seed, 1])
        rows = len(codes)
        draws = rng.multinomial(rows, counts[seen] / rows, size=self.evaluation.resamples).astype(
            np.float64
        )
        hot = np.eye(kinds)
        true, old, new = hot[seen // kinds**2], hot[seen // kinds % kinds], hot[seen % kinds]
        truth = draws @ true
        return (
            Cells(draws @ (true * old), draws @ old, truth),
            Cells(draws @ (true * new), draws @ new, truth),
        )


def _mean_error(parts: Floats) -> float:
    """Standard error of the mean of (n,) independent rows."""
    return float(np.std(parts, ddof=1) / sqrt(len(parts)))


def _delong(view: _View) -> float:
    """Paired variance of two AUCs: S10/m + S01/n of DeLong 1988 for the contrast (-1, 1)."""
    base, head = view.base.curve, view.head.curve
    if base is None or head is None:
        return float("nan")
    change = head.in_rows(head.placements()) - base.in_rows(base.placements())
    positive = view.target == 1
    parts = change[positive], change[~positive]
    if min(map(len, parts)) < 2:
        return float("nan")
    return sqrt(sum(float(np.var(part, ddof=1)) / len(part) for part in parts))


def _average_precision(view: _View) -> float:
    base, head = view.base.curve, view.head.curve
    if base is None or head is None:
        return float("nan")
    return _mean_error(head.average_precision_influence() - base.average_precision_influence())


def _ks(view: _View) -> float:
    base, head = view.base.curve, view.head.curve
    if base is None or head is None:
        return float("nan")
    return _mean_error(head.ks_influence() - base.ks_influence())


def _rmse(view: _View) -> float:
    base, head = view.base, view.head
    parts = np.zeros(len(view))
    for side, sign in ((base, -1.0), (head, 1.0)):
        losses = side.losses("mse")
        root = sqrt(losses.mean())
        if root > 0:
            parts += sign * losses / (2 * root)
    return _mean_error(parts)


def _r2(view: _View) -> float:
    spread = np.square(view.target - view.target.mean())
    change = view.base.losses("mse") - view.head.losses("mse")
    difference = change.sum() / spread.sum()
    return _mean_error((change - difference * spread) / spread.mean())


def _ece(view: _View) -> float:
    parts = np.zeros(len(view))
    for side, sign in ((view.base, -1.0), (view.head, 1.0)):
        places, gaps = side.bin_gaps
        signs = np.sign(np.bincount(places, gaps, minlength=view.evaluation.bins))
        parts += sign * signs[places] * gaps
    return _mean_error(parts)


def _roc_auc_ovr(view: _View) -> float:
    base, head = view.base.class_curves, view.head.class_curves
    if base is None or head is None:
        return float("nan")
    parts = np.zeros(len(view))
    for place, (old, new) in enumerate(zip(base, head, strict=True)):
        change = new.in_rows(new.placements()) - old.in_rows(old.placements())
        positive = view.target == place
        difference = new.roc_auc() - old.roc_auc()
        share = positive.mean()
        parts += (change - difference) / np.where(positive, share, 1 - share)
    return _mean_error(parts / len(base))


_METHODS: dict[str, tuple[str, Callable[[_View], float]]] = {
    "roc_auc": ("DeLong", _delong),
    "pr_auc": ("infinitesimal jackknife", _average_precision),
    "ks": ("infinitesimal jackknife", _ks),
    "ece": ("delta method", _ece),
    "rmse": ("delta method", _rmse),
    "r2": ("delta method", _r2),
    "roc_auc_ovr_macro": ("infinitesimal jackknife", _roc_auc_ovr),
}
