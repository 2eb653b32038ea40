"""Counts of a window's columns over the edges and categories of a reference."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from modelci.analysis import arrow
from modelci.analysis.arrow import Family
from modelci.analysis.histogram import Moments, count_between
from modelci.analysis.sketch import (
    MOST_COUNTED,
    Chosen,
    ColumnSketch,
    Ids,
    Tally,
    cells_for,
    named,
    ranked,
)
from modelci.domain.profile import (
    MOST_CATEGORIES,
    CategoryProfile,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Profile,
)

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch

Ints = NDArray[np.int64]

_FLAGS = {"true": "true", "false": "false", "1": "true", "0": "false"}


@dataclass(slots=True)
class Watched:
    """One column of the reference in the window; what is of another type is read where it can be.

    Text that is a number is a number, 0 and 1 are false and true, and anything may be a category.
    """

    reference: ColumnProfile
    types: set[str] = field(default_factory=set)
    rows: int = 0
    missing: int = 0
    mistyped: int = 0

    def add(self, array: "Array") -> None:
        """Count an Arrow array."""
        self.types.add(arrow.name_of(array.type))
        self.rows += len(array)
        if arrow.family_of(array.type) is Family.EMPTY:
            self.missing += len(array)
        else:
            self._count(array, arrow.family_of(array.type))

    def merge(self, other: Self) -> None:
        """Add what another has counted of the column."""
        self.types |= other.types
        self.rows += other.rows
        self.missing += other.missing
        self.mistyped += other.mistyped

    def profile(self, rows: int) -> ColumnProfile:
        """Return the profile; of ``rows`` of the window, those without the column miss it."""
        return replace(
            self.reference,
            dtype="|".join(sorted(self.types)),
            rows=rows,
            missing=self.missing + rows - self.rows,
            mistyped=self.mistyped,
            **self._parts(),
        )

    def _count(self, array: "Array", family: Family) -> None:
        """Count values of an identifier: how many are there is all that matters."""
        del family
        self.missing += array.null_count

    def _parts(self) -> Mapping[str, Any]:
        return {"number": None, "category": None}


@dataclass(slots=True)
class WatchedNumber(Watched):
    """A number, or a time."""

    counts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    moments: Moments = field(default_factory=Moments)
    infinite: int = 0

    def _count(self, array: "Array", family: Family) -> None:
        is_time = self.reference.kind is ColumnKind.DATETIME
        if family is (Family.DATETIME if is_time else Family.NUMBER):
            self._take(arrow.times(array) if is_time else arrow.numbers(array))
        elif family is Family.BOOLEAN and not is_time:
            false, true, missing = arrow.booleans(array)
            self._take(_numbers(np.repeat([0.0, 1.0], [false, true]), missing))
        elif family is Family.TEXT:
            self._parse(array, is_time=is_time)
        else:
            self.missing += array.null_count
            self.mistyped += len(array) - array.null_count

    def _parse(self, array: "Array", *, is_time: bool) -> None:
        texts = arrow.texts(array, most=len(array))
        parse = arrow.parse_times if is_time else arrow.parse_numbers
        values = parse(list(texts.counts or ()))
        counts = np.fromiter((texts.counts or {}).values(), np.int64, len(values))
        is_number = np.isfinite(values)
        self.mistyped += int(counts[~is_number].sum())
        self._take(_numbers(np.repeat(values[is_number], counts[is_number]), texts.missing))

    def _take(self, values: arrow.Numbers) -> None:
        self.missing += values.missing
        self.infinite += values.infinite
        if len(values.finite):
            self.moments.add(values.finite)
            self._sum(count_between(self._edges(), values.finite))

    def _sum(self, counts: Ints) -> None:
        self.counts = self.counts + counts if len(self.counts) else counts

    def _edges(self) -> NDArray[np.float64]:
        number = self.reference.number
        return np.asarray(number.edges if number else (), np.float64)

    def merge(self, other: Self) -> None:
        """Add what another has counted of the column."""
        Watched.merge(self, other)
        self.moments.merge(other.moments)
        self.infinite += other.infinite
        if len(other.counts):
            self._sum(other.counts)

    def _parts(self) -> Mapping[str, Any]:
        edges = self._edges()
        counts = self.counts if len(self.counts) else np.zeros(max(2, len(edges) + 1), np.int64)
        below, *between, above = counts.tolist() or (0, 0)
        return {
            "number": NumberProfile(
                edges=tuple(edges.tolist()),
                counts=tuple(between),
                below=below,
                above=above,
                infinite=self.infinite,
                min=self.moments.min,
                max=self.moments.max,
                mean=self.moments.mean,
                std=self.moments.std,
            )
        }


@dataclass(slots=True)
class WatchedCategory(Watched):
    """A category, or a boolean; ``known`` counts the reference's values, ``others`` the rest."""

    known: dict[str, int] = field(default_factory=dict)
    others: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        category = self.reference.category
        self.known = dict.fromkeys(category.values if category else (), 0)
        if self.reference.kind is ColumnKind.BOOLEAN:
            self.known = {"false": 0, "true": 0, **self.known}

    def _count(self, array: "Array", family: Family) -> None:
        if family in {Family.NESTED, Family.DATETIME}:
            self.missing += array.null_count
            self.mistyped += len(array) - array.null_count
            return
        found = arrow.texts(array, most=len(array))
        self.missing += found.missing
        new: dict[str, int] = {}
        for text, count in (found.counts or {}).items():
            self._add(text, count, new)
        self.others.add(new, sum(new.values()))

    def _add(self, text: str, count: int, new: dict[str, int]) -> None:
        is_flag = self.reference.kind is ColumnKind.BOOLEAN
        name = _FLAGS.get(text.lower(), text) if is_flag else text
        if name in self.known:
            self.known[name] += count
        elif is_flag:
            self.mistyped += count
        else:
            new[name] = count

    def merge(self, other: Self) -> None:
        """Add what another has counted of the column."""
        Watched.merge(self, other)
        for name, count in other.known.items():
            self.known[name] += count
        self.others.merge(other.others)

    def _parts(self) -> Mapping[str, Any]:
        new = ranked(self.others.counts or {})[:MOST_CATEGORIES]
        values = (*self.known, *(text for text, _ in new))
        counts = (*self.known.values(), *(count for _, count in new))
        others = MOST_COUNTED + 1 if self.others.counts is None else len(self.others.counts)
        return {
            "category": CategoryProfile(
                values=values,
                counts=counts,
                other=sum(self.known.values()) + self.others.rows - sum(counts),
                distinct=sum(map(bool, self.known.values())) + others,
            )
        }


_KINDS = {
    ColumnKind.NUMBER: WatchedNumber,
    ColumnKind.DATETIME: WatchedNumber,
    ColumnKind.CATEGORY: WatchedCategory,
    ColumnKind.BOOLEAN: WatchedCategory,
    ColumnKind.IDENTIFIER: Watched,
}


class _Column(Protocol):
    def add(self, array: "Array", /) -> None: ...

    def merge(self, other: Self, /) -> None: ...

    def profile(self, rows: int, /) -> ColumnProfile: ...


@dataclass(slots=True, kw_only=True)
class WindowSketch:
    """A window, counted over a reference; two of them add up as sketches do.

    ``score`` is what the window calls the reference's scores.
    """

    reference: Profile
    ignore: frozenset[str] = frozenset()
    score: str | None = None
    rows: int = 0
    columns: dict[str, _Column] = field(default_factory=dict)
    scores: _Column | None = None
    ids: Ids = field(default_factory=Ids)
    chosen: Chosen = field(default_factory=Chosen)

    def __post_init__(self) -> None:
        for one in self.reference.columns:
            if one.name not in self.ignore:
                self.columns[one.name] = _watch(one)
        if self.reference.scores is not None:
            self.score = self.score or self.reference.scores.name
            self.scores = _watch(self.reference.scores)

    def add(self, batch: "RecordBatch") -> None:
        """Count a batch's rows."""
        self.rows += batch.num_rows
        for name, array in named(batch):
            if name == self.score and self.scores is not None:
                self.scores.add(array)
                self.chosen.add(array, self.reference.threshold)
            elif name not in self.ignore:
                self._column(name, batch.num_columns).add(array)
            if name == self.reference.id:
                self.ids.add(arrow.hashes(array))

    def merge(self, other: Self) -> None:
        """Add what another has counted over the same reference."""
        self.rows += other.rows
        for name, column in other.columns.items():
            self.columns.setdefault(name, ColumnSketch(name)).merge(column)
        if self.scores is not None and other.scores is not None:
            self.scores.merge(other.scores)
        self.ids.merge(other.ids)
        self.chosen.merge(other.chosen)

    def profile(self) -> Profile:
        """Return the window's profile."""
        return Profile(
            rows=self.rows,
            columns=tuple(column.profile(self.rows) for column in self.columns.values()),
            id=self.reference.id,
            duplicates=self.ids.duplicates(),
            scores=self.scores.profile(self.rows) if self.scores else None,
            threshold=self.reference.threshold,
            chosen=self.chosen.share,
        )

    def _column(self, name: str, columns: int) -> _Column:
        """Return a column, an added one of the window's ``columns`` included."""
        if name not in self.columns:
            added = ColumnSketch(name)
            added.limit(cells_for(columns))
            self.columns[name] = added
        return self.columns[name]


def _watch(reference: ColumnProfile) -> _Column:
    watched = _KINDS.get(reference.kind)
    return ColumnSketch(reference.name) if watched is None else watched(reference)


def _numbers(finite: NDArray[np.float64], missing: int) -> arrow.Numbers:
    return arrow.Numbers(finite=finite, missing=missing, infinite=0)
