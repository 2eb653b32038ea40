"""The fast path for tables: a pipeline's first step computed without pandas.

A ColumnTransformer spends most of a row's time on picking columns out of a DataFrame and on
checking them, again in each of its parts. Here the same arithmetic is done on plain columns, for
the parts that are common; what follows in the pipeline is asked as ever. Like a conversion, it
answers only where it was compared with the original (``fast.py``).
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import ValueType
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.predictor import Columns

Block = npt.NDArray[Any]
"""Columns side by side: float64, or objects where texts are among them."""

Step = Callable[[Block], Block]


class NotDirectError(Exception):
    """The pipeline holds what is not computed here."""


class DirectPredictor(SklearnPredictor):
    """Answers as the predictor that it is made from; raises NotDirectError where it cannot."""

    def __init__(self, original: SklearnPredictor) -> None:
        super().__init__(original.estimator)
        self.inputs = original.inputs
        self.outputs = original.outputs
        if any(one.dtype == "category" for one in self.inputs):
            raise NotDirectError("a column holds categories of pandas'")
        first, self.estimator = _split(original.estimator)
        self._first = _compile(first)

    def _rows(self, columns: Columns) -> Block:
        missing = [one.name for one in self.inputs if one.name not in columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        has_text = any(one.type is ValueType.STRING for one in self.inputs)
        count = len(columns[self.inputs[0].name])
        block = np.empty((count, len(self.inputs)), dtype=object if has_text else np.float64)
        for place, one in enumerate(self.inputs):
            if len(columns[one.name]) != count:
                raise ValueError(f"column {one.name} has another length")
            try:
                block[:, place] = columns[one.name]
            except (TypeError, ValueError) as error:
                raise ValueError(f"column {one.name}: {error}") from error
        return self._first(block)


def _split(estimator: Any) -> tuple[Any, Any]:
    """Return the first step, and all that follows as one estimator that knows no names."""
    steps = getattr(estimator, "steps", None)
    if steps is None or len(steps) < 2:
        raise NotDirectError(f"a {type(estimator).__name__} has no first step of its own")
    rest = copy.copy(estimator)
    rest.steps = steps[1:]
    if any(hasattr(step, "feature_names_in_") for _, step in rest.steps):
        raise NotDirectError("a later step knows its columns by name")
    return steps[0][1], rest


def _compile(step: Any) -> Step:
    """Return what computes a fitted step; raises NotDirectError for one that is not known."""
    if isinstance(step, str) and step == "passthrough":
        return _floats
    make = _KNOWN.get(f"{type(step).__module__.partition('.')[0]}.{type(step).__name__}")
    if make is None:
        raise NotDirectError(f"a {type(step).__name__} is not computed directly")
    return make(step)


def _floats(block: Block) -> Block:
    """Return numbers; None is NaN."""
    return block.astype(np.float64)


def _pipeline(pipeline: Any) -> Step:
    steps = [_compile(step) for _, step in pipeline.steps]

    def run(block: Block) -> Block:
        for step in steps:
            block = step(block)
        return block

    return run


def _columns(transformer: Any) -> Step:
    places: Mapping[str, Any] = transformer._transformer_to_input_indices  # noqa: SLF001
    parts = [
        (np.asarray(places[name], dtype=np.intp), _compile(step))
        for name, step, _ in transformer.transformers_
        if not (isinstance(step, str) and step == "drop") and len(places[name])
    ]
    if any(weight != 1 for weight in (transformer.transformer_weights or {}).values()):
        raise NotDirectError("its parts have weights")

    def run(block: Block) -> Block:
        found = [step(block[:, chosen]) for chosen, step in parts]
        return found[0] if len(found) == 1 else np.hstack(found)

    return run


def _identity(transformer: Any) -> Step:
    if transformer.func is not None:
        raise NotDirectError("it holds a function")
    return _floats


def _standard(scaler: Any) -> Step:
    mean = scaler.mean_ if scaler.with_mean else 0.0
    scale = scaler.scale_ if scaler.with_std else 1.0
    return lambda block: (_floats(block) - mean) / scale


def _min_max(scaler: Any) -> Step:
    if scaler.clip:
        raise NotDirectError("it clips")
    return lambda block: _floats(block) * scaler.scale_ + scaler.min_


def _robust(scaler: Any) -> Step:
    center = scaler.center_ if scaler.with_centering else 0.0
    scale = scaler.scale_ if scaler.with_scaling else 1.0
    return lambda block: (_floats(block) - center) / scale


def _imputer(imputer: Any) -> Step:
    statistics = imputer.statistics_
    if statistics.dtype == object:
        return _text_imputer(imputer)
    if not _is_nan(imputer.missing_values) or np.isnan(statistics).any():
        raise NotDirectError("it looks for other gaps, or leaves columns out")
    flags = imputer.indicator_.features_ if imputer.add_indicator else None

    def run(block: Block) -> Block:
        numbers = _floats(block)
        gaps = np.isnan(numbers)
        filled = np.where(gaps, statistics, numbers)
        return filled if flags is None else np.hstack([filled, gaps[:, flags]])

    return run


def _text_imputer(imputer: Any) -> Step:
    if imputer.add_indicator:
        raise NotDirectError("it flags missing texts")
    gap = imputer.missing_values
    if gap is not None and not _is_nan(gap):
        raise NotDirectError("it looks for other gaps")

    def run(block: Block) -> Block:
        filled = block.copy()
        for place, value in enumerate(imputer.statistics_):
            column = filled[:, place]
            column[[_is_missing(one) for one in column]] = value
        return filled

    return run


def _one_hot(encoder: Any) -> Step:
    if encoder.drop is not None or encoder._infrequent_enabled:  # noqa: SLF001
        raise NotDirectError("it drops or gathers categories")
    known = [_places(categories) for categories in encoder.categories_]
    starts = np.cumsum([0, *(len(categories) for categories in encoder.categories_)])
    is_error = encoder.handle_unknown == "error"

    def run(block: Block) -> Block:
        found = np.zeros((len(block), int(starts[-1])))
        for column, places in enumerate(known):
            for row, place in enumerate(_look_up(block[:, column], places)):
                if place is not None:
                    found[row, starts[column] + place] = 1.0
                elif is_error:
                    raise ValueError(f"unknown category {block[row, column]!r}")
        return found

    return run


def _ordinal(encoder: Any) -> Step:
    if encoder._infrequent_enabled:  # noqa: SLF001
        raise NotDirectError("it gathers categories")
    known = [_places(categories) for categories in encoder.categories_]
    unknown = None if encoder.handle_unknown == "error" else encoder.unknown_value
    gap = encoder.encoded_missing_value

    def run(block: Block) -> Block:
        found = np.empty(block.shape)
        for column, places in enumerate(known):
            missing = places.get(None)
            for row, place in enumerate(_look_up(block[:, column], places)):
                if place is None and unknown is None:
                    raise ValueError(f"unknown category {block[row, column]!r}")
                code = unknown if place is None else place
                found[row, column] = gap if place is not None and place == missing else code
        return found

    return run


def _places(categories: Any) -> dict[object, int]:
    """Return each category's place; a missing one, of either kind, is None."""
    return {None if _is_missing(one) else one: place for place, one in enumerate(categories)}


def _look_up(column: Block, places: Mapping[object, int]) -> list[int | None]:
    return [places.get(None if _is_missing(one) else one) for one in column.tolist()]


def _is_missing(value: object) -> bool:
    return value is None or _is_nan(value)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124 - only NaN differs


_KNOWN: Mapping[str, Callable[[Any], Step]] = {
    "sklearn.Pipeline": _pipeline,
    "sklearn.ColumnTransformer": _columns,
    "sklearn.FunctionTransformer": _identity,
    "sklearn.StandardScaler": _standard,
    "sklearn.MinMaxScaler": _min_max,
    "sklearn.RobustScaler": _robust,
    "sklearn.SimpleImputer": _imputer,
    "sklearn.OneHotEncoder": _one_hot,
    "sklearn.OrdinalEncoder": _ordinal,
}
