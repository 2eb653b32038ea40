"""The flavour ``sklearn``: anything with ``predict`` that scikit-learn's conventions describe."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import Golden, InputColumn, OutputColumn, Value, ValueType
from modelci.errors import ConfigError
from modelci.modelfiles.predictor import Columns

FLAVOUR = "sklearn"
SCORE, PROBABILITIES, PREDICTION = "score", "probabilities", "prediction"


class SklearnPredictor:
    """A fitted estimator or pipeline.

    A binary classifier answers ``score``, the probability of its second class; one of more classes
    ``probabilities``; whatever else has ``predict`` answers ``prediction``.
    """

    flavour = FLAVOUR

    def __init__(self, model: Any, golden: Golden | None = None) -> None:
        if not hasattr(model, "predict"):
            raise ConfigError(
                f"A {type(model).__name__} cannot be served: it has no `predict`.",
                hint="Save a fitted estimator, or a pipeline that ends in one.",
            )
        self._model = model
        self._names = _feature_names(model)
        self.inputs = _inputs(model, self._names, golden)
        self.outputs = (_output(model),)

    def predict(self, columns: Columns) -> Mapping[str, npt.NDArray[Any]]:
        """Return one array; ValueError where a column is missing or of another type."""
        rows = self._rows(columns)
        output = self.outputs[0].name
        if output == PREDICTION:
            return {output: np.asarray(self._model.predict(rows))}
        found = self._model.predict_proba(rows)
        return {output: found[:, 1] if output == SCORE else found}

    def _rows(self, columns: Columns) -> Any:
        missing = [one.name for one in self.inputs if one.name not in columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        arrays = {one.name: _array(columns[one.name], one) for one in self.inputs}
        if self._names is None:
            return np.column_stack([np.asarray(one, dtype=np.float64) for one in arrays.values()])
        import pandas as pd  # noqa: PLC0415 - only for models that read columns by name

        return pd.DataFrame(arrays)


def _feature_names(model: Any) -> tuple[str, ...] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def _inputs(
    model: Any, names: tuple[str, ...] | None, golden: Golden | None
) -> tuple[InputColumn, ...]:
    known = {one.name: one for one in golden.inputs} if golden else {}
    if names is None:
        if known:
            return tuple(known.values())
        count = int(getattr(model, "n_features_in_", 0))
        names = tuple(f"x{number}" for number in range(count))
    return tuple(known.get(name) or InputColumn(name=name, type=ValueType.NUMBER) for name in names)


def _output(model: Any) -> OutputColumn:
    classes = getattr(model, "classes_", None)
    if classes is not None and hasattr(model, "predict_proba"):
        labels = tuple(str(one) for one in classes)
        if len(labels) == 2:
            return OutputColumn(name=SCORE)
        return OutputColumn(name=PROBABILITIES, classes=labels)
    return OutputColumn(name=PREDICTION)


def _array(values: Sequence[Value] | npt.NDArray[Any], column: InputColumn) -> Any:
    if isinstance(values, np.ndarray):
        return values
    if column.type is ValueType.STRING or any(isinstance(one, str) for one in values):
        return list(values)
    return np.array([np.nan if one is None else one for one in values], dtype=np.float64)
