import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.trees import MemoryTree

from modelci.config.load import load
from modelci.domain.artifacts import Artifact
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.gates import Outcome, judge_all
from modelci.domain.metrics import MetricKey, diff_metrics, metric_value
from modelci.domain.pipeline import PipelineStage
from modelci.domain.snapshot import NOT_COMPARED, Snapshot
from modelci.workflows.proposal import (
    legacy_artifacts,
    propose_artifacts,
    propose_config,
    propose_gates,
    source_of_metrics,
    way_to_one_project,
)


def measured(**values: float) -> Snapshot:
    """Return a snapshot of metrics; ``__`` stands for the dot of their names."""
    return Snapshot(
        metrics={
            MetricKey(path="metrics.json", name=name.replace("__", ".")): metric_value(value)
            for name, value in values.items()
        }
    )


def tracking(*paths: str, kind: DataKind = DataKind.DATA) -> Snapshot:
    return Snapshot(tracked={one: TrackedFile(path=one, kind=kind, hash="1") for one in paths})


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS)
def test_gates_hold_at_todays_values_whatever_they_are(auc: float, loss: float) -> None:
    snapshot = measured(auc=auc, loss=loss)
    gates = load(propose_config(snapshot, has_remote=False).encode()).config.all_gates()
    deltas = diff_metrics(snapshot.metrics, snapshot.metrics)
    assert [one.outcome for one in judge_all(gates, deltas)] == [Outcome.PASSED] * 4


@pytest.mark.parametrize(
    ("name", "today", "bound"),
    [
        ("auc", 0.9881, "min: 0.978  # 0.9881 today"),
        ("auc", 1.0, "min: 0.99  # 1 today"),
        ("r2", -0.5, "min: -0.505  # -0.5 today"),
        ("loss", 0.03498, "max: 0.0354  # 0.03498 today"),
        ("loss", 0.0, "max: 0  # 0 today"),
        ("mse", 12345.0, "max: 12500  # 12,345 today"),
    ],
)
def test_the_bound_is_what_one_allowed_drop_makes_of_today(
    name: str, today: float, bound: str
) -> None:
    lines = propose_gates(measured(**{name: today}))
    assert lines[2:] == ('    max_drop: "1%"', f"    {bound}")


def test_a_gate_on_several_files_is_bounded_by_the_worst_of_them() -> None:
    metrics = {
        MetricKey(path=f"{folder}/metrics.yaml", name="acc"): value
        for folder, value in (("a", 0.9), ("b", 0.5))
    }
    assert "    min: 0.495  # 0.5 today" in propose_gates(Snapshot(metrics=metrics))


def test_what_is_no_number_today_gets_no_gate() -> None:
    assert propose_gates(measured(auc=float("nan"))) == ()


def test_the_fit_to_the_training_data_gets_a_gate_only_where_nothing_else_does() -> None:
    text = "\n".join(propose_gates(measured(train__loss=0.1, eval__loss=0.2)))
    assert "eval.loss" in text
    assert "train.loss" not in text
    assert "train.loss" in "\n".join(propose_gates(measured(train__loss=0.1)))


def test_metrics_of_unknown_direction_are_named_for_someone_to_say() -> None:
    text = propose_config(measured(auc=0.5, widget_score_x=0.5), has_remote=False)
    lines = "#   widget_score_x: higher  # or lower\n"
    assert f"# metrics:\n{lines}" in text
    said = re.sub(r"^# metrics:\n#", "metrics:\n ", text, flags=re.MULTILINE)
    assert load(said.encode()).config.metrics == {"widget_score_x": "higher"}


@pytest.mark.parametrize(
    ("snapshot", "named"),
    [
        (tracking("out/model.h5", "data.csv"), {"model": "out/model.h5"}),
        (tracking("a/Model V2.pkl"), {"model-v2": "a/Model V2.pkl"}),
        (tracking("models"), {"models": "models"}),
        (tracking("a/model.pt", "b/model.pt"), {"model": "a/model.pt", "b-model-pt": "b/model.pt"}),
        (tracking("clf.onnx", kind=DataKind.MODEL), {"clf": "clf.onnx"}),
        (tracking("2024.onnx", kind=DataKind.MODEL), {"model-2024": "2024.onnx"}),
        (tracking("models/scores.json", kind=DataKind.METRICS), {}),
        (tracking("data.csv", "Churn_Modelling.csv", "remodel/x"), {}),
    ],
)
def test_tracked_files_that_look_like_models_are_proposed(
    snapshot: Snapshot, named: dict[str, str]
) -> None:
    proposed = yaml.safe_load("\n".join(propose_artifacts(snapshot)) or "artifacts: {}")
    found = {name: one["path"] for name, one in proposed["artifacts"].items()}
    assert found == named


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("model.skops", "model"),
        ("model.onnx", "model"),
        ("model.PKL", "model"),
        ("model.joblib", "model"),
        ("model.bin", None),
        ("model.pt", None),
        ("models", None),
    ],
)
def test_what_the_scan_does_not_know_is_not_proposed_as_a_model(
    path: str, type_: str | None
) -> None:
    ((_, entry),) = yaml.safe_load("\n".join(propose_artifacts(tracking(path))))[
        "artifacts"
    ].items()
    assert entry.get("type") == type_


def test_pickles_are_allowed_by_a_line_that_only_wants_its_comment_sign_taken_off() -> None:
    text = propose_config(measured(auc=0.5), has_remote=False, pickles=("ml:houses", "clf"))
    assert "safety" not in propose_config(measured(auc=0.5), has_remote=False)
    said = text.replace("# safety:", "safety:")
    assert load(said.encode()).config.safety.allow_pickle == ("ml:houses", "clf")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_an_evaluation_of_either_kind_only_wants_its_comment_sign_taken_off(task: str) -> None:
    text = propose_config(measured(auc=0.5), has_remote=False)
    lines = [one.removeprefix("# ") for one in text.splitlines() if f"task: {task}" in one]
    (evaluation,) = load("\n".join(lines).encode()).config.evaluation
    assert evaluation.task == task


def test_the_description_of_a_model_in_git_is_not_proposed_beside_it() -> None:
    beside = TrackedFile(path="model/clf.meta", kind=DataKind.MODEL, hash="1", in_git=True)
    model = tracking("model/clf").tracked
    both = Snapshot(tracked={**model, beside.path: beside})
    assert propose_artifacts(both) == ("artifacts:", '  clf: {path: "model/clf"}')
    alone = Snapshot(tracked={beside.path: beside})
    assert 'path: "model/clf.meta"' in propose_artifacts(alone)[1]


def test_what_a_stage_that_never_ran_is_to_write_counts_too() -> None:
    outs = ("model.pt", "model_scores.json", "rows.csv")
    stages = (PipelineStage(name="train", cmd=("train",), outs=outs),)
    metrics = {MetricKey(path="model_scores.json", name="auc"): 0.5}
    lines = propose_artifacts(Snapshot(stages=stages, metrics=metrics))
    assert lines == ("artifacts:", '  model: {path: "model.pt"}')


def test_artifacts_of_gtos_older_file_keep_their_names() -> None:
    text = b"churn: {path: models/a.pkl, type: net}\ngone: {path: x}\nodd: [1]\nbare: {path: 3}\n"
    legacy = legacy_artifacts(MemoryTree({"artifacts.yaml": text}))
    assert [one.name for one in legacy] == ["churn", "gone"]
    lines = propose_artifacts(tracking("models/a.pkl", "models/b.pkl"), legacy)
    assert lines == ("artifacts:", '  churn: {path: "models/a.pkl", type: "net"}')
    assert legacy_artifacts(MemoryTree({"artifacts.yaml": b"a: ["})) == ()
    assert legacy_artifacts(MemoryTree({})) == ()


def test_where_artifacts_are_declared_none_is_proposed() -> None:
    declared = Snapshot(
        artifacts=(Artifact(name="m", path="m.pkl"),), tracked=tracking("model.pkl").tracked
    )
    assert propose_artifacts(declared) == ()


def test_where_metrics_come_from_depends_on_what_is_there() -> None:
    stages = (PipelineStage(name="train", cmd=("train",)),)
    notes = ("m.json is not in the local DVC cache: run `dvc fetch m.json`, or pass --pull",)
    assert source_of_metrics(Snapshot(stages=stages, notes=notes)) == "`dvc pull` brings"
    table = Snapshot(stages=stages, notes=(f"m.csv is a table (CSV), {NOT_COMPARED}",))
    assert source_of_metrics(table) == "a metrics file in JSON or YAML gives"
    assert source_of_metrics(Snapshot(stages=stages)) == "`modelci run` makes"
    assert "`metrics:` in dvc.yaml" in source_of_metrics(Snapshot())


def test_projects_below_the_top_become_one_there() -> None:
    assert "`dvc init`" in way_to_one_project(())
    assert "`git mv 'a b/.dvc' .dvc`" in way_to_one_project(("a b",))
    assert "`git rm -r a/.dvc b/.dvc`" in way_to_one_project(("a", "b"))
