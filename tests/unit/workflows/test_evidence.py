"""Predictions and datasets through the whole of a report, over fakes of Git and of DVC's cache."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock
from tests.fakes.tables import FakeRescorer, FakeTables, csv

from modelci.analysis.measures import value
from modelci.analysis.predictions import read_sample
from modelci.config.load import load
from modelci.domain.evaluation import Evaluation, Mode
from modelci.domain.events import CIContext
from modelci.domain.gates import GateResult, Outcome, Subject
from modelci.domain.report import Report
from modelci.ports import FileTree, Table
from modelci.workflows.report import make_report

ROOT = Path("/repository")
EVALUATION = Evaluation(predictions="p.csv")
MEASURES = ("roc_auc", "log_loss", "accuracy")
BASIC = """\
gates:
  - {metric: roc_auc, max_drop: 0.005}
evaluation: {predictions: p.csv}
"""
PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
INCONCLUSIVE, INCOMPARABLE = Outcome.INCONCLUSIVE, Outcome.INCOMPARABLE
MISSING = Outcome.MISSING


def predictions(noise: float, *, rows: int = 4000, seed: int = 1, first: int = 0) -> pd.DataFrame:
    """Return predictions of the same rows whatever the noise; more noise makes a worse model."""
    truth = np.random.default_rng(0)
    target = (truth.random(rows) < 0.3).astype(int)
    signal = target + truth.normal(size=rows)
    age = truth.integers(18, 80, rows)
    own = np.random.default_rng(seed).normal(size=rows)
    score = 1 / (1 + np.exp(1.5 - signal - noise * own))
    return pd.DataFrame(
        {
            "id": np.arange(first, first + rows),
            "y_true": target,
            "score": score,
            "channel": np.where(age % 3 == 0, "web", "branch"),
            "age": age,
        }
    )


GOOD, NOISY, BAD = predictions(0.1), predictions(0.1, seed=2), predictions(1.5)
UNSURE = predictions(0.7, rows=300)


def measured(frame: pd.DataFrame, evaluation: Evaluation = EVALUATION) -> bytes:
    sample = read_sample(frame, evaluation)
    return json.dumps({name: value(name, sample, evaluation) for name in MEASURES}).encode()


def files(
    frame: pd.DataFrame | None,
    config: str = BASIC,
    *,
    metrics: bytes | None = None,
    **more: pd.DataFrame,
) -> dict[str, bytes]:
    found = {"dvc.lock": lock("one"), "modelci.yaml": config.encode()}
    if frame is not None:
        found |= {"p.csv": csv(frame), "metrics.json": measured(frame)}
    if metrics is not None:
        found["metrics.json"] = metrics
    return found | {f"{name}.csv": csv(table) for name, table in more.items()}


def report_on(
    base: Mapping[str, bytes] | None,
    head: Mapping[str, bytes],
    *,
    tables: FakeTables | None = None,
    rescorer: FakeRescorer | None = None,
    progress: RecordedProgress | None = None,
    pull: bool = False,
    now: str = "2026-03-01T00:00:00Z",
    context: CIContext | None = None,
) -> Report:
    remote = FakeRemote()
    start = None if base is None else remote.commit(base)
    branch = "main" if start is None else "side"
    remote.commit(head, branch=branch, parents=[start] if start else None)
    git = FakeGit(ROOT, remote, at=remote.branches[branch], branch=branch)
    found = tables or FakeTables()
    return make_report(
        git=git,
        reader=FakeSnapshots(),
        config=load(git.files["modelci.yaml"]).config,
        context=context or CIContext(),
        progress=progress or RecordedProgress(),
        now=lambda: now,
        version="1.0",
        pull=pull,
        tables=lambda: found,
        rescorer=(lambda: rescorer) if rescorer else None,
    )


def of(report: Report, subject: Subject) -> list[GateResult]:
    return [result for result in report.gates if result.subject is subject]


# Metrics


@pytest.mark.parametrize(
    ("base", "head", "outcome"),
    [(GOOD, BAD, FAILED), (GOOD, NOISY, PASSED), (BAD, GOOD, PASSED)],
)
def test_a_worse_model_is_proven_worse_and_chance_is_not(
    base: pd.DataFrame, head: pd.DataFrame, outcome: Outcome
) -> None:
    report = report_on(files(base), files(head))
    (result,) = report.gates
    assert result.outcome is outcome
    assert result.mode is Mode.EVIDENCE
    assert result.evidence is not None
    assert result.evidence.rows == 4000
    assert result.evidence.p_value is not None
    assert (result.evidence.p_value < 0.05) is (outcome is FAILED)
    (evaluation,) = report.evaluations
    assert (evaluation.comparable, evaluation.common) == (True, 4000)
    assert report.notes == ()


def test_what_few_rows_cannot_prove_is_inconclusive() -> None:
    report = report_on(files(predictions(0.1, rows=300)), files(UNSURE))
    (result,) = report.gates
    assert result.outcome is INCONCLUSIVE
    assert "but that may be chance, p = 0." in result.reason
    assert report.is_ok


def test_inconclusive_blocks_where_the_gate_says_so() -> None:
    strict = BASIC.replace("0.005}", "0.005, inconclusive: fail}")
    base = files(predictions(0.1, rows=300), strict)
    verdict = report_on(base, files(UNSURE, strict)).verdict
    assert (verdict.blocked, verdict.unclear) == (True, True)


def test_only_metrics_that_the_predictions_reproduce_have_evidence() -> None:
    config = BASIC.replace("roc_auc", "'*'").replace("0.005", "0.9")
    other = json.loads(measured(GOOD)) | {"log_loss": 0.7, "accuracy": 0.5, "rows": 4000.0}
    base = files(GOOD, config, metrics=json.dumps(other).encode())
    head = files(NOISY, config)
    by_name = {result.key.name: result for result in report_on(base, head).gates if result.key}
    assert by_name["roc_auc"].evidence is not None
    assert by_name["log_loss"].evidence is None
    assert by_name["log_loss"].mode is Mode.POINT


def test_metrics_that_are_named_and_not_reproduced_are_noted() -> None:
    config = BASIC.replace("p.csv}", "p.csv, metrics: metrics.json:roc_auc}")
    wrong = json.dumps({"roc_auc": 0.5}).encode()
    other = json.dumps({"roc_auc": 0.6}).encode()
    base = files(GOOD, config, metrics=other)
    report = report_on(base, files(GOOD, config, metrics=wrong))
    (note,) = report.notes
    assert note.startswith("No evidence: p.csv gives roc_auc 0.7")
    assert note.endswith("metrics.json of the head says 0.5.")
    (result,) = report.gates
    assert (result.outcome, result.evidence) == (FAILED, None)
    assert "; no evidence: p.csv gives roc_auc" in result.reason


def test_nothing_at_all_reproduced_is_noted_too() -> None:
    wrong = json.dumps({"roc_auc": 0.5}).encode()
    report = report_on(files(GOOD, metrics=wrong), files(GOOD, metrics=wrong))
    assert len(report.notes) == 1
    assert report.gates[0].mode is Mode.POINT


def test_one_evaluation_may_be_behind_several_metrics() -> None:
    config = BASIC.replace("p.csv}", "p.csv, metrics: [log_loss, 'metrics.json:roc_auc']}")
    wrong = json.dumps({"roc_auc": 0.5, "log_loss": 1.0, "accuracy": 0.1}).encode()
    report = report_on(files(GOOD, config, metrics=wrong), files(GOOD, config, metrics=wrong))
    assert len(report.notes) == 2
    assert {note.split()[4] for note in report.notes} == {"roc_auc", "log_loss"}


@pytest.mark.parametrize(
    ("left_out", "judged"), [("slices", {Subject.BASELINE}), ("baseline", {Subject.SLICE})]
)
def test_predictions_may_be_left_out_of_slices_or_the_baseline(
    left_out: str, judged: set[Subject]
) -> None:
    asked = "slices: {by: [channel], metrics: [roc_auc]}\nbaseline: {metrics: [roc_auc]}\n"
    config = BASIC.replace("p.csv}", f"p.csv, {left_out}: false}}") + asked
    report = report_on(files(GOOD, config), files(NOISY, config))
    assert {result.subject for result in report.gates} == {Subject.METRIC, *judged}


def claiming(auc: float) -> bytes:
    return json.dumps(json.loads(measured(GOOD)) | {"roc_auc": auc}).encode()


@pytest.mark.parametrize("side", ["head", "base"])
def test_a_metric_that_only_one_sides_predictions_give_is_in_doubt(side: str) -> None:
    honest = json.loads(measured(GOOD))["roc_auc"]
    wrong, right = files(GOOD, metrics=claiming(honest + 0.001)), files(GOOD)
    base, head = (right, wrong) if side == "head" else (wrong, right)
    report = report_on(base, head)
    (result,) = report.gates
    said = f"p.csv gives roc_auc {honest:.6g}, metrics.json of the {side} says {honest + 1e-3:.6g}"
    assert (result.outcome, result.reason) == (INCOMPARABLE, said)
    other = "base" if side == "head" else "head"
    assert report.notes == (
        f"roc_auc of the {side} is in doubt: {said}, while those of the {other} agree.",
    )


def test_a_doubt_may_block_and_what_fails_by_its_own_numbers_fails_all_the_same() -> None:
    strict = BASIC.replace("0.005}", "0.005, incomparable: fail}")
    doubtful = files(BAD, strict, metrics=measured(GOOD))
    assert report_on(files(GOOD, strict), doubtful).verdict.unclear
    report = report_on(files(GOOD), files(GOOD, metrics=claiming(0.2)))
    assert report.gates[0].outcome is FAILED
    assert "metrics.json of the head says 0.2" in report.gates[0].reason


def test_a_floor_does_not_hold_by_a_number_that_the_heads_predictions_contradict() -> None:
    config = BASIC.replace("max_drop: 0.005", "min: 0.5")
    report = report_on(files(GOOD, config), files(BAD, config, metrics=measured(GOOD)))
    assert report.gates[0].outcome is INCOMPARABLE
    report = report_on(files(GOOD, config, metrics=claiming(0.9)), files(GOOD, config))
    assert report.gates[0].outcome is PASSED


def test_flipped_targets_beside_the_old_metrics_are_not_equal() -> None:
    flipped = GOOD.assign(y_true=1 - GOOD["y_true"])
    report = report_on(files(GOOD), files(flipped, metrics=measured(GOOD)))
    assert report.gates[0].outcome is INCOMPARABLE
    assert "p.csv gives roc_auc 0.2" in report.gates[0].reason


@pytest.mark.parametrize(("digits", "reproduced"), [(3, True), (4, True), (2, False)])
def test_a_metrics_file_may_round(digits: int, reproduced: bool) -> None:
    exact = json.loads(measured(GOOD))["roc_auc"]
    rounded = json.dumps({"roc_auc": round(exact, digits)}).encode()
    (result,) = report_on(files(GOOD, metrics=rounded), files(GOOD, metrics=rounded)).gates
    assert (result.evidence is not None) is reproduced


def test_the_modes_of_evaluation_and_gate_are_heard() -> None:
    for mode, own, expected in (
        ("noninferior", "", Mode.NONINFERIOR),
        ("point", "", Mode.POINT),
        ("point", ", mode: superior", Mode.SUPERIOR),
    ):
        config = BASIC.replace("p.csv}", f"p.csv, mode: {mode}}}").replace(
            "0.005}", f"0.005{own}}}"
        )
        (result,) = report_on(files(GOOD, config), files(BAD, config)).gates
        assert (result.mode, result.outcome) == (expected, FAILED)


def test_predictions_that_cannot_be_had_leave_two_numbers_and_a_note() -> None:
    lost = files(BAD)
    del lost["p.csv"]
    report = report_on(files(GOOD), lost)
    (result,) = report.gates
    assert (result.outcome, result.mode) == (FAILED, Mode.POINT)
    said = "predictions of the head: p.csv is not in the DVC cache (Pull it)"
    assert result.reason.endswith(f"no evidence: {said}")
    assert report.notes == (f"No evidence: {said}.",)
    (evaluation,) = report.evaluations
    assert (evaluation.comparable, evaluation.reason) == (False, said)


def test_a_base_without_predictions_is_compared_by_numbers() -> None:
    lost = files(GOOD)
    del lost["p.csv"]
    report = report_on(lost, files(NOISY))
    (result,) = report.gates
    assert (result.outcome, result.mode) == (PASSED, Mode.POINT)
    assert "predictions of the base: p.csv is not in the DVC cache" in result.reason


def test_predictions_that_are_wrong_are_no_crash() -> None:
    broken = GOOD.drop(columns=["score"]).assign(score=2.0)
    report = report_on(files(GOOD), files(GOOD) | {"p.csv": csv(broken)})
    assert "which is no probability" in report.gates[0].reason


class NestedTables(FakeTables):
    """Turns a column into lists, as JSON Lines and Parquet can hold them."""

    column = "id"

    def read(
        self,
        tree: FileTree,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        pull: bool = False,
    ) -> Table:
        frame = super().read(tree, path, columns=columns, pull=pull).frame.copy()
        if self.column in frame:
            frame[self.column] = [[value] for value in frame[self.column]]
        return Table(frame=frame, hash=None)


def test_columns_of_lists_are_no_crash() -> None:
    nested = NestedTables()
    report = report_on(files(GOOD), files(BAD), tables=nested)
    assert "no evidence: p.csv of the head cannot be read: " in report.gates[0].reason
    nested.column = "channel"
    config = FAIR + "slices: {by: [channel]}\n"
    report = report_on(files(GOOD, config), files(BAD, config), tables=nested)
    assert report.gates[0].evidence is not None
    assert [result.outcome for result in report.gates[1:]] == [MISSING, MISSING]


def test_without_a_base_there_is_nothing_to_prove() -> None:
    report = report_on(None, files(GOOD))
    assert report.gates[0].outcome is INCOMPARABLE
    assert report.evaluations[0].reason == "there is no base"
    assert report.evaluations[0].head_rows == 4000


def test_a_head_cannot_choose_how_it_is_judged() -> None:
    loose = BASIC.replace("0.005", "0.9").replace("p.csv}", "p.csv, mode: point}")
    assert not report_on(files(GOOD), files(BAD, loose)).is_ok


def test_only_the_columns_needed_are_read_and_equal_files_once() -> None:
    tables = FakeTables()
    report_on(files(GOOD), files(GOOD), tables=tables, pull=True)
    assert tables.reads[0] == ("p.csv", ("id", "y_true", "score"))
    assert set(tables.pulls) == {True}


# Test sets that differ

ELSEWHERE = predictions(0.1, first=1000)
RESCORE = BASIC.replace("p.csv}", "p.csv, rescore: {cmd: python score.py, files: [m]}}")


@pytest.mark.parametrize(("how", "blocked"), [("", False), (", incomparable: fail", True)])
def test_other_test_rows_are_incomparable_and_the_overlap_is_told(how: str, blocked: bool) -> None:
    config = BASIC.replace("0.005}", f"0.005{how}}}")
    report = report_on(files(GOOD, config), files(ELSEWHERE, config))
    (result,) = report.gates
    assert result.outcome is INCOMPARABLE
    assert "the test sets differ: 3,000 of 5,000 ids are in both" in result.reason
    assert "`rescore:`" in result.reason
    assert (report.verdict.blocked, report.verdict.unclear) == (blocked, blocked)
    assert (report.evaluations[0].common, report.evaluations[0].comparable) == (3000, False)


def test_without_leave_to_run_code_the_flag_that_gives_it_is_named() -> None:
    report = report_on(files(GOOD, RESCORE), files(ELSEWHERE, RESCORE))
    assert "`modelci report --rescore`" in report.gates[0].reason


@pytest.mark.parametrize(
    ("theirs", "outcome"), [(ELSEWHERE, PASSED), (predictions(-3.0, first=1000), PASSED)]
)
def test_a_base_scored_anew_is_compared_on_the_heads_rows(
    theirs: pd.DataFrame, outcome: Outcome
) -> None:
    rescorer = FakeRescorer(make=lambda: theirs)
    report = report_on(files(BAD, RESCORE), files(ELSEWHERE, RESCORE), rescorer=rescorer)
    assert rescorer.commands == ["python score.py"]
    (result,) = report.gates
    assert (result.outcome, result.mode) == (outcome, Mode.EVIDENCE)
    assert result.delta is not None
    anew = value("roc_auc", read_sample(theirs, EVALUATION), EVALUATION)
    assert result.delta.base == pytest.approx(anew)
    assert report.metrics[2] == result.delta  # the table says what the gates judge
    (evaluation,) = report.evaluations
    assert (evaluation.rescored, evaluation.comparable, evaluation.common) == (True, True, 3000)
    assert "scored anew" in report.notes[0]


def test_a_base_that_was_better_all_along_fails_once_rescored() -> None:
    worse = predictions(1.5, first=1000)
    rescorer = FakeRescorer(make=lambda: ELSEWHERE)
    report = report_on(files(BAD, RESCORE), files(worse, RESCORE), rescorer=rescorer)
    assert report.gates[0].outcome is FAILED


def test_rescoring_that_fails_leaves_the_sides_incomparable() -> None:
    progress = RecordedProgress()
    report = report_on(
        files(GOOD, RESCORE),
        files(ELSEWHERE, RESCORE),
        rescorer=FakeRescorer(),
        progress=progress,
    )
    (result,) = report.gates
    assert result.outcome is INCOMPARABLE
    assert "could not be rescored: `python score.py` ended with 1" in result.reason
    assert not report.evaluations[0].rescored


def test_rescoring_other_rows_again_is_no_comparison() -> None:
    rescorer = FakeRescorer(make=lambda: GOOD)
    report = report_on(files(GOOD, RESCORE), files(ELSEWHERE, RESCORE), rescorer=rescorer)
    assert report.gates[0].outcome is INCOMPARABLE
    assert "although the base was rescored" in report.gates[0].reason


FRESH = """\
evaluation:
  - {predictions: p.csv, metrics: "test.*"}
  - {predictions: fresh.csv, metrics: "fresh.*", rescore: {cmd: python score.py, files: [m]}}
gates:
  - {metric: test.roc_auc, max_drop: 0.01, mode: noninferior}
  - {metric: fresh.roc_auc, min_gain: 0.0, mode: superior, branches: ["modelci/retrain-*"]}
"""
MONTH = predictions(0.4, first=20_000)


def retrained(head: pd.DataFrame, *, branch: str, theirs: pd.DataFrame) -> Report:
    """Report on a model that has learnt from a new month, on which the base has never answered."""
    test = value("roc_auc", read_sample(GOOD, EVALUATION), EVALUATION)
    fresh = value("roc_auc", read_sample(head, EVALUATION), EVALUATION)
    base = files(GOOD, FRESH, metrics=json.dumps({"test.roc_auc": test}).encode())
    both = {"test.roc_auc": test, "fresh.roc_auc": fresh}
    proposed = files(GOOD, FRESH, metrics=json.dumps(both).encode(), fresh=head)
    return report_on(
        base,
        proposed,
        rescorer=FakeRescorer(make=lambda: theirs),
        context=CIContext(head_branch=branch),
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome"),
    [(MONTH, predictions(1.5, first=20_000), PASSED), (MONTH, MONTH, FAILED)],
    ids=["better", "the same"],
)
def test_a_retrained_model_must_be_better_on_the_new_month_and_no_worse_on_the_old(
    ours: pd.DataFrame, theirs: pd.DataFrame, outcome: Outcome
) -> None:
    report = retrained(ours, branch="modelci/retrain-credit", theirs=theirs)
    old, new = report.gates
    assert (old.outcome, old.mode) == (PASSED, Mode.NONINFERIOR)
    assert (new.outcome, new.mode) == (outcome, Mode.SUPERIOR)
    assert report.evaluations[1].rescored


def test_other_pull_requests_need_not_be_better_on_it() -> None:
    report = retrained(MONTH, branch="refactor", theirs=MONTH)
    assert [one.gate.metric for one in report.gates] == ["test.roc_auc"]
    assert report.gate_changes == ()


def test_equal_test_sets_are_not_scored_again() -> None:
    rescorer = FakeRescorer(make=lambda: GOOD)
    report_on(files(GOOD, RESCORE), files(NOISY, RESCORE), rescorer=rescorer)
    assert rescorer.commands == []


# Slices

SLICED = BASIC + "slices: {by: [channel, {query: 'age >= 75', name: old}], min_rows: 500}\n"


def worse_on_web() -> pd.DataFrame:
    frame = NOISY.copy()
    web = (frame["channel"] == "web").to_numpy()
    frame.loc[web, "score"] = BAD.loc[web, "score"]
    return frame


def test_a_slice_that_is_provably_worse_fails_though_the_whole_does_not() -> None:
    loose = SLICED.replace("0.005", "0.5")
    report = report_on(files(GOOD, loose), files(worse_on_web(), loose))
    (result,) = of(report, Subject.SLICE)
    assert (result.outcome, result.gate.metric) == (FAILED, "roc_auc on slices")
    assert result.reason.startswith("worst on channel: web (")
    assert "2 slices judged, 1 provably worse, 1 too small" in result.reason
    assert result.delta is not None
    assert result.delta.base is not None
    assert not report.is_ok
    assert {(one.slice, one.outcome) for one in report.slices} == {
        ("branch", PASSED),
        ("web", FAILED),
        ("old", INCOMPARABLE),
    }


def test_slices_of_a_model_that_only_differs_by_chance_pass() -> None:
    (result,) = of(report_on(files(GOOD, SLICED), files(NOISY, SLICED)), Subject.SLICE)
    assert result.outcome is PASSED


def test_slices_of_the_same_model_do_not_differ() -> None:
    (result,) = of(report_on(files(GOOD, SLICED), files(GOOD, SLICED)), Subject.SLICE)
    assert result.reason == "no slice differs; 2 slices judged, 1 too small"


def test_slices_may_only_warn_and_have_measures_of_their_own() -> None:
    config = SLICED.replace("min_rows: 500", "severity: warn, metrics: [log_loss, accuracy]")
    results = of(report_on(files(GOOD, config), files(worse_on_web(), config)), Subject.SLICE)
    assert [result.gate.metric for result in results] == [
        "log_loss on slices",
        "accuracy on slices",
    ]
    assert results[0].outcome is Outcome.WARNED


@pytest.mark.parametrize(
    ("old", "new", "outcome", "reason"),
    [
        ("channel", "chanel", MISSING, "chanel"),
        ("'age >= 75'", "'age.mean() > 1'", MISSING, "a call is not allowed"),
        ("min_rows: 500", "min_rows: 9000", INCOMPARABLE, "none of 3 slices has 9,000 rows"),
        ("metric: roc_auc, max_drop", "metric: roc_auc, min", INCOMPARABLE, "name slices.metrics"),
        ("min_rows: 500", "metrics: [rocauc]", MISSING, "rocauc is no measure of binary"),
    ],
)
def test_slices_that_cannot_be_judged_say_why(
    old: str, new: str, outcome: Outcome, reason: str
) -> None:
    config = SLICED.replace(old, new)
    (result,) = of(report_on(files(GOOD, config), files(NOISY, config)), Subject.SLICE)
    assert result.outcome is outcome
    assert reason in result.reason


def test_a_head_without_the_column_to_slice_by_is_missing_it_and_keeps_its_evidence() -> None:
    config = BASIC + "slices: {by: [channel]}\n"
    report = report_on(files(GOOD, config), files(NOISY.drop(columns=["channel"]), config))
    (result,) = of(report, Subject.SLICE)
    assert result.outcome is MISSING
    assert result.blocks
    assert of(report, Subject.METRIC)[0].evidence is not None


def test_slices_of_other_test_rows_or_none_are_not_judged() -> None:
    (result,) = of(report_on(files(GOOD, SLICED), files(ELSEWHERE, SLICED)), Subject.SLICE)
    assert (result.outcome, result.gate.metric) == (INCOMPARABLE, "roc_auc on slices")
    lost = files(GOOD, SLICED)
    del lost["p.csv"]
    (result,) = of(report_on(files(GOOD, SLICED), lost), Subject.SLICE)
    assert result.outcome is MISSING


# Fairness and baseline

FAIR = BASIC + "fairness: [{column: channel, metric: demographic_parity, max: 0.1}]\n"


def favouring(boost: float) -> pd.DataFrame:
    frame = GOOD.copy()
    web = frame["channel"] == "web"
    frame.loc[web, "score"] = (frame.loc[web, "score"] + boost).clip(0, 1)
    return frame


@pytest.mark.parametrize(
    ("boost", "mode", "outcome"),
    [
        (0.0, "evidence", PASSED),
        (0.3, "evidence", FAILED),
        (0.3, "point", FAILED),
        (0.0, "noninferior", PASSED),
        (0.12, "evidence", INCONCLUSIVE),
        (0.12, "point", FAILED),
        (0.1, "noninferior", FAILED),
    ],
)
def test_a_gap_between_groups_is_judged_with_its_interval(
    boost: float, mode: str, outcome: Outcome
) -> None:
    config = FAIR.replace("0.1}", f"0.1, mode: {mode}}}")
    report = report_on(files(GOOD, config), files(favouring(boost), config))
    (result,) = of(report, Subject.FAIRNESS)
    (found,) = report.fairness
    assert found.evidence is not None
    assert result.outcome is outcome, found.evidence
    assert set(found.rates) == {"web", "branch"}
    assert found.base_gap is not None
    assert "selection rate" in result.reason
    unsure = outcome is INCONCLUSIVE or (mode == "noninferior" and outcome is FAILED)
    assert ("may be" in result.reason) is unsure


def test_fairness_needs_no_base() -> None:
    (result,) = of(report_on(None, files(favouring(0.3), FAIR)), Subject.FAIRNESS)
    assert result.outcome is FAILED


@pytest.mark.parametrize(
    ("old", "new", "outcome", "reason"),
    [
        ("column: channel", "column: sex", MISSING, "p.csv has no column 'sex'"),
        ("max: 0.1", "max: 0.1, min_rows: 9000", INCOMPARABLE, "fewer than two groups"),
        ("column: channel", "column: age", MISSING, "groups are at most 50"),
    ],
)
def test_groups_that_cannot_be_judged_say_why(
    old: str, new: str, outcome: Outcome, reason: str
) -> None:
    config = FAIR.replace(old, new)
    (result,) = of(report_on(files(GOOD, config), files(NOISY, config)), Subject.FAIRNESS)
    assert result.outcome is outcome
    assert reason in result.reason


def guess() -> pd.DataFrame:
    random = np.random.default_rng(5)
    return GOOD.assign(score=random.uniform(0.25, 0.35, len(GOOD)))


@pytest.mark.parametrize(
    ("frame", "least", "outcome"),
    [(GOOD, 0.0, PASSED), (GOOD, 0.4, FAILED), (guess(), 0.0, INCONCLUSIVE)],
)
def test_a_model_must_beat_a_dummy(frame: pd.DataFrame, least: float, outcome: Outcome) -> None:
    config = BASIC + f"baseline: {{metrics: [roc_auc], min_gain: {least}}}\n"
    (result,) = of(report_on(None, files(frame, config)), Subject.BASELINE)
    assert result.outcome is outcome
    assert "a dummy has 0.5" in result.reason


@pytest.mark.parametrize("metric", ["mae", "rocauc"])
def test_a_baseline_of_what_is_no_measure_is_missing(metric: str) -> None:
    config = BASIC + f"baseline: {{metrics: [{metric}]}}\n"
    (result,) = of(report_on(None, files(GOOD, config)), Subject.BASELINE)
    assert result.outcome is MISSING
    assert "is no measure of binary predictions" in result.reason


def test_a_slice_measure_that_is_none_spares_the_others_and_all_have_the_users_names() -> None:
    config = SLICED.replace("min_rows: 500", "min_rows: 500, metrics: [auc, latency]")
    config += "baseline: {metrics: [auc]}\n"
    report = report_on(files(GOOD, config), files(NOISY, config))
    good, bad = of(report, Subject.SLICE)
    assert (good.gate.metric, good.outcome) == ("auc on slices", PASSED)
    assert (bad.gate.metric, bad.outcome) == ("latency on slices", MISSING)
    assert bad.reason == "latency is no measure of binary predictions"
    assert [one.gate.metric for one in of(report, Subject.BASELINE)] == ["auc against a dummy"]


@pytest.mark.parametrize(("severity", "outcome"), [("warn", Outcome.WARNED), ("block", FAILED)])
def test_slices_of_a_metric_that_only_warns_only_warn(severity: str, outcome: Outcome) -> None:
    config = SLICED.replace("0.005}", f"0.005, severity: {severity}}}")
    config = config.replace("metric: roc_auc", "metric: 'metrics.json:*auc'")
    report = report_on(files(GOOD, config), files(worse_on_web(), config))
    (result,) = of(report, Subject.SLICE)
    assert (result.gate.metric, result.outcome) == ("roc_auc on slices", outcome)


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (pd.concat([GOOD, GOOD.head(1)]), "column 'id' holds 0 more than once"),
        (GOOD.drop(columns=["score"]), "there is no column 'score'"),
        (GOOD.assign(score=GOOD["score"].where(GOOD["id"] != 5)), "column 'score' has no value"),
        (GOOD.head(0), "there are no rows"),
    ],
)
def test_predictions_that_cannot_be_read_are_one_result_that_says_why(
    broken: pd.DataFrame, cause: str
) -> None:
    config = SLICED.replace("min_rows: 500", "metrics: [roc_auc, accuracy]")
    config += "baseline: {metrics: [roc_auc]}\n"
    config += "fairness: [{column: channel, metric: demographic_parity, max: 0.9}]\n"
    config += "waivers: [{gate: accuracy on slices, reason: r, author: a, expires: 2030-01-01}]\n"
    report = report_on(files(GOOD, config), files(GOOD, config) | {"p.csv": csv(broken)})
    (result,) = (one for one in report.gates if one.subject is not Subject.METRIC)
    assert (result.gate.metric, result.outcome, result.blocks) == ("predictions", MISSING, True)
    assert result.reason.startswith("p.csv of the head cannot be read: ")
    assert cause in result.reason
    assert result.reason.endswith("; 4 gates need them")
    (note,) = report.notes
    assert cause in note


def test_two_evaluations_keep_their_gates_apart() -> None:
    config = SLICED.replace(
        "evaluation: {predictions: p.csv}",
        "evaluation: [{predictions: p.csv}, {predictions: q.csv}]",
    )
    base, head = files(GOOD, config, q=GOOD), files(NOISY, config, q=BAD)
    names = [result.gate.metric for result in of(report_on(base, head), Subject.SLICE)]
    assert names == ["roc_auc on slices of p.csv", "roc_auc on slices of q.csv"]


def test_an_evaluation_that_has_nothing_to_say_leaves_a_metric_to_the_next() -> None:
    config = BASIC.replace("{predictions: p.csv}", "[{predictions: q.csv}, {predictions: p.csv}]")
    report = report_on(files(GOOD, config), files(BAD, config))
    assert report.gates[0].evidence is not None
    assert [one.comparable for one in report.evaluations] == [False, True]


# Data

DATA = """\
data:
  - path: test.csv
    id: id
    columns: {age: {type: integer, min: 18}}
    disjoint_from: [train.csv]
"""
TEST, TRAIN = GOOD[["id", "age"]], GOOD[["id", "age"]].assign(id=GOOD["id"] + 10_000)


def test_data_that_is_as_it_should_be_is_one_line() -> None:
    head = files(None, DATA, test=TEST, train=TRAIN)
    (result,) = report_on(files(None, DATA), head).gates
    assert (result.outcome, result.subject) == (PASSED, Subject.DATA)
    assert "checks hold for 4,000 rows" in result.reason


def test_each_check_of_the_data_that_fails_is_a_gate() -> None:
    leaking = TRAIN.assign(id=[7, *TRAIN["id"][1:]])
    young = TEST.assign(age=[3, *TEST["age"][1:]])
    report = report_on(files(None, DATA), files(None, DATA, test=young, train=leaking))
    failed = {result.gate.metric: result.reason for result in report.gates if result.blocks}
    assert set(failed) == {"test.csv: age: below min", "test.csv: ids also in train.csv"}
    assert "1 value in both: 7" in failed["test.csv: ids also in train.csv"]
    (held,) = (result for result in report.gates if not result.blocks)
    assert held.reason.startswith("the other ")


def test_a_column_that_is_gone_is_a_finding_and_a_file_that_is_gone_is_missing() -> None:
    head = files(None, DATA, test=TEST.drop(columns=["age"]), train=TRAIN)
    report = report_on(files(None, DATA), head)
    assert [one.gate.metric for one in report.gates if one.blocks] == ["test.csv: age: column"]
    (result,) = report_on(files(None, DATA), files(None, DATA, test=TEST)).gates
    assert (result.outcome, result.gate.metric) == (MISSING, "test.csv: readable")
    assert "train.csv is not in the DVC cache" in result.reason


# Waivers


WAIVED = (
    DATA
    + "waivers: [{gate: 'test.csv: age: below min', reason: r, author: Ada, expires: 2026-03-31}]\n"
)


@pytest.mark.parametrize(
    ("now", "ok", "notes"),
    [
        ("2026-03-31T23:59:59Z", True, 0),
        ("2026-04-01T00:00:00Z", False, 1),
    ],
)
def test_a_waiver_of_the_base_holds_until_its_day(now: str, ok: bool, notes: int) -> None:
    young = TEST.assign(age=[3, *TEST["age"][1:]])
    head = files(None, WAIVED, test=young, train=TRAIN)
    report = report_on(files(None, WAIVED), head, now=now)
    assert (report.is_ok, len(report.notes)) == (ok, notes)
    assert report.verdict.waived == int(ok)


def test_a_waiver_of_a_check_that_holds_again_is_no_mistake() -> None:
    head = files(None, WAIVED, test=TEST, train=TRAIN)
    assert report_on(files(None, WAIVED), head).notes == ()


def test_a_waiver_of_the_head_counts_only_from_the_merge_on() -> None:
    waived = BASIC + "waivers: [{gate: roc_auc, reason: r, author: Eve, expires: 2026-12-31}]\n"
    report = report_on(files(GOOD), files(BAD, waived))
    assert not report.is_ok
    assert [(str(one.kind), one.waiver.author) for one in report.waiver_changes] == [
        ("added", "Eve")
    ]


def test_a_report_without_predictions_loads_no_pandas() -> None:
    code = (
        "import sys; from modelci.cli import ci, gate, report; "
        "from modelci.workflows import ci, report; "
        "print([name for name in ('numpy', 'pandas', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
