"""Records golden requests: a model's inputs, a few rows of data, and what it says of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import (
    Environment,
    Golden,
    InputColumn,
    Row,
    Value,
    ValueType,
    compare_answers,
)
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.domain.wording import meant
from modelci.errors import UsageError
from modelci.modelfiles.answers import answer, answers_of
from modelci.modelfiles.environment import describe_environment, distributions_of
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.files import ModelFileError, read_model
from modelci.modelfiles.load import load_model, refusal
from modelci.modelfiles.predictor import Predictor
from modelci.modelfiles.scan import scan_file

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_MOST_SCORED = 20_000
_MOST_VALUES = 100
_COVERED = 20
_EMPTY = Environment(python="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """How to record; ``columns`` are the model's inputs where it does not know them itself."""

    rows: int = 20
    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tolerance: float = 1e-6
    flavour: str | None = None


def record_golden(path: Path, data: "DataFrame", *, trust: Trust, options: RecordOptions) -> Golden:
    """Return the golden requests of the model at ``path``, from rows that it was not fitted on.

    The same model and data give the same. Raises ModelFileError for a model that is not to be
    loaded, or does not fit the data.
    """
    file = read_model(path)
    scan = scan_file(file, trust=trust, flavour=options.flavour)
    if not scan.is_safe:
        raise refusal(scan, has_flags=True)
    predictor = load_model(path, trust=trust, flavour=options.flavour)
    frame = _select(data, predictor, options)
    draft = Golden(
        model=path.as_posix(),
        sha256=file.sha256,
        flavour=predictor.flavour,
        inputs=tuple(_describe(frame[name]) for name in frame.columns),
        outputs=predictor.outputs,
        requests=(),
        responses=(),
        environment=_EMPTY,
        tolerance=options.tolerance,
    )
    typed = load_model(path, trust=trust, flavour=options.flavour, golden=draft)
    rows = _spaced(frame, _MOST_SCORED)
    rows = rows.iloc[_choose(rows, _score(typed, draft.inputs, rows), options.rows)]
    requests = tuple(_requests(rows, draft.inputs))
    responses = answer(typed, requests)
    _check_answers(responses)
    _compare_with_frame(typed, rows, responses, options.tolerance)
    return replace(
        draft,
        inputs=tuple(_try_gap(typed, one, requests[0]) for one in draft.inputs),
        outputs=typed.outputs,
        requests=requests,
        responses=responses,
        environment=describe_environment(_needs(scan, typed)),
    )


def _select(data: "DataFrame", predictor: Predictor, options: RecordOptions) -> "DataFrame":
    """Return the model's own columns of the data, in its order."""
    _require_columns(options.exclude, data)
    frame = data.drop(columns=list(options.exclude))
    names = options.columns or _own_names(predictor) or tuple(map(str, frame.columns))
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise ModelFileError(
            f"The data have no column {', '.join(lacking)}, which the model reads.",
            hint=f"They have {', '.join(map(str, frame.columns[:20]))}.",
        )
    count = len(predictor.inputs)
    if len(names) != count and not _own_names(predictor):
        raise ModelFileError(
            f"The model reads {count} columns and does not know their names; the data have "
            f"{len(names)}: {', '.join(names[:20])}.",
            hint="Say which with --columns, or leave others out with --exclude (the target?).",
        )
    if not len(frame):
        raise ModelFileError("The data have no rows.", hint="Give rows that the model can score.")
    return frame[list(names)]


def _require_columns(names: Sequence[str], data: "DataFrame") -> None:
    """Refuse to leave out what is not there: its name is misspelt."""
    known = list(map(str, data.columns))
    for name in names:
        if name not in known:
            raise UsageError(
                f"--exclude: the data have no column {name!r}.",
                hint=meant(name, known).rstrip() or f"They have {', '.join(known[:20])}.",
            )


def _own_names(predictor: Predictor) -> tuple[str, ...]:
    """Return the columns that the model knows by name; () where only their number is known."""
    known: tuple[str, ...] | None = getattr(
        predictor, "names", tuple(one.name for one in predictor.inputs)
    )
    return known or ()


def _spaced(frame: "DataFrame", most: int) -> "DataFrame":
    if len(frame) <= most:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, most).round().astype(int)]


# Inputs.


def _describe(column: "Series[Any]") -> InputColumn:
    """Return what a column of the data holds."""
    import pandas as pd  # noqa: PLC0415 - it takes a second

    name, dtype = str(column.name), str(column.dtype)
    nullable = bool(column.isna().any())
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = tuple(column.dtype.categories)
        if not all(isinstance(one, str) for one in known):
            raise _unfit(name, "categories that are no texts")
        return InputColumn(
            name=name, type=ValueType.STRING, dtype=dtype, nullable=nullable, values=known
        )
    kind = _kind(column, name)
    if kind is ValueType.STRING:
        known = tuple(sorted(set(column.dropna())))
        return InputColumn(
            name=name,
            type=kind,
            dtype=dtype,
            nullable=nullable,
            values=known if len(known) <= _MOST_VALUES else None,
        )
    low, high = (None, None) if kind is ValueType.BOOLEAN else _range(column)
    return InputColumn(name=name, type=kind, dtype=dtype, nullable=nullable, min=low, max=high)


def _try_gap(predictor: Predictor, column: InputColumn, row: Row) -> InputColumn:
    """Let a column have gaps where the model takes them, also if the data had none."""
    if column.nullable:
        return column
    try:
        answers = answer(predictor, [{**row, column.name: None}])
        _check_answers(answers)
    except Exception:  # noqa: BLE001 - whatever the model makes of a gap, it does not take one
        return column
    return replace(column, nullable=True)


def _kind(column: "Series[Any]", name: str) -> ValueType:
    from pandas.api import types  # noqa: PLC0415

    if types.is_bool_dtype(column.dtype):
        return ValueType.BOOLEAN
    if types.is_integer_dtype(column.dtype):
        return ValueType.INTEGER
    if types.is_float_dtype(column.dtype):
        return ValueType.NUMBER
    held = {type(one) for one in column.dropna()}
    if held == {bool}:
        return ValueType.BOOLEAN
    if held <= {str}:
        return ValueType.STRING
    raise _unfit(name, f"{column.dtype} values")


def _unfit(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"Column {name} holds {what}, which a request cannot hold.",
        hint="Requests hold numbers, texts and booleans: let the pipeline take those.",
    )


def _range(column: "Series[Any]") -> tuple[float | None, float | None]:
    numbers = column.dropna().to_numpy(dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (None, None)


# Rows.


def _choose(frame: "DataFrame", scores: npt.NDArray[np.float64], count: int) -> list[int]:
    """Return which rows to record: some that show every gap and category, the rest over scores.

    At most half of them are chosen for what they show.
    """
    count = min(count, len(frame))
    shown = _covering(_traits(frame), count // 2)
    rest = [row for row in np.argsort(scores, kind="stable").tolist() if row not in shown]
    places = np.linspace(0, len(rest) - 1, count - len(shown)).round().astype(int)
    return sorted([*shown, *(rest[place] for place in places)])


def _traits(frame: "DataFrame") -> npt.NDArray[np.bool_]:
    """Return which row shows what: a gap in a column, or one of its commonest texts."""
    columns = []
    for name in frame.columns:
        column = frame[name]
        columns.append(column.isna().to_numpy())
        if column.dtype.kind not in "biufc":
            common = column.value_counts().sort_index().sort_values(kind="stable")[-_COVERED:]
            columns += [(column == one).to_numpy(dtype=bool) for one in common.index]
    return np.column_stack(columns)


def _covering(traits: npt.NDArray[np.bool_], most: int) -> list[int]:
    """Return few rows that show much: each adds the most that was not shown yet."""
    chosen: list[int] = []
    wanted = traits.any(axis=0)
    while len(chosen) < most and wanted.any():
        best = int(traits[:, wanted].sum(axis=1).argmax())
        wanted &= ~traits[best]
        chosen.append(best)
    return chosen


def _score(
    predictor: Predictor, inputs: Sequence[InputColumn], frame: "DataFrame"
) -> npt.NDArray[np.float64]:
    """Return a number per row to spread the choice over."""
    found = next(iter(_predict(predictor, _requests(frame, inputs), inputs).values()))
    if found.ndim == 2:
        found = found.max(axis=1)
    if found.dtype.kind not in "biuf":
        return np.unique(found, return_inverse=True)[1].astype(np.float64)
    return found.astype(np.float64)


def _predict(
    predictor: Predictor, rows: Iterator[Row], inputs: Sequence[InputColumn]
) -> Mapping[str, npt.NDArray[Any]]:
    listed = list(rows)
    columns = {one.name: [row[one.name] for row in listed] for one in inputs}
    try:
        return predictor.predict(columns)
    except Exception as error:  # whatever the model makes of the data
        said = " ".join(str(error).split())[:300]
        raise ModelFileError(
            f"The model cannot score the data: {type(error).__name__}: {said}.",
            hint="Give rows as the model is asked with: the columns that it was fitted on.",
        ) from error


def _requests(frame: "DataFrame", inputs: Sequence[InputColumn]) -> Iterator[Row]:
    columns = [[_plain(value) for value in frame[one.name].tolist()] for one in inputs]
    names = [one.name for one in inputs]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _plain(value: Any) -> Value:
    """Return a cell as JSON has it; gaps of every kind are None."""
    if value is None or value is _na() or (isinstance(value, float) and math.isnan(value)):
        return None
    plain: Value = value
    return plain


def _na() -> object:
    import pandas as pd  # noqa: PLC0415

    return pd.NA


# What was said of them.


def _check_answers(responses: Sequence[Mapping[str, Any]]) -> None:
    for row in responses:
        for name, value in row.items():
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(one, float) and not math.isfinite(one) for one in numbers):
                raise ModelFileError(
                    f"The model's {name} is {value} for a row of the data.",
                    hint="A served model must answer with numbers: mend it, or the data.",
                )


def _compare_with_frame(
    predictor: Predictor, rows: "DataFrame", responses: Sequence[Any], tolerance: float
) -> None:
    """Hold what is answered to plain values against what the model says of the table itself."""
    if not isinstance(predictor, SklearnPredictor) or predictor.names is None:
        return
    direct = answers_of(predictor.answer(rows))
    _, problems = compare_answers(direct, responses, tolerance=tolerance)
    if problems:
        raise ModelFileError(
            f"Asked with plain values the model answers otherwise than for the table: "
            f"{problems[0]}.",
            hint="A column's type gets lost in a request: let the pipeline convert it.",
        )


def _needs(scan: FileScan, predictor: Predictor) -> tuple[str, ...]:
    if scan.format is FileFormat.ONNX:
        return ("onnxruntime", "numpy")
    names = {"numpy", *distributions_of(scan.types)}
    if scan.format is FileFormat.SKOPS:
        names.add("skops")
    if isinstance(predictor, SklearnPredictor):
        names |= {"scikit-learn"} | ({"pandas"} if predictor.names is not None else set())
    return tuple(names)
