"""Models asked in a process of their own."""

import os
from pathlib import Path

import pytest
import skops.io
from tests.fakes.honest_models import FAMILIES

from modelci.adapters.asking import ProcessAsker
from modelci.adapters.ci import bare_environment
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.files import ModelFileError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.skops"
    skops.io.dump(FAMILIES["logistic regression"]()[0], path)
    return path


def ask(model: Path, *rows: dict[str, object], seconds: float = 100.0) -> list[object]:
    asker = ProcessAsker(bare_environment(), timeout_seconds=seconds)
    answers = asker.ask(model, rows, golden=None, trust=Trust(), flavour=None)
    return [one["score"] for one in answers]


def test_it_answers_from_a_process_that_sees_no_secrets_and_no_project(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sklearn.py").write_text("raise SystemExit('the project was imported')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    estimator, rows = FAMILIES["logistic regression"]()
    row: dict[str, object] = {f"x{n}": value for n, value in enumerate(rows[0].tolist())}
    gap = row | {"x0": float("nan")}
    assert ask(model, row) == [pytest.approx(estimator.predict_proba(rows[:1])[0, 1])]
    assert "AWS_SECRET_ACCESS_KEY" not in bare_environment(os.environ)
    with pytest.raises(ModelFileError, match="The model fails on logged rows"):
        ask(model, gap)


def test_what_it_cannot_do_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no column x1, x2, x3"):
        ask(model, {"x0": 1.0})
    with pytest.raises(ModelFileError):
        ask(tmp_path / "nowhere.skops", {"x0": 1.0})


def test_it_is_not_waited_for_without_end(model: Path) -> None:
    with pytest.raises(ModelFileError, match=r"did not answer within 0.01 s"):
        ask(model, {"x0": 1.0}, seconds=0.01)
