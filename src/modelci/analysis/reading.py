"""A window's rows on their way to be counted: which of them count, and what is kept of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from modelci.analysis import arrow  # says how to install pyarrow, where it lacks
from modelci.analysis.arrow import Family, Floats

import pyarrow as pa  # isort: skip
import pyarrow.compute as pc  # isort: skip

MOST_KEPT = 500_000
"""Of more rows than these, scores and ids are kept of so many, drawn at random."""

LOGGED = ("id", "time", "artifact", "version")
"""What the request log of `modelci serve` says of a row beside inputs and outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """Which rows are the window's, and what is kept of them.

    With ``time``, a column, those from ``start`` and before ``end`` (a text that is ``window``
    counts too). Of a request log those of ``artifact`` that ``version`` answered (None: any).
    ``score`` and ``join`` are columns whose values are kept, of at most ``most`` rows; ``sample``
    is how many whole rows are.
    """

    window: str
    start: datetime
    end: datetime
    time: str | None = None
    artifact: str | None = None
    version: str | None = None
    score: str | None = None
    join: str | None = None
    sample: int = 0
    most: int = MOST_KEPT


class WindowRows:
    """Passes batches on, and keeps what is wanted; to be used once."""

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._kept = _Answers(rules.most)
        self._random = np.random.default_rng(0)
        self._sampled: list[tuple[float, dict[str, Any]]] = []
        self.rows = 0
        self.names: set[str] = set()
        """The columns that any batch has."""
        self.others: dict[str, int] = {}
        self.outside = 0
        self.is_log = False

    def pass_on(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the window's rows; ValueError for a time column that holds no times."""
        for batch in batches:
            self.names.update(batch.schema.names)
            kept = self._of_version(self._of_time(batch))
            if kept.num_rows:
                self._keep(kept)
                yield kept

    @property
    def scores(self) -> Floats:
        """The scores (n,) of the kept rows in order, NaN where there is none."""
        return self._kept.scores

    @property
    def ids(self) -> "pd.Series[Any]":
        """What the kept rows (n,) have in the column to join by."""
        return self._kept.ids

    @property
    def has_all(self) -> bool:
        """Whether all rows are kept."""
        return self.rows <= self._rules.most

    @property
    def sample(self) -> tuple[Mapping[str, Any], ...]:
        """Some whole rows, the same for the same data."""
        return tuple(row for _, row in self._sampled)

    def _of_time(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        name = self._rules.time
        if name is None:
            return batch
        if name not in batch.schema.names:
            raise ValueError(f"there is no column {name!r}, by which rows belong to a window")
        inside = _is_within(batch.column(name), self._rules)
        kept = batch.filter(inside)
        self.outside += batch.num_rows - kept.num_rows
        return kept

    def _of_version(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Leave out what another model, or another version of this one, has answered."""
        rules = self._rules
        if not set(LOGGED) <= set(batch.schema.names):
            return batch
        self.is_log = True
        kept = batch
        if rules.artifact is not None:
            kept = kept.filter(pc.equal(_texts(kept.column("artifact")), rules.artifact))
        if rules.version is not None:
            versions = _texts(kept.column("version"))
            found = arrow.texts(versions, most=len(versions)).counts or {}
            for value, count in found.items():
                if value != rules.version:
                    self.others[value] = self.others.get(value, 0) + count
            kept = kept.filter(pc.equal(versions, rules.version))
        return kept

    def _keep(self, batch: pa.RecordBatch) -> None:
        rules, names = self._rules, set(batch.schema.names)
        self.rows += batch.num_rows
        if rules.score is not None:
            found = batch.column(rules.score) if rules.score in names else None
            ids = pa.nulls(batch.num_rows)
            if rules.join is not None and rules.join in names:
                ids = batch.column(rules.join)
            scores = _numbers(found, batch.num_rows)
            self._kept.add(scores, ids, self._random.random(batch.num_rows))
        if rules.sample:
            self._draw(batch)

    def _draw(self, batch: pa.RecordBatch) -> None:
        """Keep the rows of the smallest random numbers: each row is as likely as any."""
        most = self._rules.sample
        limit = self._sampled[-1][0] if len(self._sampled) >= most else 1.0
        keys = self._random.random(batch.num_rows)
        places = np.flatnonzero(keys <= limit)
        places = places[np.argsort(keys[places], kind="stable")][:most]
        rows = batch.take(pa.array(places)).to_pylist()
        drawn = [*self._sampled, *zip(keys[places].tolist(), rows, strict=True)]
        self._sampled = sorted(drawn, key=lambda one: one[0])[:most]


def of_ids(
    batches: Iterable[pa.RecordBatch], column: str, ids: "pd.Series[Any]"
) -> Iterator[pa.RecordBatch]:
    """Yield the rows whose ``column`` is one of the ids; 17 and "17" are the same."""
    known = _texts(pa.array(ids.dropna().unique()))
    for batch in batches:
        yield batch.filter(pc.is_in(_texts(batch.column(column)), value_set=known))


class _Answers:
    """Scores and ids of rows; of too many those with the smallest of their random keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[tuple[Floats, pa.Array, Floats]] = []
        self._rows = 0

    def add(self, scores: Floats, ids: pa.Array, keys: Floats) -> None:
        """Keep rows; every time that they are twice too many, the rest of them goes."""
        self._parts.append((scores, ids, keys))
        self._rows += len(scores)
        if self._rows > 2 * self._most:
            self._cut()

    @property
    def scores(self) -> Floats:
        self._cut()
        return np.concatenate([part[0] for part in self._parts]) if self._parts else np.zeros(0)

    @property
    def ids(self) -> "pd.Series[Any]":
        self._cut()
        parts = [part[1] for part in self._parts]
        kinds = {part.type for part in parts} - {pa.null()}
        if len(kinds) != 1:  # of files that do not agree: text has no type
            parts = [_texts(part) for part in parts]
            kinds = {pa.string()}
        (kind,) = kinds
        found: pd.Series[Any] = pa.chunked_array(
            [part.cast(kind) for part in parts], type=kind
        ).to_pandas()
        return found

    def _cut(self) -> None:
        if self._rows <= self._most:
            return
        keys = np.concatenate([part[2] for part in self._parts])
        limit = np.partition(keys, self._most)[self._most]
        masks = [part[2] < limit for part in self._parts]
        self._parts = [
            (scores[mask], ids.filter(pa.array(mask)), keys[mask])
            for (scores, ids, keys), mask in zip(self._parts, masks, strict=True)
        ]
        self._rows = sum(len(part[0]) for part in self._parts)


def _is_within(column: pa.Array, rules: RowRules) -> pa.Array:
    family = arrow.family_of(column.type)
    if family is Family.DATETIME:
        return _between(column, rules)
    if family is Family.EMPTY:
        return pa.array(np.zeros(len(column), dtype=bool))
    if family is not Family.TEXT:
        raise ValueError(f"column {rules.time!r} holds {column.type} and no times")
    texts = _texts(column)
    named = pc.fill_null(pc.equal(texts, rules.window), fill_value=False)
    rest = pc.if_else(named, pa.scalar(None, pa.string()), texts)
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            return pc.or_(named, _between(rest.cast(kind), rules))
        except pa.ArrowInvalid:
            continue
    # Names of other windows, such as 2026-02, are no times.
    return named


def _between(times: pa.Array, rules: RowRules) -> pa.Array:
    """Compare instants; a time without a zone is taken as UTC."""
    has_zone = pa.types.is_timestamp(times.type) and times.type.tz is not None
    kind = pa.timestamp("us", "UTC" if has_zone else None)
    times = times.cast(kind, safe=False)
    moments = (rules.start, rules.end)
    start, end = (pa.scalar(one if has_zone else _naive(one), kind) for one in moments)
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    return pc.fill_null(inside, fill_value=False)


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _texts(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def _numbers(column: pa.Array | None, rows: int) -> Floats:
    """Return a column's numbers (rows,), NaN for what is none."""
    if column is None:
        return np.full(rows, np.nan)
    if arrow.family_of(column.type) is Family.NUMBER:
        found = pd.to_numeric(column.to_pandas(), errors="coerce")
    else:
        found = pd.to_numeric(pd.Series(column.to_pylist(), dtype=object), errors="coerce")
    return np.asarray(found, dtype=np.float64)
