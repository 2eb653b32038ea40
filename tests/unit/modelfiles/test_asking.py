"""Asking a model of logged rows: what it answers, and why it does not."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from tests.fakes.honest_models import FAMILIES, TABLE

from modelci.domain.modelfiles import Trust
from modelci.modelfiles.asking import Question, Said, ask
from modelci.modelfiles.record import RecordOptions, record_golden


def save(family: str, folder: Path) -> tuple[Path, Any, Any]:
    model, rows = FAMILIES[family]()
    path = folder / "model.skops"
    skops.io.dump(model, path)
    return path, model, rows


def test_a_models_answers_are_its_own_whatever_else_a_row_has(tmp_path: Path) -> None:
    path, model, rows = save("logistic regression", tmp_path)
    logged = [
        {**{f"x{n}": value for n, value in enumerate(row)}, "id": "a", "score": 0.5}
        for row in rows[:20].tolist()
    ]
    said = ask(Question(model=str(path), rows=logged))
    assert said.problem is None
    found = [one["score"] for one in said.answers]
    np.testing.assert_allclose(found, model.predict_proba(rows[:20])[:, 1], rtol=1e-12)


def test_an_input_that_the_log_renamed_is_found(tmp_path: Path) -> None:
    path, model, rows = save("logistic regression", tmp_path)
    row = {"input.x0": rows[0, 0], "x0": 9e9, "x1": rows[0, 1], "x2": rows[0, 2], "x3": rows[0, 3]}
    (answer,) = ask(Question(model=str(path), rows=[row])).answers
    assert answer["score"] == pytest.approx(model.predict_proba(rows[:1])[0, 1])


def test_classes_are_a_column_each_as_in_the_log(tmp_path: Path) -> None:
    path, model, rows = save("three classes", tmp_path)
    logged = [{f"x{n}": value for n, value in enumerate(rows[0].tolist())}]
    (answer,) = ask(Question(model=str(path), rows=logged)).answers
    expected = dict(zip(model.classes_, model.predict_proba(rows[:1])[0], strict=True))
    assert answer == {
        f"probabilities.{name}": pytest.approx(value) for name, value in expected.items()
    }


def test_golden_requests_tell_the_types_of_inputs(tmp_path: Path) -> None:
    family = next(name for name in FAMILIES if FAMILIES[name]()[1] is TABLE)
    path, model, _ = save(family, tmp_path)
    golden = record_golden(path, TABLE, trust=Trust(), options=RecordOptions())
    gaps = TABLE.astype(object).where(TABLE.notna(), None)
    rows = [dict(zip(TABLE.columns, row, strict=True)) for row in gaps.itertuples(index=False)]
    said = ask(Question(model=str(path), rows=rows, golden=golden))
    assert said.problem is None
    (output,) = said.answers[0]
    expected = model.predict_proba(TABLE)[:, 1] if output == "score" else model.predict(TABLE)
    np.testing.assert_allclose([one[output] for one in said.answers], expected)


def test_what_a_model_cannot_read_is_an_answer(tmp_path: Path) -> None:
    path, _, _ = save("logistic regression", tmp_path)
    lacking = ask(Question(model=str(path), rows=[{"x0": 1.0, "x1": 1.0}]))
    assert lacking == Said(problem="The data have no column x2, x3, which the model reads")
    text = {f"x{n}": "much" for n in range(4)}
    said = ask(Question(model=str(path), rows=[text])).problem
    assert said is not None
    assert said.startswith("The model fails on logged rows: ValueError")


def test_a_file_that_may_not_be_loaded_is_not(tmp_path: Path) -> None:
    model, _ = FAMILIES["logistic regression"]()
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    refused = ask(Question(model=str(path), rows=[{}])).problem
    assert refused is not None
    assert "may not be loaded" in refused
    row = {f"x{n}": 1.0 for n in range(4)}
    assert ask(Question(model=str(path), rows=[row], pickle=True)).problem is None
