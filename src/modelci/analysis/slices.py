"""Parts of the test set: which there are, and whether a change is worse on any of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelci.analysis.holm import adjust
from modelci.analysis.measures import is_loss
from modelci.analysis.paired import Comparer, Comparison
from modelci.analysis.queries import select, unknown_column
from modelci.domain.evaluation import SliceBy
from modelci.domain.gates import Outcome, Threshold
from modelci.domain.slices import SliceResult

MAX_VALUES = 50
MISSING = "(missing)"

_MAX_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """Some rows of the test set: ``mask`` (n,); ``by`` is the column or query that means them."""

    name: str
    by: str
    mask: NDArray[np.bool_]


def find_slices(
    frame: pd.DataFrame, by: Sequence[str | SliceBy], *, max_values: int = MAX_VALUES
) -> tuple[Slice, ...]:
    """Return the slices that ``by`` means, in its order; rows without a value are one too.

    Bins lie between edges (the lower belongs to the bin), with one below the first edge and one
    from the last on, where rows lie there; a number of bins makes quantiles of the values, fewer
    where many are alike. ValueError says what is wrong, and names an unknown column's nearest.
    """
    return tuple(found for one in by for found in _find(frame, one, max_values))


def judge_slices(
    comparer: Comparer,
    slices: Sequence[Slice],
    measures: Sequence[str],
    *,
    allowed: Threshold,
    min_rows: int,
    alpha: float,
) -> tuple[SliceResult, ...]:
    """Judge every measure on every slice, in the order given.

    FAILED is what is worse by more than ``allowed``, provably so; INCONCLUSIVE what is worse by
    more than allowed, and not provably. Holm's correction runs over all slices and measures
    together, so that any of them fails where nothing is worse than allowed with probability
    ``alpha`` at most. A slice with fewer than ``min_rows`` rows, or where a measure cannot be said
    (one class only), is INCOMPARABLE and does not count among the tests.
    """
    asked = [(part, measure) for part in slices for measure in measures]
    found = [
        comparer.compare(measure, rows=part.mask) if _size(part) >= min_rows else None
        for part, measure in asked
    ]
    raw = [one.p_value(allowed.against(one.base)) for one in found if one is not None]
    adjusted = iter(adjust(np.array(raw, dtype=np.float64)).tolist())
    return tuple(
        _unjudged(part, measure, min_rows)
        if one is None
        else _judge(part, one, next(adjusted), allowed, alpha)
        for (part, measure), one in zip(asked, found, strict=True)
    )


def worst(results: Iterable[SliceResult]) -> SliceResult | None:
    """Return the worst that was judged: by outcome, how provable it is, and how much worse."""
    judged = [result for result in results if result.evidence is not None]
    return min(judged, key=_badness, default=None)


def _badness(result: SliceResult) -> tuple[int, float, float]:
    rank = {Outcome.FAILED: 0, Outcome.INCONCLUSIVE: 1}.get(result.outcome, 2)
    if result.evidence is None or result.evidence.p_value is None:
        return rank, 1.0, 0.0
    better = result.evidence.difference * (-1 if is_loss(result.measure) else 1)
    return rank, result.evidence.p_value, better


def _size(part: Slice) -> int:
    return int(np.count_nonzero(part.mask))


def _unjudged(part: Slice, measure: str, min_rows: int) -> SliceResult:
    rows = _size(part)
    return SliceResult(
        measure=measure,
        slice=part.name,
        by=part.by,
        rows=rows,
        outcome=Outcome.INCOMPARABLE,
        reason=f"{rows:,} rows, fewer than {min_rows:,}"
        if rows < min_rows
        else f"{measure} cannot be said of these {rows:,} rows (one class only?)",
    )


def _judge(
    part: Slice, found: Comparison, p_value: float, allowed: Threshold, alpha: float
) -> SliceResult:
    limit = allowed.against(found.base)
    # 0.8 - 0.79 is 0.010000000000000009: a change of just the limit is within it.
    is_worse = found.worse > limit + 1e-12 * max(abs(found.base), abs(found.head))
    change = f"{abs(found.difference):.4g} {'worse' if found.worse > 0 else 'better'}"
    reason = f"{change}, allowed {limit:.4g}"
    if not is_worse:
        outcome = Outcome.PASSED
    elif p_value < alpha:
        outcome, reason = Outcome.FAILED, f"{reason}, p = {p_value:.2g}"
    else:
        outcome, reason = Outcome.INCONCLUSIVE, f"{reason}, not proven (p = {p_value:.2g})"
    return SliceResult(
        measure=found.measure,
        slice=part.name,
        by=part.by,
        rows=found.rows,
        base=found.base,
        head=found.head,
        evidence=found.evidence(p_value=p_value),
        outcome=outcome,
        reason=reason,
    )


def _find(frame: pd.DataFrame, one: str | SliceBy, max_values: int) -> Iterator[Slice]:
    how = SliceBy(column=one) if isinstance(one, str) else one
    if (how.column is None) == (how.query is None):
        raise ValueError("slices are by a column, or by a query: give one of them")
    if how.query is not None:
        if how.bins is not None:
            raise ValueError("bins are of a column, not of a query")
        mask = select(frame, how.query)
        yield Slice(name=_short(how.name or how.query), by=how.query, mask=mask)
        return
    column = _column(frame, how.column or "")
    by = how.name or how.column or ""
    if how.bins is None:
        yield from _by_value(column, by, max_values)
    else:
        yield from _by_bins(column, by, how.bins, max_values)
    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        yield Slice(name=MISSING, by=by, mask=missing)


def _column(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    columns = [str(column) for column in frame.columns]
    if columns.count(name) != 1:
        raise ValueError(unknown_column(name, columns))
    return frame.iloc[:, columns.index(name)]


def _by_value(column: "pd.Series[Any]", by: str, max_values: int) -> Iterator[Slice]:
    try:
        codes, values = pd.factorize(column)
    except TypeError:
        raise ValueError(f"column {by!r} holds lists or the like: it makes no slices") from None
    if len(values) > max_values:
        raise ValueError(
            f"column {by!r} has {len(values):,} values, at most {max_values} make slices of their "
            "own: give bins"
        )
    named = sorted((_sort_key(value), place, _text(value)) for place, value in enumerate(values))
    for _, place, text in named:
        yield Slice(name=_short(text), by=by, mask=codes == place)


def _by_bins(
    column: "pd.Series[Any]", by: str, bins: tuple[float, ...] | int, max_values: int
) -> Iterator[Slice]:
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    if not is_number or pd.api.types.is_bool_dtype(column.dtype):
        raise ValueError(f"column {by!r} holds no numbers: it has no bins")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    edges = _quantiles(values, bins, max_values) if isinstance(bins, int) else _edges(bins)
    texts = _edge_texts(edges)
    names = [
        f"below {texts[0]}",
        *(f"{low} to below {high}" for low, high in pairwise(texts)),
        f"{texts[-1]} and more",
    ]
    places = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
    for place, name in enumerate(names):
        mask = places == place
        if mask.any():
            yield Slice(name=name, by=by, mask=mask)


def _quantiles(values: NDArray[np.float64], bins: int, max_values: int) -> NDArray[np.float64]:
    if not 2 <= bins <= max_values:
        raise ValueError(f"a number of bins is 2 to {max_values}, not {bins}")
    present = values[~np.isnan(values)]
    if not len(present):
        return np.zeros(1)
    inner = np.unique(np.quantile(present, np.arange(1, bins) / bins, method="higher"))
    return np.asarray(inner, dtype=np.float64)


def _edges(bins: tuple[float, ...]) -> NDArray[np.float64]:
    edges = np.array(bins, dtype=np.float64)
    if not len(edges) or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError("edges of bins are finite numbers, each greater than the one before")
    return edges


def _edge_texts(edges: NDArray[np.float64]) -> list[str]:
    """Write edges with as few digits (four at least) as tell them apart."""
    texts = [f"{edge:.17g}" for edge in edges]
    for digits in range(17, 3, -1):
        shorter = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(shorter)) < len(shorter):
            break
        texts = shorter
    return texts


def _sort_key(value: object) -> tuple[bool, float, str]:
    if isinstance(value, int | float | np.number):
        return False, float(value), ""
    return True, 0.0, str(value)


def _text(value: object) -> str:
    # A column of whole numbers with gaps is read as floats.
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 1]}…"
