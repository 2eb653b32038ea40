"""Bootstraps that never touch a row twice: of cells, of sorted weights, of bins.

All are seeded and do not depend on the order of the rows. Each returns what the resamples say;
the standard error is their standard deviation (Efron 1979, *Bootstrap methods: another look at
the jackknife*, Annals of Statistics 7).
"""

from typing import NamedTuple

import numpy as np

from modelci.analysis.measures import Cells, Curve, Scored
from modelci.analysis.predictions import Floats, Ints

_CELL_WORK = 4_000_000
_WEIGHT_WORK = 2_000_000
_BLOCK = 1_000_000
_FEWEST = 200
_LARGEST = np.iinfo(np.uint16).max


class Resampled(NamedTuple):
    """Head minus base in each of ``b`` resamples, for the two measures of a curve."""

    average_precision: Floats
    ks: Floats


def resample_cells(base: Scored, head: Scored) -> tuple[Cells, Cells]:
    """Draw the counts (y, base label, head label) anew, and return those of either model.

    Resampling n rows is drawing the counts of their cells from a multinomial distribution: the
    cost depends on the number of cells, not of rows. Where many classes make many cells there
    are fewer resamples than ``resamples``, but never fewer than 200.
    """
    kinds = base.classes
    target = head.target.astype(np.int64)
    counts = np.bincount((target * kinds + base.label) * kinds + head.label, minlength=kinds**3)
    weights = _with_mirrors(counts.reshape(kinds, kinds, kinds)).ravel()
    seen = np.flatnonzero(weights)
    share = weights[seen] / weights.sum()
    rng = np.random.default_rng([head.evaluation.seed, 1])
    hot = np.eye(kinds)
    true, old, new = hot[seen // kinds**2], hot[seen // kinds % kinds], hot[seen % kinds]
    sums = np.hstack([true, old, true * old, new, true * new])
    wanted = _resamples(_CELL_WORK, len(seen), head.evaluation.resamples)
    block = max(1, _BLOCK // len(seen))
    drawn = [
        rng.multinomial(len(target), share, size=min(block, wanted - start)) @ sums
        for start in range(0, wanted, block)
    ]
    truth, answered, right, answered_now, right_now = np.hsplit(np.concatenate(drawn), 5)
    return Cells(right, answered, truth), Cells(right_now, answered_now, truth)


def _with_mirrors(counts: Ints) -> Floats:
    """Give half a row to the other side where all changed answers of a class went one way.

    Three answers that all got worse would else be taken for proof (p = .04, where the exact sign
    test says .125 and its mid-p .06): no resample could hold a change for the better. In the
    spirit of Agresti & Min 2005, *Simple improved confidence intervals for comparing matched
    proportions*, Statistics in Medicine 24. Equal answers stay equal in each resample.
    """
    weights = counts.astype(np.float64)
    for place, cell in enumerate(counts):
        lost, won = cell[place, :].copy(), cell[:, place].copy()
        lost[place] = won[place] = 0
        if lost.any() and not won.any():
            weights[place, lost.argmax(), place] = 0.5
        elif won.any() and not lost.any():
            weights[place, place, won.argmax()] = 0.5
    return weights


def resample_curves(base: Scored, head: Scored) -> Resampled | None:
    """Give rows random weights, and work out both curves' measures without sorting again.

    Weights are 0 or 2, each as likely as the other ("double or nothing", Owen & Eckles 2012,
    *Bootstrapping data arrays of arbitrary order*, Annals of Applied Statistics 6): their mean and
    variance are 1, as those of the usual bootstrap, and they cost a random bit. Rows get their
    bits in the order of their scores, so that their order in the file does not matter. None where
    either class has fewer than two rows.
    """
    old, new = base.curve, head.curve
    if old is None or new is None or min(old.positives, old.negatives) < 2:
        return None
    rows = len(head.target)
    if rows > _LARGEST:
        raise ValueError(f"at most {_LARGEST:,} rows")
    rank = np.empty(rows, dtype=np.int64)
    rank[np.lexsort((head.target, head.score, base.score))] = np.arange(rows)
    rng = np.random.default_rng([head.evaluation.seed, 2])
    wanted = _resamples(_WEIGHT_WORK, rows, head.evaluation.resamples)
    block = max(1, _BLOCK // rows)
    steps = [_Steps(curve, rank) for curve in (old, new)]
    drawn = []
    for start in range(0, wanted, block):
        size = min(block, wanted - start)
        bits = np.frombuffer(rng.bytes(size * rows // 8 + 1), dtype=np.uint8)
        weights = np.unpackbits(bits, count=size * rows).reshape(size, rows)
        drawn.append(np.stack([step.measure(weights) for step in steps]))
    values = np.concatenate(drawn, axis=2)
    change = values[1] - values[0]
    return Resampled(*change[:, np.isfinite(change).all(axis=0)])


class _Steps:
    """The places of a curve that its measures need: steps that hold a positive."""

    def __init__(self, curve: Curve, rank: Ints) -> None:
        self.order = rank[curve.order]
        self.positive = np.flatnonzero(curve.target)
        with_positive = np.diff(curve.hits, prepend=0.0) > 0
        self.ends = curve.chosen[with_positive].astype(np.int64) - 1
        self.last_hits = curve.hits[with_positive].astype(np.int64) - 1
        before = np.append(0.0, curve.chosen[:-1])[with_positive].astype(np.int64) - 1
        self.starts = np.maximum(before, 0)
        self.is_first = before < 0

    def measure(self, weights: "np.typing.NDArray[np.uint8]") -> Floats:
        """Return average precision and KS (2, b) under weights (b, n); NaN without both classes.

        The gap between the classes' distributions grows at positives and shrinks between them:
        its extremes are where a step with a positive ends or is about to begin.
        """
        ranked = np.take(weights, self.order, axis=1)
        chosen = np.cumsum(ranked, axis=1, dtype=np.uint16)
        hits = np.cumsum(ranked[:, self.positive], axis=1, dtype=np.uint16)[:, self.last_hits]
        hits = hits.astype(np.float64)
        until, before = chosen[:, self.ends].astype(np.float64), chosen[:, self.starts]
        before = np.where(self.is_first, 0.0, before)
        hits_before = np.hstack([np.zeros((len(hits), 1)), hits[:, :-1]])
        total = chosen[:, -1:].astype(np.float64)
        positives = hits[:, -1:]
        negatives = total - positives
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = hits / np.maximum(until, 1)
            average = ((hits - hits_before) * precision).sum(axis=1) / positives[:, 0]
            ends = hits / positives - (until - hits) / negatives
            starts = hits_before / positives - (before - hits_before) / negatives
        return np.stack([average, np.maximum(np.abs(ends), np.abs(starts)).max(axis=1)])


def resample_bins(base: Scored, head: Scored) -> Floats:
    """Draw both models' bin sums anew, and return the change (b,) of the calibration error.

    The sums are means of independent rows, so they are drawn from the normal distribution with
    their covariance: a parametric bootstrap (Efron & Tibshirani 1993, *An Introduction to the
    Bootstrap*, 6.5) whose cost does not depend on the number of rows.
    """
    bins, rows = head.evaluation.bins, len(head.target)
    (old_bins, old), (new_bins, new) = base.bin_gaps, head.bin_gaps
    means = np.concatenate([np.bincount(old_bins, old, bins), np.bincount(new_bins, new, bins)])
    means /= rows
    products = np.zeros((2 * bins, 2 * bins))
    products[:bins, :bins] = np.diag(np.bincount(old_bins, old * old, bins))
    products[bins:, bins:] = np.diag(np.bincount(new_bins, new * new, bins))
    both = np.bincount(old_bins * bins + new_bins, old * new, bins * bins).reshape(bins, bins)
    products[:bins, bins:], products[bins:, :bins] = both, both.T
    spread, axes = np.linalg.eigh((products / rows - np.outer(means, means)) / rows)
    rng = np.random.default_rng([head.evaluation.seed, 3])
    normal = rng.standard_normal((head.evaluation.resamples, 2 * bins))
    errors = np.abs(normal @ (axes * np.sqrt(np.maximum(spread, 0))).T + means)
    return np.asarray(errors[:, bins:].sum(axis=1) - errors[:, :bins].sum(axis=1))


def _resamples(work: int, size: int, wanted: int) -> int:
    return min(wanted, max(_FEWEST, work // size))
