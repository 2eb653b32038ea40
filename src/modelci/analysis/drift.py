"""How far a window's distributions are from the reference's, from counts alone.

Effects do not depend on how many rows there are, the p-value does: a rule asks for both.
Numbers are compared in ten bins of about equal reference counts, categories by value with the
rest as OTHER; rows without a value, and infinite ones, are bins of their own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc

from modelci.analysis.histogram import Floats, Ints
from modelci.analysis.holm import adjust
from modelci.domain.monitoring import ColumnDrift, Correction
from modelci.domain.profile import (
    CategoryProfile,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Profile,
)

JOINED = 10
"""How many bins of a number PSI, Jensen-Shannon, Cramér's V and the test look at."""

LEAST_EXPECTED = 10.0
"""Cells of the test where fewer rows are expected are too small for chi².

Cochran (1954) has 5 for tests at 5 %; a column of twenty is tested at alpha / 20, where that is too
few (``bench/drift.py``).
"""

_LEAST_LOST = 5.0  # by chance such a value is absent from one window in 150

DECISION = "decision rate"
"""The name under which the share of rows at or above the threshold is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a window differs in; all p-values are adjusted together.

    ``scores`` is the score's distribution, ``decision`` that of "at or above the threshold"; they
    are None where either profile does not know them.
    """

    columns: tuple[ColumnDrift, ...]
    scores: ColumnDrift | None = None
    decision: ColumnDrift | None = None

    def __iter__(self) -> Iterator[ColumnDrift]:
        yield from self.columns
        yield from (one for one in (self.scores, self.decision) if one is not None)


def compare(
    reference: Profile,
    current: Profile,
    *,
    ignore: Collection[str] = (),
    correction: Correction = Correction.HOLM,
) -> Drift:
    """Compare a window, counted between the reference's edges, with the reference.

    Columns are those of the reference, without those to ``ignore``, in its order; one that the
    window lacks has ``current`` None. Raises ValueError where the window was counted between
    other edges than the reference's.
    """
    now = {one.name: one for one in current.columns}
    columns = [
        compare_column(one, now.get(one.name))
        for one in reference.columns
        if one.name not in ignore
    ]
    scores = decision = None
    if reference.scores is not None and current.scores is not None:
        scores = compare_column(reference.scores, current.scores)
        decision = _compare_decisions(reference, current)
    extra = [one for one in (scores, decision) if one is not None]
    judged = adjust_together([*columns, *extra], correction)
    rest = iter(judged[len(columns) :])
    return Drift(
        columns=tuple(judged[: len(columns)]),
        scores=None if scores is None else next(rest),
        decision=None if decision is None else next(rest),
    )


def compare_column(reference: ColumnProfile, current: ColumnProfile | None) -> ColumnDrift:
    """Compare one column; its p-value is of this test alone."""
    drift = ColumnDrift(
        name=reference.name,
        reference=reference,
        current=current,
        missing_before=_share(reference.missing, reference.rows),
        missing_now=0.0 if current is None else _share(current.missing, current.rows),
    )
    note = _incomparable(reference, current)
    if current is None or note is not None:
        return replace(drift, note=note)
    if reference.number is not None:
        now = current.number or _nothing_between(reference.number)
        return _compare_numbers(drift, reference.number, now, current)
    if reference.category is not None:
        return _compare_categories(drift, reference.category, current)
    return _measured(drift, _valueless(reference), _valueless(current))


def adjust_together(found: Sequence[ColumnDrift], correction: Correction) -> list[ColumnDrift]:
    """Adjust the p-values of all that were tested, in the order given."""
    tested = [one.p_value for one in found if one.p_value is not None]
    if correction is Correction.NONE or not tested:
        return list(found)
    adjusted = iter(adjust(np.array(tested)).tolist())
    return [one if one.p_value is None else replace(one, p_value=next(adjusted)) for one in found]


def psi(before: Floats, now: Floats) -> float:
    """Population stability index of two sets of counts (k,): Σ (q - p)·ln(q / p).

    An empty bin counts as half a row, so that the sum is finite; bins that both sides lack say
    nothing. E. Lewis, *An Introduction to Credit Scoring* (1994); it is Jeffreys' divergence.
    """
    seen = before + now > 0
    before, now = _shares(before[seen], least=0.5), _shares(now[seen], least=0.5)
    return float(np.sum((now - before) * np.log(now / before))) if seen.any() else 0.0


def psi_by_chance(before: Floats, now: Floats) -> float:
    """Return the mean PSI of two samples of one distribution: (k - 1)·(1/n + 1/m), about.

    B. Yurdakul, *Statistical properties of the population stability index* (2018).
    """
    cells, rows = int(np.count_nonzero(before + now)), (float(before.sum()), float(now.sum()))
    return (cells - 1) * (1 / rows[0] + 1 / rows[1]) if cells and all(rows) else 0.0


def jensen_shannon(before: Floats, now: Floats) -> float:
    """Jensen-Shannon distance of two sets of counts (k,) by base 2, from 0 to 1.

    The square root of the divergence, as scipy has it (Endres & Schindelin 2003).
    """
    before, now = _shares(before), _shares(now)
    middle = (before + now) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log2(side / middle), 0.0) for side in (before, now)]
    return float(np.sqrt(max(0.0, float(np.sum(parts)) / 2)))


def cramers_v(before: Floats, now: Floats) -> float:
    """Cramér's V of the table (2, k), from 0 to 1, with both sides given the same weight.

    Else it would shrink where the window is smaller than the reference, and be no effect size:
    with p and q the shares it is √(½·Σ (p - q)²/(p + q)). Sides of one size give the usual V.
    """
    before, now = _shares(before), _shares(now)
    both = before + now
    parts = np.divide(np.square(before - now), both, out=np.zeros_like(both), where=both > 0)
    return float(np.sqrt(parts.sum() / 2))


def p_value(before: Floats, now: Floats) -> float:
    """Two-sample p of "both sets of counts (k,) come from one distribution".

    Pearson's chi² on the table (2, k), without Yates' correction. Cells where too few rows are
    expected are joined and judged by the binomial distribution of their rows between the sides,
    which is exact or on the safe side; twice the smaller of the two p-values holds for both.
    """
    total, sizes = before + now, (float(before.sum()), float(now.sum()))
    if not all(sizes):
        return 1.0
    share = sizes[1] / sum(sizes)
    # By the larger side alone: a reference's bins hold equal counts by construction, so that to
    # look at both would be to choose by what is to be tested.
    larger = before if sizes[0] >= sizes[1] else now
    large = larger * (min(sizes) / max(sizes)) >= LEAST_EXPECTED
    found = []
    if np.count_nonzero(large) > 1:
        found.append(_chi_squared(before[large], now[large]))
    if (total[~large] > 0).any():
        found.append(_binomial(float(now[~large].sum()), float(total[~large].sum()), share))
    return min(1.0, len(found) * min(found)) if found else 1.0


def ks(reference: NumberProfile, current: NumberProfile) -> float:
    """Largest gap of the distributions at the edges: at most the Kolmogorov-Smirnov statistic.

    Between two edges it could be larger by what one bin holds of the rows, 2 % as a rule. Missing
    and infinite values have no part in it. Nothing on either side is no difference.
    """
    gaps = _gaps(reference, current)
    return 0.0 if gaps is None else float(np.abs(gaps).max())


def wasserstein(reference: NumberProfile, current: NumberProfile) -> float | None:
    """Wasserstein-1 distance in standard deviations of the reference; None where that is 0.

    It is |F - G| integrated. Where one distribution lies right of the other everywhere that is the
    difference of the means, which is known exactly; what lies on the other side counts twice. For
    that, rows are taken to be even within a bin, and to thin out beyond the edges.
    """
    gaps = _gaps(reference, current)
    if gaps is None or not reference.std:
        return None
    low, high = reference.edges[0], reference.edges[-1]
    lowest = low - _reach(current.below, low - (low if current.min is None else current.min))
    highest = high + _reach(current.above, (high if current.max is None else current.max) - high)
    places = np.array([lowest, *reference.edges, highest])
    gaps = np.concatenate([[0.0], gaps, [0.0]])
    right, left = _area(places, gaps), _area(places, -gaps)
    if reference.mean is None or current.mean is None:
        return (right + left) / reference.std
    return (abs(current.mean - reference.mean) + 2 * min(right, left)) / reference.std


def _reach(rows: int, furthest: float) -> float:
    """Return how far ``rows`` beyond an edge reach, were they even there; one is ``furthest``.

    Even ones would reach as far as that; of an exponential tail the furthest of many lies at
    harmonic-number times the mean. Data are between the two, and so is this.
    """
    if not rows:
        return 0.0
    harmonic = log(rows) + 0.5772 + 1 / (2 * rows)
    return furthest * min(1.0, sqrt(2 / harmonic))


def _area(places: Floats, gaps: Floats) -> float:
    """Integrate what is above zero of a line through ``gaps`` at ``places``, both (k,)."""
    left, right = np.maximum(gaps[:-1], 0), np.maximum(gaps[1:], 0)
    steps = np.abs(np.diff(gaps))
    # A line that crosses zero is above it for that part of its way.
    crossing = gaps[:-1] * gaps[1:] < 0
    parts = np.divide(left + right, steps, out=np.ones_like(steps), where=crossing)
    return float(np.diff(places) * parts @ (left + right) / 2)


def _gaps(reference: NumberProfile, current: NumberProfile) -> Floats | None:
    """Return current minus reference distribution at each edge (k + 1,), None without rows."""
    before, now = _inner(reference), _inner(current)
    if not before.sum() or not now.sum():
        return None
    sides = [np.cumsum(side)[:-1] / side.sum() for side in (before, now)]
    return np.asarray(sides[1] - sides[0], dtype=np.float64)


def _inner(number: NumberProfile) -> Floats:
    return _counts([number.below, *number.counts, number.above])


def _compare_numbers(
    drift: ColumnDrift, reference: NumberProfile, current: NumberProfile, column: ColumnProfile
) -> ColumnDrift:
    if reference.edges != current.edges:
        raise ValueError(f"column {drift.name!r} was counted between other edges")
    before, now = _join(reference, current)
    measured = _measured(
        drift,
        np.concatenate([before, [reference.infinite], _valueless(drift.reference)]),
        np.concatenate([now, [current.infinite], _valueless(column)]),
    )
    return replace(measured, ks=ks(reference, current), wasserstein=wasserstein(reference, current))


def _join(reference: NumberProfile, current: NumberProfile) -> tuple[Floats, Floats]:
    """Join neighbouring bins into ten at most; outer ones are open, unless values are few.

    A number with few values (0 and 1, say) has its bins as they are, and what lies beyond them is
    something else.
    """
    before, now = _inner(reference), _inner(current)
    if len(reference.counts) < JOINED:
        return before, now
    counts = np.asarray(reference.counts, dtype=np.float64)
    middles = np.cumsum(counts) - counts / 2
    groups = np.minimum(middles * JOINED // max(1.0, counts.sum()), JOINED - 1).astype(np.int64)
    groups = np.concatenate([groups[:1], groups, groups[-1:]])
    return _sums(groups, before), _sums(groups, now)


def _sums(groups: Ints, counts: Floats) -> Floats:
    return np.asarray(np.bincount(groups, counts, JOINED), dtype=np.float64)


def _compare_categories(
    drift: ColumnDrift, reference: CategoryProfile, column: ColumnProfile
) -> ColumnDrift:
    current = column.category or CategoryProfile(values=(), counts=())
    counts = dict(zip(current.values, current.counts, strict=True))
    known = [counts.get(value, 0) for value in reference.values]
    others = sum(counts.values()) - sum(known) + current.other
    measured = _measured(
        drift,
        np.concatenate([reference.counts, [reference.other], _valueless(drift.reference)]),
        np.concatenate([known, [others], _valueless(column)]),
    )
    rows = (drift.reference.rows, column.rows)
    names = frozenset(reference.values)
    return replace(
        measured,
        # A value that had no name in the reference may have been among its OTHER.
        new={
            value: _share(count, rows[1])
            for value, count in counts.items()
            if value not in names
            and count
            and _share(count, rows[1]) > _share(reference.other, rows[0])
        },
        lost={
            value: _share(count, rows[0])
            for value, count, found in zip(reference.values, reference.counts, known, strict=True)
            if not found and _share(count, rows[0]) * rows[1] >= _LEAST_LOST
        },
    )


def _compare_decisions(reference: Profile, current: Profile) -> ColumnDrift | None:
    if reference.chosen is None or current.chosen is None:
        return None
    sides = [_decisions(profile) for profile in (reference, current)]
    return compare_column(sides[0], sides[1])


def _decisions(profile: Profile) -> ColumnProfile:
    """Return the shares at or above the threshold and below it as a column."""
    scores, share = profile.scores, profile.chosen or 0.0
    rows = 0 if scores is None else scores.rows - scores.missing
    chosen = round(share * rows)
    return ColumnProfile(
        name=DECISION,
        kind=ColumnKind.BOOLEAN,
        dtype="bool",
        rows=rows,
        category=CategoryProfile(
            values=("true", "false"), counts=(chosen, rows - chosen), distinct=2
        ),
    )


def _measured(drift: ColumnDrift, before: Floats, now: Floats) -> ColumnDrift:
    return replace(
        drift,
        psi=psi(before, now),
        jensen_shannon=jensen_shannon(before, now),
        cramers_v=cramers_v(before, now),
        p_value=p_value(before, now),
        by_chance=psi_by_chance(before, now),
    )


def _incomparable(reference: ColumnProfile, current: ColumnProfile | None) -> str | None:
    """Say why two columns are not compared, or None."""
    if not reference.rows or (current is not None and not current.rows):
        return f"no rows in the {'window' if reference.rows else 'reference'}"
    if current is None or not current.dtype:
        return "the window has no such column"
    if reference.kind is ColumnKind.IDENTIFIER:
        return "an identifier: its values are not compared"
    if reference.missing == reference.rows and current.missing < current.rows:
        return "the reference has no value to compare with"
    values = current.rows - current.missing
    if values and values == current.mistyped:
        return f"was {reference.dtype}, is {current.dtype}"
    return None


def _nothing_between(reference: NumberProfile) -> NumberProfile:
    return NumberProfile(edges=reference.edges, counts=(0,) * len(reference.counts))


def _chi_squared(before: Floats, now: Floats) -> float:
    total = before + now
    share = float(now.sum() / total.sum())
    if not 0 < share < 1:  # all rows of one side are in other cells, which tell that
        return 1.0
    expected = total * share
    statistic = float((np.square(now - expected) / (expected * (1 - share))).sum())
    return float(chdtrc(len(total) - 1, statistic))


def _binomial(found: float, total: float, share: float) -> float:
    """Two-sided p: twice the smaller tail."""
    below, above = bdtr(found, int(total), share), bdtrc(found - 1, int(total), share)
    return min(1.0, 2 * float(min(below, above if found else 1.0)))


def _valueless(column: ColumnProfile) -> Floats:
    """Return the rows whose value is of another type, and those without one."""
    return _counts([column.mistyped, column.missing])


def _counts(numbers: Iterable[int]) -> Floats:
    return np.fromiter(numbers, dtype=np.float64)


def _shares(counts: Floats, *, least: float = 0.0) -> Floats:
    total = counts.sum()
    return np.maximum(counts, least) / total if total else counts


def _share(count: int, rows: int) -> float:
    return count / rows if rows else 0.0
