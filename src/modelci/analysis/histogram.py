"""Counts of numbers that add up exactly, whatever the order and however the rows are divided.

A number's cell is the leading bits of its IEEE 754 representation. A histogram begins with all
bits, so that few different values are counted as they are, and leaves out another one whenever it
has more than ``limit`` cells. How many bits are left depends on the numbers alone: cells only ever
become more as numbers come, and a bit goes only if all numbers together would have too many.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelci.domain.profile import NumberProfile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELLS = 8192
"""How many cells a histogram has at most: about 160 for each bin of a profile."""

_NONE: Ints = np.empty(0, np.int64)
_MAGNITUDE = np.int64((1 << 63) - 1)
# Every finite float is a whole multiple of 2^-1074.
_SCALE = 1074
# Up to this range of keys it is quicker to count into an array than to sort.
_DENSE = 1 << 18


@dataclass(slots=True, kw_only=True)
class Moments:
    """Sums of batches' numbers and squares as integers, so that no order of adding rounds."""

    rows: int = 0
    total: int = 0
    squares: int | None = 0
    min: float | None = None
    max: float | None = None

    def add(self, values: Floats) -> None:
        """Add finite values (n,), n > 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            low, high = float(values.min()), float(values.max())
            if not np.isfinite(mean):
                mean = low / 2 + high / 2
            spread = float(np.square(values - mean).sum()) if low < high else 0.0
        center = _whole(mean)
        squares = None
        if np.isfinite(spread):
            squares = (_whole(spread) << _SCALE) + len(values) * center * center
        self.merge(
            Moments(
                rows=len(values), total=len(values) * center, squares=squares, min=low, max=high
            )
        )

    def merge(self, other: "Moments") -> None:
        """Add what another has counted."""
        self.rows += other.rows
        self.total += other.total
        if self.squares is None or other.squares is None:
            self.squares = None
        else:
            self.squares += other.squares
        self.min = _extreme(min, self.min, other.min)
        self.max = _extreme(max, self.max, other.max)

    @property
    def mean(self) -> float | None:
        """The mean; None without rows."""
        return _real(self.total, self.rows) if self.rows else None

    @property
    def std(self) -> float | None:
        """The population's standard deviation; None without rows, or beyond what floats hold."""
        if not self.rows or self.squares is None:
            return None
        spread = self.rows * self.squares - self.total * self.total
        variance = _real(max(spread, 0), self.rows * self.rows << _SCALE)
        return None if variance is None else variance**0.5


@dataclass(slots=True, kw_only=True)
class Histogram:
    """Sparse counts of finite numbers: ``counts`` (k,) of the rising ``cells`` (k,).

    A cell holds the numbers whose ordered bits, without the last ``shift``, are its number.
    """

    limit: int = CELLS
    shift: int = 0
    cells: Ints = field(default_factory=lambda: _NONE)
    counts: Ints = field(default_factory=lambda: _NONE)
    moments: Moments = field(default_factory=Moments)

    def add(self, values: Floats) -> Self:
        """Count finite values (n,)."""
        if len(values):
            self.moments.add(values)
            self._take(*_count(_ordered(values) >> self.shift))
        return self

    def merge(self, other: "Histogram") -> None:
        """Add what another has counted."""
        self.moments.merge(other.moments)
        self.limit = min(self.limit, other.limit)
        self._coarsen(other.shift)
        self._take(other.cells >> (self.shift - other.shift), other.counts)

    def lower(self, limit: int) -> None:
        """Have no more cells than ``limit`` from now on."""
        self.limit = min(limit, self.limit)
        self._take(_NONE, _NONE)

    def profile(self, bins: int, *, infinite: int = 0) -> NumberProfile:
        """Return counts between at most ``bins + 1`` edges, as equal as the cells allow."""
        edges, counts = self._bins(bins)
        return NumberProfile(
            edges=tuple(edges.tolist()),
            counts=tuple(counts.tolist()),
            infinite=infinite,
            min=self.moments.min,
            max=self.moments.max,
            mean=self.moments.mean,
            std=self.moments.std,
        )

    def _take(self, cells: Ints, counts: Ints) -> None:
        self.cells, self.counts = _summed(
            np.concatenate([self.cells, cells]), np.concatenate([self.counts, counts])
        )
        if len(self.cells) > self.limit:
            self._coarsen(_shift_for(self.cells, self.limit) + self.shift)

    def _coarsen(self, shift: int) -> None:
        if shift > self.shift:
            self.cells, self.counts = _summed(self.cells >> (shift - self.shift), self.counts)
            self.shift = shift

    def _bins(self, bins: int) -> tuple[Floats, Ints]:
        low, high = self.moments.min, self.moments.max
        if low is None or high is None:
            return np.empty(0), _NONE
        borders = self._borders(high)
        passed = np.cumsum(self.counts)
        kept = _nearest(passed[: len(borders)], int(passed[-1]), bins)
        edges = np.concatenate([[low], borders[kept], [high]])
        return edges, np.diff(passed[kept], prepend=0, append=passed[-1])

    def _borders(self, high: float) -> Floats:
        """Return what divides neighbouring cells, halfway where there is a gap; all below high."""
        ends = _unordered((self.cells[:-1] + 1) << self.shift)
        starts = _unordered(self.cells[1:] << self.shift)
        # Halves of the smallest floats are rounded to nothing.
        borders = np.clip(ends / 2 + starts / 2, ends, starts)
        return borders[borders < high]


def count_between(edges: Floats, values: Floats) -> Ints:
    """Return how many finite values lie below, in each bin, and above: (k + 2,) for k + 1 edges.

    A bin holds its left edge and not its right one; the last bin holds both.
    """
    if not len(edges):
        return np.array([0, len(values)])
    # To sort the values is several times quicker than to look each up among the edges.
    ordered = np.sort(values)
    passed = np.searchsorted(ordered, edges, side="left")
    passed[-1] = np.searchsorted(ordered, edges[-1], side="right")
    return np.diff(passed, prepend=0, append=len(values))


def _nearest(passed: Ints, total: int, bins: int) -> Ints:
    """Return which borders come nearest to cutting ``total`` into equal parts, rising."""
    if len(passed) < bins:
        return np.arange(len(passed))
    wanted = np.arange(1, bins) * (total / bins)
    after = np.clip(np.searchsorted(passed, wanted), 1, len(passed) - 1)
    is_before = wanted - passed[after - 1] <= passed[after] - wanted
    return np.unique(np.where(is_before, after - 1, after))


def _shift_for(cells: Ints, limit: int) -> int:
    """Return how many bits fewer leave at most ``limit`` of the rising ``cells``."""
    shift = 0
    while len(cells) > limit:
        shift += 1
        halves = cells >> 1
        cells = halves[_starts(halves)]
    return shift


def _count(keys: Ints) -> tuple[Ints, Ints]:
    """Return the different keys, rising, and how often each occurs."""
    low = int(keys.min())
    if int(keys.max()) - low < _DENSE:
        counts = np.bincount(keys - low)
        cells = np.flatnonzero(counts)
        return cells + low, counts[cells]
    return np.unique(keys, return_counts=True)


def _summed(cells: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return each cell once, rising, with the sum of its counts."""
    order = np.argsort(cells, kind="stable")
    cells, counts = cells[order], counts[order]
    starts = np.flatnonzero(_starts(cells))
    return cells[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def _starts(cells: Ints) -> NDArray[np.bool_]:
    """Return which of the sorted cells are other than the one before."""
    return np.concatenate([np.ones(len(cells[:1]), bool), cells[1:] != cells[:-1]])


def _ordered(values: Floats) -> Ints:
    """Return integers in the order of the values; both zeros are 0."""
    bits = (values + 0.0).view(np.int64)
    return bits ^ ((bits >> 63) & _MAGNITUDE)


def _unordered(keys: Ints) -> Floats:
    return (keys ^ ((keys >> 63) & _MAGNITUDE)).view(np.float64)


def _whole(value: float) -> int:
    top, bottom = value.as_integer_ratio()
    return (top << _SCALE) // bottom


def _real(total: int, parts: int) -> float | None:
    try:
        return total / (parts << _SCALE)
    except OverflowError:
        return None


def _extreme(
    pick: Callable[[float, float], float], one: float | None, other: float | None
) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return pick(one, other)
