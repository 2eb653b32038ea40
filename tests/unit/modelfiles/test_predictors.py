"""What a loaded model reads and answers; rows come as plain values."""

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from tests.fakes.honest_models import (
    BINARY,
    CLASSES,
    NUMBERS,
    TABLE,
    TARGET,
    TEXTS,
    categorical,
    fitted,
)

from modelci.domain.golden import (
    Environment,
    Golden,
    InputColumn,
    OutputColumn,
    Value,
    ValueType,
)
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.files import ModelFileError
from modelci.modelfiles.load import load_model


def golden(*inputs: InputColumn) -> Golden:
    return Golden(
        model="m",
        sha256="",
        flavour="sklearn",
        inputs=inputs,
        outputs=(),
        requests=(),
        responses=(),
        environment=Environment(python="3.11"),
    )


def plain(frame: pd.DataFrame) -> dict[str, list[Value]]:
    return {
        str(name): [None if pd.isna(one) else one for one in frame[name].tolist()]
        for name in frame.columns
    }


def matrix(rows: np.ndarray[Any, Any]) -> dict[str, list[Value]]:
    return {f"x{place}": column.tolist() for place, column in enumerate(rows.T)}


@pytest.mark.parametrize(
    ("family", "output"),
    [
        ("logistic regression", OutputColumn(name="score")),
        ("three classes", OutputColumn(name="probabilities", classes=("high", "low", "mid"))),
        ("linear SVM", OutputColumn(name="prediction", type=ValueType.STRING)),
        ("forest of numbers", OutputColumn(name="prediction", type=ValueType.NUMBER)),
        ("k-means", OutputColumn(name="prediction", type=ValueType.INTEGER)),
        ("isolation forest", OutputColumn(name="prediction", type=ValueType.INTEGER)),
    ],
)
def test_a_model_answers_what_its_kind_can_say(family: str, output: OutputColumn) -> None:
    model, rows = fitted(family)
    predictor = SklearnPredictor(model)
    assert predictor.outputs == (output,)
    found = predictor.predict(matrix(rows))[output.name]
    if output.name == "score":
        assert np.array_equal(found, model.predict_proba(rows)[:, 1])
    elif output.name == "probabilities":
        assert np.array_equal(found, model.predict_proba(rows))
    else:
        assert np.array_equal(found, model.predict(rows))


def test_labels_are_of_the_classes_type() -> None:
    for classes, kind in ((BINARY == 1, ValueType.BOOLEAN), (BINARY * 1.0, ValueType.NUMBER)):
        model = LinearSVC(random_state=0).fit(NUMBERS, classes)
        assert SklearnPredictor(model).outputs[0].type is kind


def test_columns_come_in_any_order_and_form() -> None:
    model = LogisticRegression().fit(pd.DataFrame(NUMBERS, columns=list("abcd")), BINARY)
    predictor = SklearnPredictor(model)
    assert [one.name for one in predictor.inputs] == ["a", "b", "c", "d"]
    turned: dict[str, Any] = {name: NUMBERS[:, "abcd".index(name)] for name in "dcba"}
    expected = model.predict_proba(pd.DataFrame(NUMBERS, columns=list("abcd")))[:, 1]
    # Not to the last bit: older versions multiply a table that lies otherwise in another order.
    np.testing.assert_allclose(predictor.predict(turned)["score"], expected, rtol=1e-12)
    turned |= {"a": NUMBERS[:, 0].tolist(), "beyond": [0] * len(NUMBERS)}
    np.testing.assert_allclose(predictor.predict(turned)["score"], expected, rtol=1e-12)


def test_a_missing_column_is_named() -> None:
    model = LogisticRegression().fit(pd.DataFrame(NUMBERS, columns=list("abcd")), BINARY)
    with pytest.raises(ValueError, match=r"no column b, d"):
        SklearnPredictor(model).predict({"a": [1.0], "c": [1.0]})


def test_a_value_that_the_model_cannot_read_is_an_error_of_the_value() -> None:
    model = LogisticRegression().fit(pd.DataFrame(NUMBERS, columns=list("abcd")), BINARY)
    row: dict[str, list[Value]] = {name: [1.0] for name in "abcd"}
    for wrong in ("x", None):
        with pytest.raises(ValueError, match=r"."):
            SklearnPredictor(model).predict({**row, "a": [wrong]})


@pytest.mark.parametrize("family", ["a table, one-hot", "a table, boosted"])
def test_a_row_by_itself_is_answered_as_among_others(family: str) -> None:
    """Gaps and texts of one row must not change what pandas takes the column for."""
    model, table = fitted(family)
    predictor = SklearnPredictor(model)
    together = next(iter(predictor.predict(plain(table)).values()))
    expected = model.predict_proba(table)
    assert np.array_equal(together, expected[:, 1] if together.ndim == 1 else expected)
    for row in range(len(table)):
        alone = next(iter(predictor.predict(plain(table.iloc[[row]])).values()))
        assert np.allclose(alone[0], together[row], atol=1e-12), row


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_text_is_what_the_model_was_fitted_with(missing: object) -> None:
    """To an encoder, None and NaN are two categories; pandas 2 and 3 read files differently."""
    texts = np.array([["a"], [missing], ["b"], [missing]] * 5, dtype=object)
    table = pd.DataFrame({"text": pd.Series(texts[:, 0], dtype=object)})
    model = make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["text"])]),
        LogisticRegression(),
    ).fit(table, [0, 1, 0, 1] * 5)
    predictor = SklearnPredictor(model)
    scores = predictor.predict({"text": ["a", None]})["score"]
    assert scores[0] < 0.2
    assert scores[1] > 0.8
    assert predictor.predict({"text": [None]})["score"][0] == pytest.approx(scores[1])


def test_the_texts_that_encoders_know_are_known_of_the_inputs() -> None:
    predictor = SklearnPredictor(fitted("a table, one-hot")[0])
    known = {one.name: one for one in predictor.inputs}
    assert known["region"].type is ValueType.STRING
    assert known["region"].values == ("east", "north", "south")
    assert known["amount"].type is ValueType.NUMBER


def test_golden_inputs_give_the_types_back() -> None:
    table = categorical()
    model, _ = fitted("histogram boosting of categories")
    typed = SklearnPredictor(
        model,
        golden(
            InputColumn(
                name="region",
                type=ValueType.STRING,
                dtype="category",
                values=tuple(table["region"].cat.categories),
            ),
            InputColumn(name="amount", type=ValueType.NUMBER, dtype="float64"),
        ),
    )
    assert [one.name for one in typed.inputs] == ["amount", "region"]
    assert np.array_equal(typed.predict(plain(table))["score"], model.predict_proba(table)[:, 1])
    assert typed.predict({"amount": [1.0], "region": ["nowhere"]})["score"].shape == (1,)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("float32", [0.1, None], "float32"),
        ("int64", [1, 2], "int64"),
        ("int64", [1, None], "float64"),
        ("int8", [1.5, 2], "float64"),
    ],
)
def test_numbers_are_as_wide_as_they_were(dtype: str, values: list[Value], expected: str) -> None:
    class Model(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        feature_names_in_ = np.array(["a"])
        seen = ""

        def predict(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
            self.seen = str(rows["a"].dtype)
            return np.zeros(len(rows))

    model = Model()
    column = InputColumn(name="a", type=ValueType.NUMBER, dtype=dtype)
    SklearnPredictor(model, golden(column)).predict({"a": values})
    assert model.seen == expected


def test_texts_are_one_column() -> None:
    model, texts = fitted("texts")
    predictor = SklearnPredictor(model, golden(InputColumn(name="text", type=ValueType.STRING)))
    assert np.array_equal(
        predictor.predict({"text": list(TEXTS)})["score"], model.predict_proba(texts)[:, 1]
    )


def test_golden_inputs_must_have_what_the_model_reads() -> None:
    model = LogisticRegression().fit(pd.DataFrame(NUMBERS, columns=list("abcd")), BINARY)
    with pytest.raises(ModelFileError, match="reads b, c, d") as caught:
        SklearnPredictor(model, golden(InputColumn(name="a", type=ValueType.NUMBER)))
    assert "modelci golden" in str(caught.value.hint)


def test_what_cannot_be_served_is_said_on_loading(tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    both = np.column_stack([BINARY, 1 - BINARY])
    for model, why in (
        (StandardScaler().fit(NUMBERS), "no `predict`"),
        (MultiOutputClassifier(LogisticRegression()).fit(NUMBERS, both), "several outputs"),
    ):
        skops.io.dump(model, path)
        with pytest.raises(ModelFileError, match=why) as caught:
            load_model(path, trust=Trust())
        assert caught.value.hint


def test_a_model_that_answers_several_numbers_says_so() -> None:
    model = LinearRegression().fit(NUMBERS, np.column_stack([TARGET, TARGET]))
    with pytest.raises(ValueError, match="several values a row"):
        SklearnPredictor(model).predict(matrix(NUMBERS))
    one = LinearRegression().fit(NUMBERS, TARGET[:, np.newaxis])
    assert SklearnPredictor(one).predict(matrix(NUMBERS))["prediction"].shape == (len(TARGET),)


def test_every_thread_that_asks_uses_one_thread() -> None:
    """OpenMP counts its threads per thread that asks; with two cores and one row, more lose."""
    model = HistGradientBoostingClassifier(max_iter=2).fit(NUMBERS, CLASSES)
    predictor, counts = SklearnPredictor(model), []

    def ask() -> None:
        predictor.predict(matrix(NUMBERS[:1]))
        counts.append(_openmp_effective_n_threads())

    for _ in range(2):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert counts == [1, 1]


def renamed(model: object, version: str) -> bytes:
    """Return a skops file that says it is of another scikit-learn."""
    import zipfile

    import sklearn

    data, buffer = skops.io.dumps(model), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json":
                mine, theirs = f'\\"{sklearn.__version__}\\"', f'\\"{version}\\"'
                assert mine.encode() in content
                content = content.replace(mine.encode(), theirs.encode())
            new.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["skops", "pickle"])
def test_a_model_of_another_scikit_learn_is_refused_naming_both(form: str, tmp_path: Path) -> None:
    import pickle

    import sklearn

    model, path = fitted("logistic regression")[0], tmp_path / "model"
    if form == "skops":
        path.write_bytes(renamed(model, "1.2.3"))
    else:
        state = pickle.dumps(model, protocol=4)
        mine = sklearn.__version__.encode()
        assert len(mine) == len(b"1.2.3")
        path.write_bytes(state.replace(mine, b"1.2.3"))
    with pytest.raises(ModelFileError) as caught:
        load_model(path, trust=Trust(pickle=True))
    assert f"scikit-learn 1.2.3, and {sklearn.__version__} is installed" in str(caught.value)
    assert "scikit-learn==1.2.3" in str(caught.value.hint)


def test_a_file_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read") as caught:
        load_model(tmp_path / "no.skops", trust=Trust())
    assert "dvc pull" in str(caught.value.hint)
    assert TABLE.shape[1] == 5
