"""The flavour ``onnx``: models that ONNX Runtime runs, and scikit-learn's made into such."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import Golden, InputColumn, OutputColumn, Value, ValueType
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.modelfiles.estimators import PREDICTION, PROBABILITIES, SCORE, SklearnPredictor
from modelci.modelfiles.files import ModelFile, ModelFileError
from modelci.modelfiles.predictor import Columns, side_by_side

FLAVOUR = "onnx"
_INSTALL = "Run `pip install 'modelci[onnx]'`."

formats = (FileFormat.ONNX,)

_TYPES: Mapping[str, tuple[Any, ValueType]] = {
    "tensor(float)": (np.float32, ValueType.NUMBER),
    "tensor(double)": (np.float64, ValueType.NUMBER),
    "tensor(int64)": (np.int64, ValueType.INTEGER),
    "tensor(int32)": (np.int32, ValueType.INTEGER),
    "tensor(bool)": (np.bool_, ValueType.BOOLEAN),
    "tensor(string)": (np.object_, ValueType.STRING),
}


def load(file: ModelFile, scan: FileScan, trust: Trust, golden: Golden | None) -> "OnnxPredictor":
    """Load a model that the scan found safe; ModelFileError where ONNX Runtime cannot."""
    del scan, trust
    try:
        return OnnxPredictor(file.data, golden)
    except ImportError as error:
        raise ModelFileError(f"{file.path} needs ONNX Runtime.", hint=_INSTALL) from error
    except ModelFileError:
        raise
    except Exception as error:  # the runtime's own classes of errors are no public ones
        said = " ".join(str(error).split())[:300]
        raise ModelFileError(
            f"{file.path} cannot be loaded: {said}.",
            hint="Is it whole? A newer ONNX Runtime may know what this one does not.",
        ) from error


@dataclass(frozen=True, slots=True)
class _Feed:
    """An input of the model: a column, or a matrix of several."""

    name: str
    dtype: Any
    type: ValueType
    columns: tuple[str, ...]
    flat: bool


class OnnxPredictor:
    """A session of ONNX Runtime on one thread.

    The model takes a column per input, or one matrix; it answers as ``SklearnPredictor`` does.
    """

    flavour = FLAVOUR

    def __init__(self, data: bytes, golden: Golden | None = None) -> None:
        self._session = _open(data)
        self._feeds = _feeds(self._session.get_inputs(), golden)
        known = {one.name: one for one in golden.inputs} if golden else {}
        is_matrix = len(self._feeds) == 1 and not golden
        self.names = None if is_matrix else tuple(one.name for one in self._feeds)
        self.inputs = tuple(
            known.get(name) or InputColumn(name=name, type=feed.type)
            for feed in self._feeds
            for name in feed.columns
        )
        self._output, self._width = _choose_output(self._session.get_outputs())
        self.outputs = (golden.outputs[:1] if golden else ()) or (_describe(self._width),)

    def predict(self, columns: Columns) -> Mapping[str, npt.NDArray[Any]]:
        """Return one array; ValueError where a column is missing or cannot be read."""
        missing = [one.name for one in self.inputs if one.name not in columns]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        feeds = {feed.name: _fill(feed, columns) for feed in self._feeds}
        found = self._session.run([self._output], feeds)[0]
        output = self.outputs[0]
        if output.name == SCORE:
            return {SCORE: found[:, 1]}
        is_column = found.ndim == 2 and found.shape[1] == 1
        return {output.name: found[:, 0] if is_column else found}


def _open(data: bytes) -> Any:
    import onnxruntime  # noqa: PLC0415 - an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _feeds(found: Sequence[Any], golden: Golden | None) -> tuple[_Feed, ...]:
    names = tuple(one.name for one in golden.inputs) if golden else ()
    return tuple(_feed(one, names if len(found) == 1 else (one.name,)) for one in found)


def _feed(one: Any, names: tuple[str, ...]) -> _Feed:
    if one.type not in _TYPES:
        raise ModelFileError(
            f"The model's input {one.name} is a {one.type}, which no row of a table fills.",
            hint="Give it numbers, texts or booleans, a column each.",
        )
    width = one.shape[1] if len(one.shape) == 2 else 1
    if not names:
        many = isinstance(width, int) and width > 1
        names = tuple(f"x{number}" for number in range(width)) if many else (one.name,)
    if isinstance(width, int) and width != len(names):
        raise ModelFileError(
            f"The model reads {width} columns, its golden requests have {len(names)}.",
            hint="Write them anew: `modelci golden MODEL DATA --out FILE`.",
        )
    dtype, kind = _TYPES[one.type]
    return _Feed(one.name, dtype, kind, names, flat=len(one.shape) == 1)


def _fill(feed: _Feed, columns: Columns) -> npt.NDArray[Any]:
    if feed.type is ValueType.NUMBER and not feed.flat:
        matrix = side_by_side(columns, feed.columns, feed.dtype)
        if matrix is not None:
            return matrix
    arrays = [_array(columns[name], name, feed) for name in feed.columns]
    return arrays[0] if feed.flat else np.column_stack(arrays)


def _array(values: Sequence[Value] | npt.NDArray[Any], name: str, feed: _Feed) -> npt.NDArray[Any]:
    if feed.type is not ValueType.NUMBER and any(one is None for one in values):
        raise ValueError(f"column {name}: the model has no value for a gap")
    found = values if isinstance(values, np.ndarray) else _listed(values, feed.type)
    try:
        return found.astype(feed.dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name}: {error}") from error


def _listed(values: Sequence[Value], kind: ValueType) -> npt.NDArray[Any]:
    if kind is ValueType.NUMBER:
        return np.array([np.nan if one is None else one for one in values])
    return np.array(values, dtype=object if kind is ValueType.STRING else None)


def _choose_output(found: Sequence[Any]) -> tuple[str, int | None]:
    """Return the output that answers, and its width: probabilities, where there are any."""
    numbers = [one for one in found if one.type in {"tensor(float)", "tensor(double)"}]
    if not numbers and any(one.type.startswith("seq(map") for one in found):
        raise ModelFileError(
            "The model answers with dictionaries.",
            hint="Convert it with options={'zipmap': False}.",
        )
    chosen = numbers[-1] if numbers else found[0]
    width = chosen.shape[1] if len(chosen.shape) == 2 else 1
    return chosen.name, width if isinstance(width, int) else None


def _describe(width: int | None) -> OutputColumn:
    if width == 2:
        return OutputColumn(name=SCORE)
    if width is not None and width > 2:
        return OutputColumn(name=PROBABILITIES, classes=tuple(map(str, range(width))))
    return OutputColumn(name=PREDICTION)


def convert(predictor: SklearnPredictor) -> bytes:
    """Return the model as ONNX; raises whatever skl2onnx raises for what it does not know."""
    from skl2onnx import to_onnx  # noqa: PLC0415 - an extra
    from skl2onnx.common.data_types import (  # noqa: PLC0415
        BooleanTensorType,
        FloatTensorType,
        Int64TensorType,
        StringTensorType,
    )

    types = {
        ValueType.NUMBER: FloatTensorType,
        ValueType.INTEGER: FloatTensorType if predictor.reads_matrix else Int64TensorType,
        ValueType.STRING: StringTensorType,
        ValueType.BOOLEAN: BooleanTensorType,
    }
    wanted = [(one.name, types[one.type]([None, 1])) for one in predictor.inputs]
    if predictor.reads_matrix:
        wanted = [("rows", FloatTensorType([None, len(wanted)]))]
    classifies = predictor.outputs[0].name != PREDICTION
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = to_onnx(
            predictor.estimator,
            initial_types=wanted,
            options={"zipmap": False} if classifies else None,
        )
    data: bytes = made.SerializeToString()
    return data
