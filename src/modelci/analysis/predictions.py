"""Predictions of the test set, row by row: read, checked, and paired between two revisions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelci.domain.evaluation import Evaluation, Label, Task

_MOST_TEXT = 40

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One model's answers on ``n`` rows.

    ``target`` (n,) is 0/1 with 1 for the positive class (binary), the class's place in ``classes``
    (multiclass) or a number (regression). ``score`` is the probability of the positive class
    (n,), of each class (n, k), or the prediction (n,). ``label`` (n,) is the hard answer, coded as
    the target is. ``classes`` are the labels behind the codes, as text. ``frame`` holds all
    columns, its rows in the same order.
    """

    target: NDArray[Any]
    score: Floats
    label: NDArray[Any]
    classes: tuple[str, ...]
    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.target)

    def take(self, places: Ints) -> "Sample":
        """Return the rows at ``places``, in that order."""
        return replace(
            self,
            target=self.target[places],
            score=self.score[places],
            label=self.label[places],
            frame=self.frame.take(places),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two models' answers on the same rows, in the head's order; both have the same target."""

    base: Sample
    head: Sample
    evaluation: Evaluation

    def __len__(self) -> int:
        return len(self.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Why two sets of predictions cannot be compared row by row; ``common`` counts shared ids."""

    reason: str
    base_rows: int
    head_rows: int
    common: int


def read_sample(frame: pd.DataFrame, evaluation: Evaluation) -> Sample:
    """Return the rows of ``frame`` as ``evaluation`` means them.

    Raises ValueError, naming the column, where a column is missing or holds what it must not.
    """
    if frame.empty:
        raise ValueError("there are no rows")
    ids = _column(frame, evaluation.id)
    if not ids.is_unique:
        twice = ids[ids.duplicated()].iloc[0]
        raise ValueError(f"column {evaluation.id!r} holds {_shown(twice)} more than once")
    return _READERS[evaluation.task](frame, evaluation)


def pair_predictions(
    base: pd.DataFrame, head: pd.DataFrame, evaluation: Evaluation
) -> Pair | Mismatch:
    """Join two sets of predictions by id, or say why they are not of the same test set.

    Raises ValueError as ``read_sample`` does, saying which side is at fault.
    """
    ours, theirs = _read(head, evaluation, "head"), _read(base, evaluation, "base")
    places = locate(base[evaluation.id], head[evaluation.id])
    if places is not None:
        common = int(np.count_nonzero(places >= 0))
        if common < max(len(base), len(head)):
            union = len(base) + len(head) - common
            reason = f"the test sets differ: {common:,} of {union:,} ids are in both"
            return Mismatch(reason=reason, base_rows=len(base), head_rows=len(head), common=common)
        theirs = theirs.take(places)
    changed = int(np.count_nonzero(theirs.target != ours.target))
    if changed:
        reason = f"the test sets differ: {changed:,} of {len(head):,} ids have another target"
        return Mismatch(reason=reason, base_rows=len(base), head_rows=len(head), common=len(head))
    return Pair(base=theirs, head=ours, evaluation=evaluation)


def _read(frame: pd.DataFrame, evaluation: Evaluation, side: str) -> Sample:
    try:
        return read_sample(frame, evaluation)
    except ValueError as error:
        raise ValueError(f"predictions of the {side}: {error}") from None


def locate(base: "pd.Series[Any]", head: "pd.Series[Any]") -> Ints | None:
    """Return where each id of ``head`` is in ``base`` (-1: nowhere), or None for "in order"."""
    if base.dtype == head.dtype and base.array.equals(head.array):
        return None
    if base.dtype != head.dtype or base.dtype == object:
        # A text file has no types: "17" and 17 are the same id.
        base, head = base.map(_text), head.map(_text)
        if not (base.is_unique and head.is_unique):
            raise ValueError(f"column {head.name!r} holds an id twice, as number and as text")
    return np.asarray(pd.Index(base).get_indexer(pd.Index(head)), dtype=np.int64)


def _read_binary(frame: pd.DataFrame, evaluation: Evaluation) -> Sample:
    target = _is_positive(frame, evaluation.target, evaluation.positive)
    score = _probability(frame, _binary_score(evaluation))
    if evaluation.prediction is None:
        label = score >= evaluation.threshold
    else:
        label = _is_positive(frame, evaluation.prediction, evaluation.positive)
    return Sample(
        target=target.astype(np.int8),
        score=score,
        label=label.astype(np.int8),
        classes=(f"not {_text(evaluation.positive)}", _text(evaluation.positive)),
        frame=frame,
    )


def _read_multiclass(frame: pd.DataFrame, evaluation: Evaluation) -> Sample:
    if not isinstance(evaluation.score, Mapping) or len(evaluation.score) < 2:
        raise ValueError("a multiclass score names a column for each class")
    classes = tuple(evaluation.score)
    score = np.column_stack([_probability(frame, name) for name in evaluation.score.values()])
    if evaluation.prediction is None:
        label = score.argmax(axis=1)
    else:
        label = _codes(frame, evaluation.prediction, classes)
    return Sample(
        target=_codes(frame, evaluation.target, classes),
        score=score,
        label=label.astype(np.int64),
        classes=classes,
        frame=frame,
    )


def _read_regression(frame: pd.DataFrame, evaluation: Evaluation) -> Sample:
    if not isinstance(evaluation.score, str):
        raise ValueError("the score of a regression is one column")  # noqa: TRY004 -- of the file
    score = _numbers(frame, evaluation.score)
    target = _numbers(frame, evaluation.target)
    return Sample(target=target, score=score, label=score, classes=(), frame=frame)


_READERS = {
    Task.BINARY: _read_binary,
    Task.MULTICLASS: _read_multiclass,
    Task.REGRESSION: _read_regression,
}


def _binary_score(evaluation: Evaluation) -> str:
    if isinstance(evaluation.score, str):
        return evaluation.score
    try:
        return evaluation.score[_text(evaluation.positive)]
    except KeyError:
        raise ValueError(
            f"the score names no column for the positive class {evaluation.positive!r}"
        ) from None


def _column(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    if name not in frame.columns:
        raise ValueError(f"there is no column {name!r}")
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        raise ValueError(f"there is more than one column {name!r}")  # noqa: TRY004 -- of the file
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(f"column {name!r} has no value in {missing:,} of {len(frame):,} rows")
    return column


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    try:
        numbers = _column(frame, name).to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        if "column" in str(error):
            raise
        wrong = _first_wrong(_column(frame, name))
        raise ValueError(f"column {name!r} holds {wrong}, which is no number") from None
    if not np.isfinite(numbers).all():
        place = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(f"column {name!r} holds {numbers[place]:g} in row {place + 1:,}")
    return numbers


def _first_wrong(column: "pd.Series[Any]") -> str:
    """Return the first value that is no number, and its row, counted from 1."""
    for row, value in enumerate(column, start=1):
        try:
            float(value)
        except (TypeError, ValueError):
            return f"{_shown(value)} in row {row:,}"
    return "something"


def _shown(value: object) -> str:
    """Return a value as one writes it, texts in quotes; the most that a sentence can hold."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"


def _probability(frame: pd.DataFrame, name: str) -> Floats:
    numbers = _numbers(frame, name)
    low, high = numbers.min(), numbers.max()
    if low < 0 or high > 1:
        worst = low if low < 0 else high
        raise ValueError(f"column {name!r} holds {worst:g}, which is no probability")
    return numbers


def _is_positive(frame: pd.DataFrame, name: str, positive: Label) -> Mask:
    kinds, values = pd.factorize(_column(frame, name).to_numpy())
    if len(values) > 2:
        raise ValueError(f"column {name!r} holds {len(values):,} classes; a binary one has two")
    matches = [_text(value) == _text(positive) or str(value) == positive for value in values]
    if len(values) == 2 and not any(matches):
        shown = " and ".join(repr(str(value)) for value in values)
        raise ValueError(f"column {name!r} holds {shown}, never {str(positive)!r}")
    return np.array(matches)[kinds]


def _codes(frame: pd.DataFrame, name: str, classes: tuple[str, ...]) -> Ints:
    kinds, values = pd.factorize(_column(frame, name).to_numpy())
    places = {text: place for place, text in enumerate(classes)}
    texts = [_text(value) for value in values]
    unknown = [text for text in texts if text not in places]
    if unknown:
        raise ValueError(f"column {name!r} holds {unknown[0]!r}, which is no class of the score")
    return np.array([places[text] for text in texts], dtype=np.int64)[kinds]


def _text(value: object) -> str:
    """Return a label or id as text; 1, 1.0 and True are one, for files disagree on types."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
