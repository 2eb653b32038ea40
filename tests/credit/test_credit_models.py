"""The models: the same bytes from the same rows, loaded without trust, measured correctly."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import columns
import estimators
import evaluate
import generate
import modelfile
import numpy as np
import pandas as pd
import prepare
import pytest
import select_best
import sklearn
import skops.io
import stage
import train
from sklearn import metrics
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from modelci.domain.modelfiles import Trust
from modelci.modelfiles.fast import speed_up
from modelci.modelfiles.load import load_model
from modelci.modelfiles.record import RecordOptions, record_golden
from modelci.modelfiles.replay import check_health

SCRIPTS = Path(train.__file__).parent
PARAMS: dict[str, dict[str, Any]] = {"logreg": {"C": 1.0}, "hgb": {"max_iter": 10}}
THRESHOLD = 0.12


@pytest.fixture(scope="module")
def parts(params: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    knobs = dataclasses.replace(generate.read_knobs(params), rows=3_000)
    train_rows, test_rows = prepare.split(prepare.cast(generate.generate(knobs)), 0.3)
    return train_rows.to_pandas(), test_rows.to_pandas()


@pytest.fixture(scope="module")
def models(parts: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Pipeline]:
    return {kind: train.fit(kind, params, parts[0]) for kind, params in PARAMS.items()}


def scores(model: Pipeline, rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    values: np.ndarray[Any, np.dtype[np.float64]]
    values = model.predict_proba(rows[list(columns.FEATURES)])[:, 1]
    return values


def test_training_is_configured_for_every_kind(params: Path) -> None:
    for kind in estimators.KINDS:
        estimators.build(kind, stage.read_params(params, f"train.{kind}"))


def test_training_in_another_process_gives_the_same_bytes(
    parts: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    params: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    parts[0].to_parquet("rows.parquet")
    calls = [[kind, "rows.parquet", f"{{}}/{kind}.skops", f"--params={params}"] for kind in PARAMS]
    here, there = ([[text.format(to) for text in call] for call in calls] for to in ("a", "b"))
    for call in here:
        train.main(call)
    # Another process has other memory addresses; other seeds and threads are asked for.
    subprocess.run(
        [sys.executable, "-c", f"import train\nfor call in {there}: train.main(call)"],
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": str(SCRIPTS),
            "PYTHONHASHSEED": "17",
            "OMP_NUM_THREADS": "2",
        },
    )
    names = sorted(path.name for path in Path("a").iterdir())
    assert names == ["hgb.json", "hgb.skops", "logreg.json", "logreg.skops"]
    for name in names:
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes(), name
    environment = json.loads(Path("a/hgb.json").read_text(encoding="utf-8"))["environment"]
    assert environment.keys() == {"python", *train.PACKAGES}


@pytest.mark.parametrize("kind", PARAMS)
def test_a_saved_model_scores_as_before(
    kind: str,
    models: dict[str, Pipeline],
    parts: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    modelfile.save(models[kind], tmp_path / "model.skops")
    loaded = modelfile.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(scores(loaded, parts[1]), scores(models[kind], parts[1]))


@pytest.mark.parametrize("kind", PARAMS)
def test_gaps_and_unseen_categories_are_scored(
    kind: str, models: dict[str, Pipeline], parts: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    strange = parts[1].head(3).assign(channel="carrier pigeon", region=None, income_eur=np.nan)
    assert np.isfinite(scores(models[kind], strange)).all()


def test_every_trusted_type_is_needed(models: dict[str, Pipeline]) -> None:
    needed = {
        name
        for model in models.values()
        for name in skops.io.get_untrusted_types(data=skops.io.dumps(model))
    }
    assert needed == set(modelfile.TRUSTED_TYPES)


def test_a_type_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    evil = Pipeline([("run", FunctionTransformer(os.system))])
    modelfile.save(evil, tmp_path / "evil.skops")
    with pytest.raises(stage.BadInputError, match=r"not trusted: posix\.system"):
        modelfile.load(tmp_path / "evil.skops")


def test_a_model_of_another_scikit_learn_is_refused(
    models: dict[str, Pipeline], tmp_path: Path
) -> None:
    modelfile.save(models["logreg"], tmp_path / "model.skops")
    with ZipFile(tmp_path / "model.skops") as archive, ZipFile(tmp_path / "old.skops", "w") as old:
        for name in archive.namelist():
            content = archive.read(name)
            if name == modelfile.SCHEMA:
                now = json.dumps(json.dumps(sklearn.__version__)).encode()
                content = content.replace(now, rb'"\"0.1\""')
            old.writestr(name, content)
    with pytest.raises(stage.BadInputError, match=r"trained with scikit-learn 0\.1"):
        modelfile.load(tmp_path / "old.skops")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(stage.BadInputError, match="does not exist"):
        modelfile.load(tmp_path / "none.skops")
    (tmp_path / "text.skops").write_text("hello", encoding="utf-8")
    with pytest.raises(stage.BadInputError, match="no skops model"):
        modelfile.load(tmp_path / "text.skops")
    with ZipFile(tmp_path / "empty.skops", "w"):
        pass
    with pytest.raises(stage.BadInputError, match="no skops model"):
        modelfile.load(tmp_path / "empty.skops")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("forest", {}, "unknown kind of model 'forest'"),
        ("hgb", {"learning_rat": 0.1}, "learning_rat"),
        ("hgb", {"learning_rate": -1}, "cannot fit hgb"),
        ("logreg", {"C": "big"}, "cannot fit logreg"),
    ],
)
def test_wrong_parameters_are_refused_by_name(
    kind: str,
    settings: dict[str, Any],
    message: str,
    parts: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    with pytest.raises(stage.BadInputError, match=message):
        train.fit(kind, settings, parts[0])


@pytest.fixture(scope="module")
def labelled() -> tuple[evaluate.Labels, evaluate.Floats]:
    random = np.random.default_rng(3)
    score = random.beta(1, 8, size=2_000)
    return (random.random(2_000) < score).astype(np.int64), score


def test_metrics_equal_their_definitions(
    labelled: tuple[evaluate.Labels, evaluate.Floats],
) -> None:
    y_true, score = labelled
    values = evaluate.measure(y_true, score, THRESHOLD)
    positive, negative = np.sort(score[y_true == 1]), np.sort(score[y_true == 0])
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    chosen = score >= THRESHOLD
    hits = int((chosen & (y_true == 1)).sum())
    chance = np.where(y_true == 1, score, 1 - score)
    grid = np.sort(score)
    gap = np.searchsorted(negative, grid, "right") / len(negative)
    gap -= np.searchsorted(positive, grid, "right") / len(positive)
    expected = {
        "brier": np.mean((score - y_true) ** 2),
        "defaults": y_true.sum(),
        "f1": 2 * hits / (chosen.sum() + y_true.sum()),
        "ks": gap.max(),
        "log_loss": -np.log(chance).mean(),
        "pr_auc": metrics.average_precision_score(y_true, score),
        "precision": hits / chosen.sum(),
        "recall": hits / y_true.sum(),
        "roc_auc": wins,
        "rows": 2_000,
        "threshold": THRESHOLD,
    }
    assert list(values) == list(expected)
    assert values == pytest.approx(expected, rel=1e-12)


def test_curves_are_thinned_but_keep_their_area(
    labelled: tuple[evaluate.Labels, evaluate.Floats],
) -> None:
    plots = evaluate.draw(*labelled, THRESHOLD)
    roc = plots["roc"]
    assert len(roc["fpr"]) <= evaluate.CURVE_POINTS
    assert (roc["fpr"][0], roc["tpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 0, 1, 1)
    area = metrics.auc(roc["fpr"], roc["tpr"])
    assert area == pytest.approx(metrics.roc_auc_score(*labelled), abs=0.005)
    assert len(plots["pr"]["recall"]) <= evaluate.CURVE_POINTS


def test_bins_and_cells_hold_every_row(
    labelled: tuple[evaluate.Labels, evaluate.Floats],
) -> None:
    y_true, score = labelled
    plots = evaluate.draw(y_true, score, THRESHOLD)
    assert plots["calibration"]["rows"].sum() == len(y_true)
    assert plots["scores"]["repaid"].sum() == pytest.approx(1)
    assert plots["scores"]["defaulted"].sum() == pytest.approx(1)
    cells = metrics.confusion_matrix(plots["confusion"]["actual"], plots["confusion"]["predicted"])
    np.testing.assert_array_equal(cells, metrics.confusion_matrix(y_true, score >= THRESHOLD))


def test_ages_fall_into_bands() -> None:
    bands = evaluate.age_band(pd.Series([17.0, 18.0, 24.0, 25.0, 64.9, 65.0, 99.0, np.nan]))
    assert bands.tolist() == [
        "unknown",
        "18-24",
        "18-24",
        "25-34",
        "50-64",
        "65+",
        "65+",
        "unknown",
    ]


def test_evaluate_and_select_write_what_dvc_yaml_declares(
    models: dict[str, Pipeline],
    parts: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    params: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    parts[1].to_parquet("test.parquet")
    for kind, model in models.items():
        modelfile.save(model, Path("models", f"{kind}.skops"))
        stage.write_json(Path("models", f"{kind}.json"), train.describe(kind, {}, len(parts[0])))
        evaluate.main(
            [
                f"models/{kind}.skops",
                "test.parquet",
                f"--metrics=metrics/{kind}.json",
                f"--plots=plots/{kind}",
                f"--predictions=predictions/{kind}.parquet",
                f"--params={params}",
            ]
        )
    select_best.main([*models, f"--params={params}"])
    chosen = json.loads(Path("models/credit.json").read_text(encoding="utf-8"))["kind"]
    assert f"{chosen} has the best roc_auc" in capsys.readouterr().out

    frame = pd.read_parquet("predictions.parquet")
    assert list(frame) == [columns.ID, "y_true", "score", *columns.SLICES]
    values = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    assert values["roc_auc"] == metrics.roc_auc_score(frame.y_true, frame.score)
    assert values["rows"] == len(frame) == len(parts[1])
    assert values["roc_auc"] == max(
        json.loads(path.read_text(encoding="utf-8"))["roc_auc"]
        for path in Path("metrics").iterdir()
    )
    assert {path.stem for path in Path("plots/credit").iterdir()} == {
        "roc",
        "pr",
        "calibration",
        "confusion",
        "scores",
    }
    assert Path("models/credit.skops").read_bytes() == Path(f"models/{chosen}.skops").read_bytes()


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("roc_auc", {"a": 0.7, "b": 0.8}, "b"),
        ("brier", {"a": 0.05, "b": 0.06}, "a"),
        ("log_loss", {"a": 0.3, "b": 0.2}, "b"),
        ("roc_auc", {"a": 0.8, "b": 0.8}, "a"),
    ],
)
def test_the_best_is_lowest_or_highest_as_the_metric_has_it(
    metric: str, values: dict[str, float], expected: str
) -> None:
    assert select_best.best(values, metric) == expected


@pytest.mark.parametrize("content", [None, "{", '{"roc": 1}', '{"roc_auc": NaN}'])
def test_a_model_without_the_metric_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(stage.BadInputError, match=r"metrics\.json"):
        select_best.read_metric(path, "roc_auc")


@pytest.mark.parametrize("kind", PARAMS)
def test_a_server_is_held_to_what_the_pipeline_recorded(
    kind: str,
    models: dict[str, Pipeline],
    parts: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    """As the stage `golden` records it; modelci trusts all that these models hold."""
    path = tmp_path / "models" / f"{kind}.skops"
    modelfile.save(models[kind], path)
    golden = record_golden(path, parts[1], trust=Trust(), options=RecordOptions())

    assert tuple(one.name for one in golden.inputs) == columns.FEATURES
    assert all(one.nullable for one in golden.inputs)
    original = load_model(path, trust=Trust(), golden=golden)
    fast, why = speed_up(original, golden)
    assert fast is not original, why
    for predictor in (original, fast):
        health = check_health(lambda found=predictor: found, golden)  # type: ignore[misc]
        assert health.problems == ()
    rows = parts[1][list(columns.FEATURES)]
    asked = {
        name: [None if pd.isna(one) else one for one in rows[name].tolist()]
        for name in columns.FEATURES
    }
    assert np.allclose(fast.predict(asked)["score"], scores(models[kind], parts[1]), atol=1e-12)
