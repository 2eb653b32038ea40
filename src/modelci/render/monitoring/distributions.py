"""Two distributions over one another: the reference's bins and the window's, on an even grid.

A reference has bins of about equal counts, whose widths differ by orders of magnitude. To be seen
as a shape they are laid on cells of equal width, each bin spread evenly over its own.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from modelci.domain.monitoring import ColumnDrift
from modelci.domain.profile import CategoryProfile, ColumnKind, ColumnProfile, NumberProfile
from modelci.render import quantities
from modelci.render.escape import clean
from modelci.render.sparkline import bars

CELLS = 30
_TEXT_CELLS = 10
_MOST_CATEGORIES = 12
_FEW = 12  # bins of a number that has few values
_MOST_WHOLE = 1e6  # whole numbers of which a cell may hold exactly so many
_TAIL = 0.02  # of the rows, at either end, that may lie outside what is drawn
_ROOM = 0.15  # of the width, added at either end
_REACH = 3.0  # widths of the reference that the window may lie beside it
_LABEL_LIMIT = 40
_WIDTH, _HEIGHT = 100.0, 24.0

Segment = tuple[float, float, int]
"""Where ``count`` values lie: from ``low`` to ``high``, which may be one point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A stretch of numbers from ``low`` to ``high``, or (both None) a category by its ``name``.

    ``before`` and ``now`` are shares of the rows that have a value; ``is_new`` says that the
    reference does not know the category. ``write`` puts both ends into words.
    """

    before: float
    now: float
    name: str = ""
    is_new: bool = False
    low: float | None = None
    high: float | None = None
    write: Callable[[float, float], str] | None = None

    @property
    def label(self) -> str:
        """What to call the cell; it takes time, and most are never called by it."""
        if self.write is None or self.low is None or self.high is None:
            return self.name
        return self.write(self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The cells, and the shares of both sides that lie beyond them."""

    kind: ColumnKind
    cells: tuple[Cell, ...]
    beyond_before: float = 0.0
    beyond_now: float = 0.0

    @property
    def is_ordered(self) -> bool:
        """Whether the cells are stretches of a line."""
        return self.cells[0].low is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Both sides as points of an SVG path in a box of 100 × 24; ``title`` says it in words."""

    before: str
    now: str
    title: str


def distribution(drift: ColumnDrift, *, cells: int = CELLS) -> Distribution | None:
    """Return both sides on the same cells; None where either has no value to show."""
    before, now = drift.reference, drift.current
    if now is None:
        return None
    if before.number and now.number:
        return _numbers(before, before.number, now.number, cells)
    if before.category and now.category:
        return _categories(before.kind, before.category, now.category)
    return None


def text_shapes(drift: ColumnDrift) -> tuple[str, str] | None:
    """Return both sides as bars of text, on one scale."""
    found = distribution(drift, cells=_TEXT_CELLS)
    if found is None:
        return None
    scale = 0.0, _top(found)
    sides = [cell.before for cell in found.cells], [cell.now for cell in found.cells]
    return bars(sides[0], within=scale), bars(sides[1], within=scale)


def shape(found: Distribution, name: str) -> Shape:
    """Return what to draw in a row of a table."""
    top = _top(found)
    return Shape(
        before=_steps([cell.before for cell in found.cells], top),
        now=_steps([cell.now for cell in found.cells], top),
        title=f"{name}: {_words(found)}",
    )


def _top(found: Distribution) -> float:
    return max(max(cell.before, cell.now) for cell in found.cells)


def _words(found: Distribution) -> str:
    """Say in which cell the two differ most."""
    cell = max(found.cells, key=lambda one: abs(one.now - one.before))
    sides = (quantities.share(cell.before), quantities.share(cell.now))
    return f"{cell.label} holds {sides[0]} of the reference and {sides[1]} of the window"


def _steps(shares: Sequence[float], top: float) -> str:
    """Return an area's outline, a step for each cell, from the foot of the box."""
    width = _WIDTH / len(shares)
    corners = [f"M0,{_HEIGHT:g}"]
    for place, share in enumerate(shares):
        height = _HEIGHT - (_HEIGHT - 1) * (share / top if top > 0 else 0.0)
        corners.append(f"V{height:.4g}H{(place + 1) * width:.4g}")
    return f"{''.join(corners)}V{_HEIGHT:g}"


# -- numbers -----------------------------------------------------------------------------------


def _numbers(
    column: ColumnProfile, before: NumberProfile, now: NumberProfile, cells: int
) -> Distribution | None:
    sides = list(_segments(before)), list(_segments(now))
    totals = [sum(count for *_, count in side) for side in sides]
    if not all(totals):
        return None
    edges = _edges(column, before, sides, cells)
    if len(edges) < 2:
        return None
    heights = [_spread(side, edges, total) for side, total in zip(sides, totals, strict=True)]
    write = _writer(column)
    return Distribution(
        kind=column.kind,
        cells=tuple(
            Cell(before=one, now=other, low=low, high=high, write=write)
            for (low, high), one, other in zip(pairwise(edges), *heights, strict=True)
        ),
        beyond_before=max(0.0, 1 - sum(heights[0])),
        beyond_now=max(0.0, 1 - sum(heights[1])),
    )


def _edges(
    column: ColumnProfile,
    before: NumberProfile,
    sides: tuple[list[Segment], list[Segment]],
    cells: int,
) -> list[float]:
    """Return the cells' edges; none where the numbers are too far apart to have a distance."""
    low, high = _range(*sides)
    if not math.isfinite(high - low):
        return []
    if low == high:
        return [low, high]
    if len(before.counts) <= _FEW:  # each bin is a value, or nearly so
        ends = [end for end in (low, high) if not before.edges[0] <= end <= before.edges[-1]]
        return sorted({*before.edges, *ends})
    if "int" in column.dtype and high - low < _MOST_WHOLE:
        step = max(1, math.ceil((high - low) / cells))
        first = math.floor(low + 0.5) - 0.5  # whole numbers lie in the middle of a cell
        return [first + step * place for place in range(math.ceil((high - first) / step) + 1)]
    edges = [low + (high - low) * place / cells for place in range(cells + 1)]
    return edges if len(set(edges)) > cells else [low, high]


def _segments(profile: NumberProfile) -> Iterable[Segment]:
    """Yield where the values lie, from the least on; those outside the edges up to the extremes."""
    edges = profile.edges
    if not edges:
        return
    if profile.below and profile.min is not None and profile.min <= edges[0]:
        yield profile.min, edges[0], profile.below
    for low, high, count in zip(edges, edges[1:], profile.counts, strict=False):
        if count and low <= high:
            yield low, high, count
    if profile.above and profile.max is not None and profile.max >= edges[-1]:
        yield edges[-1], profile.max, profile.above


def _range(before: Sequence[Segment], now: Sequence[Segment]) -> tuple[float, float]:
    """Return what to draw: both sides without their outermost values, but no desert between."""
    low, high = _quantile(before, _TAIL), _quantile(before, 1 - _TAIL)
    reach = _REACH * (high - low) or math.inf
    low = min(low, max(_quantile(now, _TAIL), low - reach))
    high = max(high, min(_quantile(now, 1 - _TAIL), high + reach))
    room = _ROOM * (high - low)
    ends = min(before[0][0], now[0][0]), max(before[-1][1], now[-1][1])
    return max(low - room, ends[0]), min(high + room, ends[1])


def _quantile(segments: Sequence[Segment], share: float) -> float:
    wanted = share * sum(count for *_, count in segments)
    for low, high, count in segments:
        if wanted <= count:
            return low + (high - low) * (wanted / count)
        wanted -= count
    return segments[-1][1]


def _spread(segments: Sequence[Segment], edges: Sequence[float], total: int) -> list[float]:
    """Return the share of the values in each cell; a point on an edge lies right of it."""
    last = len(edges) - 2
    found = [0.0] * (last + 1)
    for start, end, count in segments:
        if end < edges[0] or start > edges[-1]:
            continue
        first = min(max(bisect_right(edges, start) - 1, 0), last)
        for at in range(first, min(max(bisect_right(edges, end) - 1, 0), last) + 1):
            covered = min(end, edges[at + 1]) - max(start, edges[at])
            part = covered / (end - start) if end > start else float(at == first)
            found[at] += max(0.0, part) * count / total
    return found


def _writer(column: ColumnProfile) -> Callable[[float, float], str]:
    if column.kind is ColumnKind.DATETIME:
        return _write_moments
    return _write_whole if "int" in column.dtype else _write_numbers


def _write_moments(low: float, high: float) -> str:
    texts = quantities.moment(low), quantities.moment(high)
    return texts[0] if low == high else f"{texts[0]} to {texts[1]}"


def _write_numbers(low: float, high: float) -> str:
    texts = quantities.pair(low, high)
    return texts[0] if low == high else f"{texts[0]} to {texts[1]}"


def _write_whole(low: float, high: float) -> str:
    """Name the only whole number of a cell."""
    only = math.ceil(low)
    return f"{only:,}" if math.ceil(high) - only == 1 else _write_numbers(low, high)


# -- categories --------------------------------------------------------------------------------


def _categories(
    kind: ColumnKind, before: CategoryProfile, now: CategoryProfile
) -> Distribution | None:
    sides = [dict(zip(side.values, side.counts, strict=False)) for side in (before, now)]
    totals = [
        sum(side.values()) + one.other for side, one in zip(sides, (before, now), strict=True)
    ]
    if not all(totals):
        return None
    names = list(dict.fromkeys([*before.values, *now.values]))
    shares = {
        name: tuple(side.get(name, 0) / total for side, total in zip(sides, totals, strict=True))
        for name in names
    }
    shown = set(sorted(names, key=lambda name: -max(shares[name]))[:_MOST_CATEGORIES])
    cells = [
        Cell(
            name=_label(name),
            before=shares[name][0],
            now=shares[name][1],
            is_new=name not in sides[0] and not before.other,
        )
        for name in names
        if name in shown
    ]
    rest = [1 - sum(shares[name][side] for name in shown) for side in (0, 1)]
    if before.other or now.other or len(names) > len(shown):
        cells.append(Cell(name="all others", before=max(0.0, rest[0]), now=max(0.0, rest[1])))
    return Distribution(kind=kind, cells=tuple(cells))


def _label(name: str) -> str:
    return clean(name, _LABEL_LIMIT) if name.strip() else '""'
