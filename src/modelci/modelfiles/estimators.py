"""The flavour ``sklearn``: fitted estimators and pipelines, from skops files or allowed pickles."""

import threading
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import Golden, InputColumn, OutputColumn, Value, ValueType
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.modelfiles import pickles
from modelci.modelfiles.allowed import Allowed
from modelci.modelfiles.archives import is_compressed, unpack
from modelci.modelfiles.contents import check_contents, parts_of
from modelci.modelfiles.files import ModelFile, ModelFileError
from modelci.modelfiles.findings import RefusedError
from modelci.modelfiles.predictor import Columns, side_by_side
from modelci.modelfiles.scan import MAX_UNPACKED
from modelci.modelfiles.skopsnames import import_skops

FLAVOUR = "sklearn"
SCORE, PROBABILITIES, PREDICTION = "score", "probabilities", "prediction"

formats = (FileFormat.SKOPS, FileFormat.PICKLE, FileFormat.JOBLIB)


def load(
    file: ModelFile, scan: FileScan, trust: Trust, golden: Golden | None
) -> "SklearnPredictor":
    """Load a model from a file that the scan found safe.

    Raises ModelFileError for one that is broken or crafted, or from another scikit-learn.
    """
    _check_version(file, scan)
    try:
        with warnings.catch_warnings():
            _fail_on_other_versions()
            model = _build(file.data, scan, trust)
            check_contents(model)
    except RefusedError as error:
        raise ModelFileError(
            f"{file.path} may not be loaded: {error}.", hint="Do not use it; train again."
        ) from error
    except ModuleNotFoundError as error:
        raise ModelFileError(
            f"{file.path} cannot be loaded: {error.name} is not installed.",
            hint="pip install 'modelci[serve]' brings what loads skops files; what else a model "
            "needs is what it was trained with.",
        ) from error
    except Exception as error:  # whatever broken bytes, or another version's, make of loading
        said = " ".join(str(error).split())[:300]
        raise ModelFileError(
            f"{file.path} cannot be loaded: {type(error).__name__}: {said}.",
            hint="Is it whole, and made by the versions that are installed here?",
        ) from error
    return SklearnPredictor(model, golden)


def _check_version(file: ModelFile, scan: FileScan) -> None:
    """Say it before loading: what another version wrote may fail in any way, or load and lie."""
    made, here = scan.made_with.get("scikit-learn"), version("scikit-learn")
    if made is not None and made != here:
        raise ModelFileError(
            f"{file.path} was made with scikit-learn {made}, and {here} is installed.",
            hint=f"Install scikit-learn=={made} to load it, or train again with {here}.",
        )


def _fail_on_other_versions() -> None:
    from sklearn.exceptions import InconsistentVersionWarning  # noqa: PLC0415 - it takes a second

    warnings.simplefilter("error", InconsistentVersionWarning)


def _build(data: bytes, scan: FileScan, trust: Trust) -> Any:
    if scan.format is FileFormat.SKOPS:
        # Type by type and loader by loader the scan has allowed what the file names.
        return import_skops().loads(data, trusted=list(scan.types))
    if is_compressed(data):
        data = unpack(data, max_bytes=MAX_UNPACKED)
    return pickles.build(data, Allowed(trust.types))


class SklearnPredictor:
    """A fitted estimator or pipeline.

    A binary classifier answers ``score``, the probability of its second class; one of more classes
    ``probabilities``; whatever else has ``predict`` answers ``prediction``.
    """

    flavour = FLAVOUR

    def __init__(self, model: Any, golden: Golden | None = None) -> None:
        self.estimator = model
        self.names = _feature_names(model)
        self._missing = _missing_text(model)
        self._threads = threading.local()
        self.inputs = _inputs(model, self.names, golden)
        self._typed = golden is not None
        self._is_plain = self.names is None and all(
            one.type is ValueType.NUMBER and one.dtype in {None, "float64"} for one in self.inputs
        )
        self.outputs = (_output(model),)

    @property
    def reads_matrix(self) -> bool:
        """Whether all columns are numbers side by side, as far as the model's first step goes."""
        first = getattr(self.estimator, "steps", [("", self.estimator)])[0][1]
        return not hasattr(first, "transformers_")

    def predict(self, columns: Columns) -> Mapping[str, npt.NDArray[Any]]:
        """Return one array; ValueError where a column is missing or cannot be read."""
        return self.answer(self._rows(columns))

    def answer(self, rows: Any) -> Mapping[str, npt.NDArray[Any]]:
        """Return what ``predict`` does, of a table as the model reads it."""
        self._use_one_thread()
        output = self.outputs[0].name
        if output == PREDICTION:
            return {output: _one_number(np.asarray(self.estimator.predict(rows)))}
        found = self.estimator.predict_proba(rows)
        return {output: found[:, 1] if output == SCORE else found}

    def _use_one_thread(self) -> None:
        """Keep this thread from waking others: for few rows that takes longer than the work."""
        if not getattr(self._threads, "limited", False):
            # scikit-learn brings it.
            from threadpoolctl import (  # noqa: PLC0415
                threadpool_limits,
            )

            threadpool_limits(limits=1)
            self._threads.limited = True

    def _rows(self, columns: Columns) -> Any:
        missing = [one.name for one in self.inputs if one.name not in columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        if self._is_plain:
            matrix = side_by_side(columns, [one.name for one in self.inputs], np.float64)
            if matrix is not None:
                return matrix
        arrays = {one.name: self._array(columns[one.name], one) for one in self.inputs}
        if self.names is not None:
            import pandas as pd  # noqa: PLC0415 - only for models that read columns by name

            return pd.DataFrame(arrays)
        if len(arrays) == 1 and not hasattr(self.estimator, "n_features_in_"):
            return next(iter(arrays.values()))  # texts
        return np.column_stack(list(arrays.values()))

    def _array(self, values: Sequence[Value] | npt.NDArray[Any], column: InputColumn) -> Any:
        if column.dtype == "category":
            return _categories_of(values, column)
        found = values if isinstance(values, np.ndarray) else self._convert(values, column)
        if found.dtype == object and self.names is not None:
            import pandas as pd  # noqa: PLC0415

            # Left to itself, pandas 3 makes texts of it, and NaN of None.
            return pd.Series(found, dtype=object)
        if column.dtype is not None and found.dtype.kind in "iuf" and found.dtype != column.dtype:
            return _narrow(found, column.dtype)
        return found

    def _convert(self, values: Sequence[Value], column: InputColumn) -> npt.NDArray[Any]:
        try:
            if column.type is ValueType.STRING or self._is_text(values):
                return _objects([self._missing if one is None else one for one in values])
            if column.type is ValueType.BOOLEAN or _all(values, bool):
                return np.array(values, dtype=object if None in values else bool)
            return np.array([np.nan if one is None else one for one in values])
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {column.name}: {error}") from error

    def _is_text(self, values: Sequence[Value]) -> bool:
        """Whether texts are asked where nobody said what the column holds."""
        return not self._typed and any(isinstance(one, str) for one in values)


def _all(values: Sequence[Value], kind: type) -> bool:
    return bool(values) and all(isinstance(one, kind) for one in values)


def _categories_of(values: Sequence[Value] | npt.NDArray[Any], column: InputColumn) -> Any:
    """Return a column as pandas' categories; what training did not know is a gap."""
    import pandas as pd  # noqa: PLC0415

    known: list[str] = list(column.values or ())
    places = {name: place for place, name in enumerate(known)}
    codes = [places.get(one, -1) if isinstance(one, str) else -1 for one in values]
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(known))


def _objects(values: Sequence[object]) -> npt.NDArray[Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _narrow(found: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return numbers as training had them, where that loses nothing."""
    wanted = np.dtype(dtype)
    if wanted.kind in "iu" and found.dtype.kind == "f":
        return found  # a gap, or a fraction: pandas, too, would hold them as floats
    return found.astype(wanted)


def _one_number(found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if found.ndim == 2 and found.shape[1] == 1:
        return found[:, 0]
    if found.ndim != 1:
        raise ValueError("the model answers several values a row, which is not supported")
    return found


def _feature_names(model: Any) -> tuple[str, ...] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def _missing_text(model: Any) -> float | None:
    """Return how the model knows a missing text: as None, or as pandas has it, NaN.

    To an encoder they are two categories.
    """
    for part in parts_of(model):
        held = getattr(part, "__dict__", {})
        if "missing_values" in held and held["missing_values"] is None:
            return None
        for known in held.get("categories_", ()):
            if any(one is None for one in known):
                return None
    return float("nan")


def _inputs(
    model: Any, names: tuple[str, ...] | None, golden: Golden | None
) -> tuple[InputColumn, ...]:
    if golden is not None:
        known = {one.name: one for one in golden.inputs}
        lacking = [name for name in names or () if name not in known]
        if lacking:
            raise ModelFileError(
                f"The model reads {', '.join(lacking)}, which its golden requests do not have.",
                hint="Write them anew: `modelci golden MODEL DATA --out FILE`.",
            )
        return tuple(known[name] for name in names) if names else golden.inputs
    if names is None:
        names = tuple(f"x{number}" for number in range(getattr(model, "n_features_in_", 1)))
    categories = _categories(model)
    return tuple(
        InputColumn(name=name, type=ValueType.STRING, values=categories[name])
        if name in categories
        else InputColumn(name=name, type=ValueType.NUMBER)
        for name in names
    )


def _categories(model: Any) -> dict[str, tuple[str, ...]]:
    """Return the texts that the model's encoders know, by column."""
    found: dict[str, tuple[str, ...]] = {}
    for part in parts_of(model):
        held = getattr(part, "__dict__", {})
        names, known_by_column = held.get("feature_names_in_"), held.get("categories_")
        if names is None or known_by_column is None:
            continue
        for name, known in zip(names, known_by_column, strict=False):
            texts = tuple(one for one in known if isinstance(one, str))
            if texts:
                found[str(name)] = texts
    return found


def _output(model: Any) -> OutputColumn:
    if not hasattr(model, "predict"):
        raise ModelFileError(
            f"A {type(model).__name__} cannot be served: it has no `predict`.",
            hint="Save a fitted estimator, or a pipeline that ends in one.",
        )
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise ModelFileError(
            "A classifier with several outputs cannot be served.", hint="Save one model for each."
        )
    if classes is not None and hasattr(model, "predict_proba"):
        labels = tuple(str(one) for one in classes)
        if len(labels) == 2:
            return OutputColumn(name=SCORE)
        return OutputColumn(name=PROBABILITIES, classes=labels)
    return OutputColumn(name=PREDICTION, type=_label_type(model, classes))


def _label_type(model: Any, classes: npt.NDArray[Any] | None) -> ValueType:
    from sklearn.base import is_regressor  # noqa: PLC0415 - it takes a second

    if classes is not None:
        kinds = {"b": ValueType.BOOLEAN, "i": ValueType.INTEGER, "u": ValueType.INTEGER}
        kinds |= {"f": ValueType.NUMBER}
        return kinds.get(np.asarray(classes).dtype.kind, ValueType.STRING)
    return ValueType.NUMBER if is_regressor(model) else ValueType.INTEGER
