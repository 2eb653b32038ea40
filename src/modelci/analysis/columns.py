"""Says which keys of an evaluation name what predictions do not hold, and what they may mean."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import pandas as pd

from modelci.domain.evaluation import Evaluation, Task

_USUAL = {
    "id": ("id", "row_id", "index", "key", "uuid"),
    "target": ("y_true", "target", "label", "actual", "truth", "ground_truth", "true", "y"),
    "score": ("score", "y_score", "proba", "probability", "predicted", "prediction", "y_pred"),
    "prediction": ("prediction", "predicted", "y_pred", "label"),
}
"""What such columns are called elsewhere, the likeliest first."""

_MOST_CLASSES = 20
"""More different numbers than this are hardly classes."""

_MOST_SHOWN = 8


def advise(frame: pd.DataFrame, evaluation: Evaluation) -> str | None:
    """Return how to mend the keys of ``evaluation`` for predictions ``frame``, all at once.

    None where each key names a column, and the target suits the task.
    """
    lacking = [(key, name) for key, name in _asked(evaluation) if name not in frame.columns]
    asked = {name for _, name in _asked(evaluation)}
    free = [str(name) for name in frame.columns if name not in asked]
    told, target = [], evaluation.target
    for key, name in lacking:
        found = _likely(key, name, free)
        if found is None:
            told.append(_open(key, free))
            continue
        free.remove(found)
        target = found if key == "target" else target
        told.append(f"say `{key}: {found}`, if that is it")
    if target in frame.columns:
        told += _of_task(frame[target], target, evaluation)
    return "; ".join(told) or None


def _asked(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield each key that names a column, and the column; likely ones are given in this order."""
    yield "id", evaluation.id
    yield "target", evaluation.target
    if isinstance(evaluation.score, str):
        yield "score", evaluation.score
    else:
        yield from ((f"score.{label}", name) for label, name in evaluation.score.items())
    if evaluation.prediction is not None:
        yield "prediction", evaluation.prediction


def _likely(key: str, name: str, free: Sequence[str]) -> str | None:
    """Return the column that is probably meant: a near name, a usual one, the only one left."""
    for near in get_close_matches(name, free, n=1, cutoff=0.75):
        return near
    lower = {one.lower(): one for one in free}
    for usual in _USUAL.get(key, ()):
        if usual in lower:
            return lower[usual]
    return free[0] if len(free) == 1 else None


def _open(key: str, free: Sequence[str]) -> str:
    if not free:
        return f"`{key}` has no column left: write it into that file"
    more = ", …" if len(free) > _MOST_SHOWN else ""
    return f"`{key}` is to name its column: one of {', '.join(free[:_MOST_SHOWN])}{more}?"


def _of_task(column: pd.Series, name: str, evaluation: Evaluation) -> Iterator[str]:
    """Ask about the task, where a binary target has more than two values."""
    if evaluation.task is not Task.BINARY or not isinstance(column, pd.Series):
        return
    try:
        count = int(column.nunique())
    except TypeError:  # lists
        return
    if count <= 2:
        return
    if pd.api.types.is_numeric_dtype(column) and count > _MOST_CLASSES:
        yield f"`{name}` holds {count:,} different numbers: is it `task: regression`?"
    else:
        yield (
            f"`{name}` holds {count:,} classes: is it `task: multiclass`, with a `score` for each?"
        )
