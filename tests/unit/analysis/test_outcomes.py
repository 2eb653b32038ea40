"""What is known of a deployed model: by outcomes with intervals, and by estimates without."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression
from tests.unit.analysis.test_paired import OVARIAN

from modelci.analysis.measures import measures_for, value
from modelci.analysis.outcomes import calibrate, estimate, join, rates_of, realise
from modelci.analysis.predictions import Sample
from modelci.domain.evaluation import CostMatrix, Evaluation, Task
from modelci.domain.profile import Calibration

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]
COST = Evaluation(predictions="p.csv", cost=CostMatrix(true_positive=-2, false_negative=5))
CLASSES = Evaluation(predictions="p.csv", task=Task.MULTICLASS)
NUMBERS = Evaluation(predictions="p.csv", task=Task.REGRESSION)
HALF = Calibration(scores=(0.0, 1.0), rates=(0.0, 1.0), rows=10**9)


def scored(rows: int, *, seed: int, blur: float = 0.0) -> tuple[Floats, Labels]:
    """Draw scores that are the rates of their rows, or (blurred) say less than that."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(2, 4, rows)
    rates = blur / 3 + (1 - blur) * scores
    return scores, (rng.random(rows) < rates).astype(np.int8)


@pytest.mark.parametrize(
    ("column", "area", "error", "low", "high"),
    [
        (0, 0.7366, 0.0927, 0.5549, 0.9182),
        (1, 0.6478, 0.1000, 0.4518, 0.8439),
        (2, 0.7258, 0.1028, 0.5243, 0.9273),
    ],
)
def test_an_auc_has_the_interval_that_sas_prints(
    column: int, area: float, error: float, low: float, high: float
) -> None:
    rows = np.array(OVARIAN.split(), dtype=np.float64).reshape(-1, 4)
    scores = -rows[:, 2] if column == 2 else rows[:, column]
    found = realise(["roc_auc"], scores, rows[:, 3])["roc_auc"]
    assert (found.value, found.low, found.high) == pytest.approx((area, low, high), abs=1e-4)
    assert (found.high - found.low) / 2 / 1.959964 == pytest.approx(error, abs=1e-4)


def test_every_binary_measure_has_its_value_within_its_interval() -> None:
    scores, labels = scored(800, seed=1)
    found = realise(measures_for(Task.BINARY), scores, labels, evaluation=COST)
    assert set(found) == set(measures_for(Task.BINARY))
    for measure, one in found.items():
        sample = Sample(
            target=labels,
            score=scores,
            label=(scores >= 0.5).astype(np.int8),
            classes=("0", "1"),
            frame=pd.DataFrame(),
        )
        assert one.value == pytest.approx(value(measure, sample, COST), rel=1e-12)
        assert one.low < one.high
        if measure != "ece":  # whose interval is that of the value less its bias
            assert one.low < one.value < one.high
        assert (one.rows, one.alpha) == (800, 0.025)


@pytest.mark.parametrize("measure", measures_for(Task.BINARY))
def test_intervals_hold_the_truth_as_often_as_they_say(measure: str) -> None:
    # Where nothing is wrong with it, chance alone makes ECE; there its interval lies too high.
    blur = 0.6 if measure == "ece" else 0.0
    truth = realise([measure], *scored(400_000, seed=0, blur=blur), evaluation=COST)[measure].value
    hits = []
    for seed in range(1, 81):
        found = realise([measure], *scored(600, seed=seed, blur=blur), evaluation=COST)[measure]
        hits.append(found.low <= truth <= found.high)
    assert np.mean(hits) > 0.87  # 95 %, less three standard errors of 80 draws


def test_other_tasks_have_outcomes_too() -> None:
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet([2, 2, 2], 500)
    classes = np.array([rng.choice(3, p=row) for row in probabilities])
    found = realise(measures_for(Task.MULTICLASS), probabilities, classes, evaluation=CLASSES)
    assert set(found) == set(measures_for(Task.MULTICLASS))
    assert found["accuracy"].value == pytest.approx(
        sk.accuracy_score(classes, probabilities.argmax(axis=1))
    )
    target = rng.normal(size=500)
    guess = target + rng.normal(size=500)
    found = realise(measures_for(Task.REGRESSION), guess, target, evaluation=NUMBERS)
    assert set(found) == set(measures_for(Task.REGRESSION))
    assert found["r2"].value == pytest.approx(sk.r2_score(target, guess))
    assert all(one.low < one.value < one.high for one in found.values())


def test_answers_of_its_own_are_judged_as_they_are() -> None:
    scores, labels = scored(300, seed=5)
    found = realise(["accuracy"], scores, labels, answers=labels)["accuracy"]
    assert (found.value, found.low, found.high) == (1, 1, 1)


@pytest.mark.parametrize("positives", [0, 3, 9])
def test_too_few_of_a_class_say_nothing(positives: int) -> None:
    labels = (np.arange(400) < positives).astype(np.int8)
    scores = np.linspace(0, 1, 400)
    assert realise(["roc_auc", "recall", "brier"], scores, labels) == {}
    assert realise(["roc_auc"], scores, 1 - labels) == {}


def test_no_rows_say_nothing() -> None:
    nothing = np.array([], dtype=np.float64)
    assert realise(["roc_auc"], nothing, nothing) == {}
    assert estimate(["roc_auc"], nothing, HALF) == {}


def test_a_wrong_measure_or_wrong_rows_are_refused() -> None:
    scores, labels = scored(50, seed=0)
    with pytest.raises(ValueError, match="rmse is no measure of binary"):
        realise(["rmse"], scores, labels)
    with pytest.raises(ValueError, match="rmse is no measure of binary"):
        estimate(["rmse"], scores, HALF)
    with pytest.raises(ValueError, match="estimates binary tasks only, not regression"):
        estimate(["rmse"], scores, HALF, evaluation=NUMBERS)
    with pytest.raises(ValueError, match="50 scores have 49 labels"):
        realise(["roc_auc"], scores, labels[1:])
    with pytest.raises(ValueError, match="finite"):
        calibrate(np.array([0.5, np.nan]), np.array([0, 1]))
    with pytest.raises(ValueError, match="no rows"):
        calibrate(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="labels are 0 or 1"):
        calibrate(np.array([0.5]), np.array([2]))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.2, 0.35, 0.5, 0.8, 0.9]), st.integers(0, 1)), min_size=1
    )
)
def test_the_map_is_the_isotonic_regression_of_the_labels(rows: list[tuple[float, int]]) -> None:
    scores, labels = (np.array(one) for one in zip(*rows, strict=True))
    found = calibrate(scores, labels)
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    asked = np.linspace(0, 1, 23)
    assert rates_of(asked, found) == pytest.approx(expected.predict(asked))
    assert np.all(np.diff(found.scores) > 0)
    assert np.all(np.diff(found.rates) >= 0)
    assert found.rows == len(rows)


def test_an_estimate_is_what_its_labels_would_be_on_average() -> None:
    rng = np.random.default_rng(2)
    scores = np.round(rng.beta(2, 4, 1000), 2)  # with ties
    measures = [one for one in measures_for(Task.BINARY) if one not in {"ks", "ece"}]
    found = estimate(measures, scores, HALF, evaluation=COST)
    drawn = [(rng.random(1000) < scores).astype(np.int8) for _ in range(60)]
    for measure in measures:
        values = [realise([measure], scores, one, evaluation=COST)[measure].value for one in drawn]
        error = np.std(values) / np.sqrt(len(values))
        # Ratios of means are not means of ratios: that is off by a part of 1 / rows.
        assert found[measure].value == pytest.approx(np.mean(values), abs=4 * error + 1e-3)


def test_an_estimate_by_hand() -> None:
    # Positives by .9, .6 and .2; the first two are chosen: right with .9, .6 and .8.
    scores = np.repeat([0.9, 0.6, 0.2], 100)
    found = estimate(["accuracy", "precision", "recall", "brier"], scores, HALF)
    assert {name: one.value for name, one in found.items()} == pytest.approx(
        {
            "accuracy": (0.9 + 0.6 + 0.8) / 3,
            "precision": (0.9 + 0.6) / 2,
            "recall": (0.9 + 0.6) / (0.9 + 0.6 + 0.2),
            "brier": (0.9 * 0.1 + 0.6 * 0.4 + 0.2 * 0.8) / 3,
        }
    )
    assert found["accuracy"].method == "cbpe"


def test_an_estimate_holds_what_labels_will_say_where_scores_mean_what_they_did() -> None:
    hits: list[bool] = []
    for seed in range(100):
        fitted = calibrate(*scored(2000, seed=seed))
        scores, labels = scored(800, seed=seed + 1000)
        now = realise(["roc_auc", "brier"], scores, labels)
        guess = estimate(["roc_auc", "brier"], scores, fitted)
        hits += [guess[one].low <= now[one].value <= guess[one].high for one in now]
    assert np.mean(hits) > 0.9


def test_an_estimate_is_blind_to_what_scores_have_come_to_mean() -> None:
    fitted = calibrate(*scored(5000, seed=1))
    scores, labels = scored(5000, seed=2, blur=0.8)
    now = realise(["roc_auc"], scores, labels)["roc_auc"]
    guess = estimate(["roc_auc"], scores, fitted)["roc_auc"]
    assert now.high < guess.low


def test_less_is_sure_the_fewer_rows_the_map_was_fitted_to() -> None:
    scores, _ = scored(1000, seed=1)
    wide, narrow = (
        estimate(["roc_auc"], scores, Calibration(scores=(0, 1), rates=(0, 1), rows=rows))[
            "roc_auc"
        ]
        for rows in (1000, 10**9)
    )
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(2**0.5, rel=1e-6)


def test_outcomes_are_joined_by_id_whatever_their_order_and_type() -> None:
    found = join(
        pd.Series([7, 8, 9, 10]), pd.Series(["9", "7", "12"], dtype=object), pd.Series([1, 0, 1])
    )
    assert (found.rows.tolist(), found.outcomes.tolist()) == ([0, 2], [1, 0])
    assert (found.unlabelled, found.unknown) == (2, 1)


def test_rows_that_repeat_an_id_count_once_and_contradictions_not_at_all() -> None:
    found = join(
        pd.Series(["a", "a", "b", "c", None]),
        pd.Series(["a", "a", "b", "b", "c", "d", None]),
        pd.Series([1, 1, 0, 1, np.nan, 1, 1]),
    )
    assert (found.rows.tolist(), found.outcomes.tolist()) == ([0], [0])
    assert (found.unlabelled, found.unknown) == (2, 1)  # b and c; d
    assert (found.repeated, found.contradicting) == (2, 1)


@pytest.mark.parametrize("side", ["scored", "outcomes", "both"])
def test_nothing_joins_with_nothing(side: str) -> None:
    some, none = pd.Series([1, 2]), pd.Series([], dtype=np.int64)
    ours = none if side in {"scored", "both"} else some
    theirs = none if side in {"outcomes", "both"} else some
    found = join(ours, theirs, theirs)
    assert found.rows.tolist() == []
    assert (found.unlabelled, found.unknown) == (len(ours), len(theirs))


def test_equal_ids_in_order_join_as_they_are() -> None:
    ids = pd.Series([3, 1, 2])
    found = join(ids, ids, pd.Series([0, 1, 0]))
    assert (found.rows.tolist(), found.outcomes.tolist()) == ([0, 1, 2], [0, 1, 2])
