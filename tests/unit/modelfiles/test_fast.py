"""Faster forms of a model: used where they answer the same, and nowhere else."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from tests.fakes.honest_models import BINARY, CLASSES, NUMBERS, TABLE, TARGET, categorical, fitted

from modelci.domain.golden import Golden, Value, ValueType, compare_answers
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.answers import answer, sample_rows
from modelci.modelfiles.direct import DirectPredictor, NotDirectError
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.fast import speed_up
from modelci.modelfiles.load import load_model
from modelci.modelfiles.record import RecordOptions, record_golden
from modelci.modelfiles.replay import check_health

FRAME = pd.DataFrame(NUMBERS, columns=list("abcd"))


def recorded(
    model: BaseEstimator, data: pd.DataFrame, folder: Path
) -> tuple[SklearnPredictor, Golden]:
    path = folder / "m.skops"
    skops.io.dump(model, path)
    golden = record_golden(path, data, trust=Trust(), options=RecordOptions())
    predictor = load_model(path, trust=Trust(), golden=golden)
    assert isinstance(predictor, SklearnPredictor)
    return predictor, golden


def plain(frame: pd.DataFrame) -> Mapping[str, list[Value]]:
    return {
        str(name): [None if pd.isna(one) else one for one in frame[name].tolist()]
        for name in frame.columns
    }


def on_table(*parts: Any, model: Any = None, rest: str = "drop") -> Any:
    columns = ColumnTransformer(
        [(str(number), *part) for number, part in enumerate(parts)], remainder=rest
    )
    return make_pipeline(columns, model or LogisticRegression(max_iter=9999)).fit(TABLE, BINARY)


NUMERIC, TEXTS = ["amount", "term"], ["region", "channel"]
MEDIAN = SimpleImputer(strategy="median")
FLAGS = SimpleImputer(strategy="mean", add_indicator=True)
MOST = SimpleImputer(strategy="most_frequent")
CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
ONE_HOT = OneHotEncoder(handle_unknown="ignore")
REFUSING = "codes that refuse"
DIRECT = {
    "numbers and one-hot": lambda: on_table(
        (make_pipeline(FLAGS, StandardScaler()), NUMERIC), (ONE_HOT, TEXTS)
    ),
    "codes, gaps as they are": lambda: on_table(
        ("passthrough", NUMERIC),
        (CODES, TEXTS),
        model=HistGradientBoostingClassifier(max_iter=3),
    ),
    "texts filled first": lambda: on_table(
        (MEDIAN, NUMERIC), (make_pipeline(MOST, OneHotEncoder()), TEXTS)
    ),
    "an encoder that refuses": lambda: on_table((OneHotEncoder(), TEXTS), (MEDIAN, NUMERIC)),
    REFUSING: lambda: on_table((OrdinalEncoder(encoded_missing_value=-2), TEXTS)),
    "the rest passes": lambda: on_table(
        (make_pipeline(MEDIAN, RobustScaler()), NUMERIC), (ONE_HOT, TEXTS), rest="passthrough"
    ),
    "one part, and dropped ones": lambda: on_table(
        (make_pipeline(MEDIAN, MinMaxScaler()), NUMERIC), ("drop", ["owner"])
    ),
    "a column more than once": lambda: on_table((MEDIAN, NUMERIC), (MEDIAN, ["amount"])),
    "encoded numbers": lambda: on_table((ONE_HOT, ["term", "owner"]), (MEDIAN, ["amount"])),
    "columns by place": lambda: on_table((MEDIAN, slice(0, 2)), (ONE_HOT, [3, 4])),
    "no columns at all": lambda: make_pipeline(StandardScaler(), Ridge()).fit(FRAME, TARGET),
    "three classes and a step between": lambda: make_pipeline(
        StandardScaler(), PCA(2), LogisticRegression()
    ).fit(FRAME, CLASSES),
    "a forest": lambda: make_pipeline(
        ColumnTransformer([("n", MinMaxScaler(), ["a", "b"])], remainder="passthrough"),
        RandomForestRegressor(3, random_state=0),
    ).fit(FRAME, TARGET),
}


# Before pandas 3 a missing text is None, not NaN; the direct way then answers otherwise, and golden
# requests leave such a model as it is.
NONE_IS_NAN = pytest.mark.skipif(pd.__version__ < "3", reason="a missing text is None")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=NONE_IS_NAN if name in {"texts filled first", REFUSING} else ())
        for name in DIRECT
    ],
)
def test_a_table_is_computed_without_pandas_to_the_same(name: str, tmp_path: Path) -> None:
    model = DIRECT[name]()
    data = FRAME if "a" in model.feature_names_in_ else TABLE
    original, golden = recorded(model, data, tmp_path)
    direct = DirectPredictor(original)
    rows = [*golden.requests, *sample_rows(golden.inputs, golden.requests, 300)]
    worst, problems = compare_answers(answer(original, rows), answer(direct, rows), tolerance=1e-12)
    assert problems == ()
    assert worst is not None
    together = next(iter(direct.predict(plain(data)).values()))
    expected = next(iter(original.predict(plain(data)).values()))
    assert np.allclose(together, expected, atol=1e-12)
    assert (direct.inputs, direct.outputs) == (original.inputs, original.outputs)
    assert check_health(lambda: direct, golden).problems == ()


@pytest.mark.parametrize(
    "name", ["an encoder that refuses", pytest.param(REFUSING, marks=NONE_IS_NAN)]
)
def test_what_the_original_refuses_is_refused(name: str, tmp_path: Path) -> None:
    original, golden = recorded(DIRECT[name](), TABLE, tmp_path)
    row = {**golden.requests[0], "region": "nowhere"}
    for predictor in (original, DirectPredictor(original)):
        with pytest.raises(ValueError, match="unknown categor"):
            answer(predictor, [row])
    fast, _ = speed_up(original, golden)
    assert isinstance(fast, DirectPredictor)


def test_values_that_cannot_be_read_are_errors_of_the_value(tmp_path: Path) -> None:
    original, golden = recorded(DIRECT["numbers and one-hot"](), TABLE, tmp_path)
    direct = DirectPredictor(original)
    row: dict[str, Any] = {name: [one] for name, one in golden.requests[0].items()}
    with pytest.raises(ValueError, match="much"):
        direct.predict({**row, "amount": ["much"]})
    with pytest.raises(ValueError, match="another length"):
        direct.predict({**row, "amount": [1.0, 2.0]})
    del row["region"]
    with pytest.raises(ValueError, match="no column region"):
        direct.predict(row)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: on_table((OneHotEncoder(drop="first"), TEXTS)), "drops"),
        (lambda: on_table((OneHotEncoder(min_frequency=30), TEXTS)), "gathers"),
        (
            lambda: on_table((OrdinalEncoder(min_frequency=30, encoded_missing_value=-2), TEXTS)),
            "gathers",
        ),
        (lambda: on_table((make_pipeline(MEDIAN, MinMaxScaler(clip=True)), NUMERIC)), "clips"),
        (lambda: on_table((make_pipeline(MEDIAN, KBinsDiscretizer(3)), NUMERIC)), "KBins"),
        (lambda: LogisticRegression().fit(FRAME, BINARY), "no first step"),
        (
            lambda: make_pipeline(
                StandardScaler().set_output(transform="pandas"), LogisticRegression()
            ).fit(FRAME, BINARY),
            "by name",
        ),
    ],
)
def test_what_is_not_known_is_left_to_the_original(make: Any, why: str) -> None:
    with pytest.raises(NotDirectError, match=why):
        DirectPredictor(SklearnPredictor(make()))


# Choosing.


def test_a_model_that_converts_is_served_as_onnx(tmp_path: Path) -> None:
    original, golden = recorded(LogisticRegression().fit(FRAME, BINARY), FRAME, tmp_path)
    fast, why = speed_up(original, golden)
    assert (fast.flavour, why) == ("onnx", "as ONNX it answers the same on 520 rows")
    assert (fast.inputs, fast.outputs) == (original.inputs, original.outputs)
    assert check_health(lambda: fast, golden).problems == ()


def test_a_table_that_does_not_convert_is_served_without_pandas(tmp_path: Path) -> None:
    original, golden = recorded(fitted("a table, boosted")[0], TABLE, tmp_path)
    fast, why = speed_up(original, golden)
    assert isinstance(fast, DirectPredictor)
    assert why.startswith("without pandas it answers the same on 52")


def test_a_model_that_would_answer_otherwise_stays(tmp_path: Path) -> None:
    original, golden = recorded(LogisticRegression().fit(FRAME, BINARY), FRAME, tmp_path)
    kept, why = speed_up(original, replace(golden, tolerance=0.0))
    assert kept is original
    assert why.startswith("not as ONNX, where it answers otherwise: row")


def test_one_different_answer_to_a_made_up_row_is_enough(tmp_path: Path) -> None:
    original, golden = recorded(DIRECT["codes, gaps as they are"](), TABLE, tmp_path)

    class Other(SklearnPredictor):
        def predict(self, columns: Any) -> Any:
            found = super().predict(columns)
            return {name: one + (np.arange(len(one)) == 77) for name, one in found.items()}

    other = Other(original.estimator, golden)
    kept, why = speed_up(other, golden)
    assert kept is other
    assert "not without pandas, where it answers otherwise: row 78" in why


def test_categories_of_pandas_stay_with_the_original(tmp_path: Path) -> None:
    model, _ = fitted("histogram boosting of categories")
    original, golden = recorded(model, categorical(), tmp_path)
    kept, why = speed_up(original, golden)
    assert kept is original
    assert "not as ONNX" in why
    assert "not without pandas: a column holds categories" in why


def test_another_flavour_stays(tmp_path: Path) -> None:
    _, golden = recorded(LogisticRegression().fit(FRAME, BINARY), FRAME, tmp_path)
    onnx, _ = speed_up(load_model(tmp_path / "m.skops", trust=Trust(), golden=golden), golden)
    assert speed_up(onnx, golden) == (onnx, "it is a model of the flavour onnx")


def test_made_up_rows_keep_within_the_data_and_have_gaps(tmp_path: Path) -> None:
    _, golden = recorded(fitted("a table, one-hot")[0], TABLE, tmp_path)
    made = sample_rows(golden.inputs, golden.requests, 200)
    assert made == sample_rows(golden.inputs, golden.requests, 200)
    for column in golden.inputs:
        values = [row[column.name] for row in made]
        assert (None in values) is column.nullable
        held = [one for one in values if one is not None]
        if column.type is ValueType.STRING:
            assert set(held) <= set(column.values or ())
        elif column.min is not None:
            assert all(column.min <= float(one) <= (column.max or 0) for one in held)
    assert len(answer(load_model(tmp_path / "m.skops", trust=Trust(), golden=golden), made)) == 200
