"""Reference profiles: of what a model was trained on, and of a window over the same edges."""

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from modelci.analysis.sketch import Sketch
from modelci.analysis.window import WindowSketch
from modelci.domain.profile import CategoryProfile, ColumnProfile, NumberProfile, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyarrow import RecordBatch


def build(
    batches: "Iterable[RecordBatch]",
    *,
    id: str | None = None,  # noqa: A002 - as in modelci.yaml
    score: str | None = None,
    threshold: float | None = None,
    ignore: Collection[str] = (),
) -> Profile:
    """Return the profile of a dataset, in one pass over its batches.

    Memory is bounded whatever the number of rows. ``id`` names rows, and its column is an
    identifier. ``score`` is the column of the model's answers: it is profiled apart from the
    others, with the share of rows at or above ``threshold``. ``ignore`` leaves columns out.
    """
    sketch = Sketch(id=id, score=score, threshold=threshold, ignore=frozenset(ignore))
    for batch in batches:
        sketch.add(batch)
    return sketch.profile()


def count(
    batches: "Iterable[RecordBatch]",
    reference: Profile,
    *,
    ignore: Collection[str] = (),
    score: str | None = None,
) -> Profile:
    """Return a window's profile: its columns over the edges and categories of the reference's.

    Columns of the reference come first, in its order, those that the window lacks with all rows
    missing and the dtype ``""``; added ones follow with edges of their own. A value that the
    reference does not name is counted by its name, too. ``ignore`` leaves columns out. ``score``
    is what the window calls the reference's score column, where that differs.
    """
    sketch = WindowSketch(reference=reference, ignore=frozenset(ignore), score=score)
    for batch in batches:
        sketch.add(batch)
    return sketch.profile()


def merge(one: Profile, other: Profile) -> Profile:
    """Return the profile of both windows' rows, which were counted over the same reference.

    Counts add up exactly; of the standard deviation the last digits may differ, and an id that is
    in both windows is no duplicate of either. A column that only one of them has is missing in the
    other. Raises ValueError where edges differ.
    """
    theirs = {column.name: column for column in other.columns}
    ours = {column.name for column in one.columns}
    return replace(
        one,
        rows=one.rows + other.rows,
        duplicates=one.duplicates + other.duplicates,
        columns=(
            *(_merge(column, theirs.get(column.name), other.rows) for column in one.columns),
            *(
                _merge(column, None, one.rows)
                for column in other.columns
                if column.name not in ours
            ),
        ),
        scores=one.scores and _merge(one.scores, other.scores, other.rows),
        chosen=_chosen(one, other),
        hashes={**one.hashes, **other.hashes},
    )


def _merge(one: ColumnProfile, other: ColumnProfile | None, rows: int) -> ColumnProfile:
    if other is None:
        return replace(one, rows=one.rows + rows, missing=one.missing + rows)
    if one.kind is not other.kind:
        raise ValueError(f"{one.name} is {one.kind} in one profile and {other.kind} in the other")
    return replace(
        one,
        dtype="|".join(sorted({*one.dtype.split("|"), *other.dtype.split("|")} - {""})),
        rows=one.rows + other.rows,
        missing=one.missing + other.missing,
        mistyped=one.mistyped + other.mistyped,
        number=_numbers(one.name, one.number, other.number),
        category=_categories(one.category, other.category),
    )


def _numbers(
    name: str, one: NumberProfile | None, other: NumberProfile | None
) -> NumberProfile | None:
    if one is None or other is None:
        return one or other
    if one.edges != other.edges:
        raise ValueError(f"{name} was counted between other edges in the other profile")
    mean, std = _moments(one, other)
    return NumberProfile(
        edges=one.edges,
        counts=tuple(a + b for a, b in zip(one.counts, other.counts, strict=True)),
        below=one.below + other.below,
        above=one.above + other.above,
        infinite=one.infinite + other.infinite,
        min=min((x for x in (one.min, other.min) if x is not None), default=None),
        max=max((x for x in (one.max, other.max) if x is not None), default=None),
        mean=mean,
        std=std,
    )


def _moments(one: NumberProfile, other: NumberProfile) -> tuple[float | None, float | None]:
    parts = [(one.below + sum(one.counts) + one.above, one.mean, one.std) for one in (one, other)]
    parts = [part for part in parts if part[0]]
    rows = sum(count for count, _, _ in parts)
    if not rows or any(mean is None for _, mean, _ in parts):
        return None, None
    mean = sum(count * (its or 0.0) for count, its, _ in parts) / rows
    if any(std is None for _, _, std in parts):
        return mean, None
    square = sum(
        count * ((std or 0.0) ** 2 + ((its or 0.0) - mean) ** 2) for count, its, std in parts
    )
    return mean, (square / rows) ** 0.5


def _categories(
    one: CategoryProfile | None, other: CategoryProfile | None
) -> CategoryProfile | None:
    if one is None or other is None:
        return one or other
    counts = dict(zip(one.values, one.counts, strict=True))
    for value, count in zip(other.values, other.counts, strict=True):
        counts[value] = counts.get(value, 0) + count
    return CategoryProfile(
        values=tuple(counts),
        counts=tuple(counts.values()),
        other=one.other + other.other,
        distinct=max(one.distinct, other.distinct, len(counts)),
    )


def _chosen(one: Profile, other: Profile) -> float | None:
    counts = [
        (profile.chosen, profile.scores.rows - profile.scores.missing - profile.scores.mistyped)
        for profile in (one, other)
        if profile.chosen is not None and profile.scores is not None
    ]
    rows = sum(count for _, count in counts)
    return sum(round(share * count) for share, count in counts) / rows if rows else None
