"""Counts of a dataset's columns that are not known before: batches in, a reference out.

Two sketches add up to what one of all rows would be, whatever the order, so that parts of a
dataset may be counted by several processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelci.analysis import arrow
from modelci.analysis.arrow import Family
from modelci.analysis.histogram import CELLS, Histogram
from modelci.domain.profile import (
    BINS,
    MOST_CATEGORIES,
    CategoryProfile,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Profile,
)

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch

MOST_COUNTED = 1 << 15
"""A column with more different texts than this is an identifier."""
MOST_IDS = 1 << 24
"""Duplicates are counted among this many ids; of more, among a random share of them."""

_NONE: NDArray[np.uint64] = np.empty(0, np.uint64)
_PARTS = 16
_ALL_CELLS = 1 << 23
_FEWEST_CELLS = 1024
_ALMOST_ONLY_NEW = 0.9


@dataclass(slots=True)
class Tally:
    """How often each text occurs; ``counts`` is None once there are more than can be counted."""

    counts: dict[str, int] | None = field(default_factory=dict)
    rows: int = 0

    def add(self, counts: Mapping[str, int] | None, rows: int) -> None:
        """Add texts with their counts, of ``rows`` in all."""
        self.rows += rows
        if counts is None or self.counts is None:
            self.counts = None
            return
        known = self.counts
        for text, count in counts.items():
            known[text] = known.get(text, 0) + count
        if len(known) > MOST_COUNTED:
            self.counts = None

    def merge(self, other: "Tally") -> None:
        """Add what another has counted."""
        self.add(other.counts, other.rows)

    @property
    def is_identifying(self) -> bool:
        """Whether almost every row has a value of its own."""
        if self.counts is None:
            return True
        return len(self.counts) > max(MOST_CATEGORIES, _ALMOST_ONLY_NEW * self.rows)

    def profile(self) -> CategoryProfile:
        """Return the most frequent texts, ties in the order of the alphabet."""
        if self.counts is None:
            return CategoryProfile(values=(), counts=(), other=self.rows, distinct=MOST_COUNTED + 1)
        first = ranked(self.counts)[:MOST_CATEGORIES]
        return CategoryProfile(
            values=tuple(text for text, _ in first),
            counts=tuple(count for _, count in first),
            other=self.rows - sum(count for _, count in first),
            distinct=len(self.counts),
        )


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return texts and their counts, the most frequent first, ties in the alphabet's order."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


@dataclass(slots=True)
class Numbers:
    """What was counted of a column's numbers or times."""

    histogram: Histogram = field(default_factory=Histogram)
    infinite: int = 0

    def add(self, values: arrow.Numbers) -> None:
        """Count them."""
        self.histogram.add(values.finite)
        self.infinite += values.infinite

    def merge(self, other: "Numbers") -> None:
        """Add what another has counted."""
        self.histogram.merge(other.histogram)
        self.infinite += other.infinite

    @property
    def rows(self) -> int:
        """How many there were."""
        return self.histogram.moments.rows + self.infinite

    def profile(self) -> NumberProfile:
        """Return counts between edges."""
        return self.histogram.profile(BINS, infinite=self.infinite)


@dataclass(slots=True)
class ColumnSketch:
    """One column, whatever values it turns out to have: each family is counted by itself.

    Of ids, and of what is nested, it only matters how many are ``present``.
    """

    name: str
    types: set[str] = field(default_factory=set)
    rows: int = 0
    missing: int = 0
    present: int = 0
    false: int = 0
    true: int = 0
    numbers: Numbers = field(default_factory=Numbers)
    times: Numbers = field(default_factory=Numbers)
    texts: Tally = field(default_factory=Tally)

    def add(self, array: "Array") -> None:
        """Count an Arrow array."""
        self.types.add(arrow.name_of(array.type))
        self.rows += len(array)
        match arrow.family_of(array.type):
            case Family.NUMBER:
                self._add_numbers(self.numbers, arrow.numbers(array))
            case Family.DATETIME:
                self._add_numbers(self.times, arrow.times(array))
            case Family.TEXT:
                self._add_texts(array)
            case Family.BOOLEAN:
                false, true, missing = arrow.booleans(array)
                self.false += false
                self.true += true
                self.missing += missing
            case _:
                self.missing += array.null_count
                self.present += len(array) - array.null_count

    def add_ids(self, array: "Array") -> None:
        """Count an Arrow array of the column that names rows."""
        self.types.add(arrow.name_of(array.type))
        self.rows += len(array)
        self.missing += array.null_count
        self.present += len(array) - array.null_count

    def merge(self, other: "ColumnSketch") -> None:
        """Add what another has counted of the column."""
        self.types |= other.types
        for name in ("rows", "missing", "present", "false", "true"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.numbers.merge(other.numbers)
        self.times.merge(other.times)
        self.texts.merge(other.texts)

    def limit(self, cells: int) -> None:
        """Count with no more cells than these."""
        self.numbers.histogram.lower(cells)
        self.times.histogram.lower(cells)

    def profile(self, rows: int) -> ColumnProfile:
        """Return the profile; of ``rows`` of the dataset, those without the column miss it."""
        self._read_texts()
        kind, counted = self._kind()
        return ColumnProfile(
            name=self.name,
            kind=kind,
            dtype="|".join(sorted(self.types)),
            rows=rows,
            missing=self.missing + rows - self.rows,
            mistyped=self._values() - counted,
            number=self._number(kind),
            category=self._category(kind),
        )

    def _add_numbers(self, known: Numbers, values: arrow.Numbers) -> None:
        known.add(values)
        self.missing += values.missing

    def _add_texts(self, array: "Array") -> None:
        if self.texts.counts is None:  # no need to look at what is too much to be counted
            self.texts.rows += len(array) - array.null_count
            self.missing += array.null_count
            return
        found = arrow.texts(array, most=MOST_COUNTED)
        self.missing += found.missing
        self.texts.add(found.counts, len(array) - found.missing)

    def _read_texts(self) -> None:
        """Count as numbers the texts that are, where others are numbers: one bad cell of a CSV."""
        if not self.numbers.rows or not self.texts.counts:
            return
        names = list(self.texts.counts)
        for name, value in zip(names, arrow.parse_numbers(names), strict=True):
            if np.isfinite(value):
                count = self.texts.counts.pop(name)
                self.texts.rows -= count
                self.numbers.histogram.add(np.full(count, value))

    def _values(self) -> int:
        return self.rows - self.missing

    def _kind(self) -> tuple[ColumnKind, int]:
        """Return what most values are, and how many."""
        texts = ColumnKind.IDENTIFIER if self.texts.is_identifying else ColumnKind.CATEGORY
        kind, count = max(
            (
                (ColumnKind.NUMBER, self.numbers.rows),
                (ColumnKind.DATETIME, self.times.rows),
                (texts, self.texts.rows),
                (ColumnKind.BOOLEAN, self.false + self.true),
                (ColumnKind.IDENTIFIER, self.present),
            ),
            key=lambda pair: pair[1],
        )
        return (kind, count) if count else (ColumnKind.EMPTY, 0)

    def _number(self, kind: ColumnKind) -> NumberProfile | None:
        if kind is ColumnKind.NUMBER:
            return self.numbers.profile()
        return self.times.profile() if kind is ColumnKind.DATETIME else None

    def _category(self, kind: ColumnKind) -> CategoryProfile | None:
        if kind is ColumnKind.BOOLEAN:
            return Tally({"false": self.false, "true": self.true}, self.false + self.true).profile()
        return self.texts.profile() if kind is ColumnKind.CATEGORY else None


@dataclass(slots=True)
class Ids:
    """How many rows repeat the id of another: exactly up to ``most`` rows, else estimated.

    Ids are kept as hashes, of very many only those whose first ``level`` bits are 0.
    """

    most: int = MOST_IDS
    level: int = 0
    kept: int = 0
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Count ids (n,) by their hashes."""
        self.hashes.append(self._sample(hashes))
        self.kept += len(self.hashes[-1])
        while self.kept > self.most and self.level < 64:
            self._thin(self.level + 1)

    def merge(self, other: "Ids") -> None:
        """Add what another has counted."""
        self._thin(max(self.level, other.level))
        for hashes in other.hashes:
            self.add(hashes)

    def duplicates(self) -> int:
        """Return how many rows have an id that another has already."""
        return sum(map(self._duplicates, range(_PARTS))) << self.level

    def _duplicates(self, part: int) -> int:
        """Count among the hashes that end alike: all of them at once would be in memory twice."""
        last = np.uint64(_PARTS - 1)
        ids = np.sort(np.concatenate([one[one & last == part] for one in self.hashes] or [_NONE]))
        return int(np.count_nonzero(ids[1:] == ids[:-1]))

    def _thin(self, level: int) -> None:
        if level > self.level:
            self.level = level
            self.hashes = [self._sample(one) for one in self.hashes]
            self.kept = sum(map(len, self.hashes))

    def _sample(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        if not self.level:
            return hashes
        kept: NDArray[np.uint64] = hashes[hashes >> np.uint64(64 - self.level) == 0]
        return kept


@dataclass(slots=True)
class Chosen:
    """How many scores are at or above a threshold."""

    rows: int = 0
    above: int = 0

    def add(self, array: "Array", threshold: float | None) -> None:
        """Count an Arrow array of scores."""
        if threshold is None or arrow.family_of(array.type) is not Family.NUMBER:
            return
        scores = arrow.numbers(array).finite
        self.rows += len(scores)
        self.above += int(np.count_nonzero(scores >= threshold))

    def merge(self, other: "Chosen") -> None:
        """Add what another has counted."""
        self.rows += other.rows
        self.above += other.above

    @property
    def share(self) -> float | None:
        """The share of the scores; None where there are none."""
        return self.above / self.rows if self.rows else None


@dataclass(slots=True, kw_only=True)
class Sketch:
    """A dataset; ``id`` names its rows, and ``cells`` is how finely its numbers are counted.

    The column ``score`` is profiled apart from the others, those to ``ignore`` not at all.
    """

    id: str | None = None
    score: str | None = None
    threshold: float | None = None
    ignore: frozenset[str] = frozenset()
    rows: int = 0
    cells: int = CELLS
    columns: dict[str, ColumnSketch] = field(default_factory=dict)
    ids: Ids = field(default_factory=Ids)
    chosen: Chosen = field(default_factory=Chosen)

    def add(self, batch: "RecordBatch") -> None:
        """Count a batch's rows."""
        self.rows += batch.num_rows
        self._limit(cells_for(batch.num_columns))
        for name, array in named(batch):
            if name in self.ignore:
                continue
            if name == self.id:
                self._column(name).add_ids(array)
                self.ids.add(arrow.hashes(array))
            else:
                self._column(name).add(array)
            if name == self.score:
                self.chosen.add(array, self.threshold)

    def merge(self, other: "Sketch") -> None:
        """Add what another has counted."""
        self.rows += other.rows
        for name, column in other.columns.items():
            self._column(name).merge(column)
        self._limit(other.cells, again=True)
        self.ids.merge(other.ids)
        self.chosen.merge(other.chosen)

    def profile(self) -> Profile:
        """Return the profile, its columns in the data's order."""
        self._limit(self.cells, again=True)
        columns = {name: column.profile(self.rows) for name, column in self.columns.items()}
        scores = columns.pop(self.score, None) if self.score else None
        return Profile(
            rows=self.rows,
            columns=tuple(columns.values()),
            id=self.id,
            duplicates=self.ids.duplicates(),
            scores=scores,
            threshold=self.threshold,
            chosen=self.chosen.share,
        )

    def _column(self, name: str) -> ColumnSketch:
        if name not in self.columns:
            self.columns[name] = ColumnSketch(name)
            self.columns[name].limit(self.cells)
        return self.columns[name]

    def _limit(self, cells: int, *, again: bool = False) -> None:
        if cells < self.cells or again:
            self.cells = min(cells, self.cells)
            for column in self.columns.values():
                column.limit(self.cells)


def cells_for(columns: int) -> int:
    """Return how many cells each of so many columns may have: all of them are to fit in memory."""
    return max(_FEWEST_CELLS, min(CELLS, _ALL_CELLS // max(1, columns)))


def named(batch: "RecordBatch") -> "list[tuple[str, Array]]":
    """Return a batch's columns by name; of those that share one each has its place behind it."""
    found: dict[str, Array] = {}
    for place, name in enumerate(batch.schema.names):
        array = arrow.plain_of(batch.column(place))
        found[name if name not in found else f"{name}.{place}"] = array
    return list(found.items())
