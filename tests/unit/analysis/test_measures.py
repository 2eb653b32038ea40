"""Measures have the values that scikit-learn gives them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp
from sklearn import metrics as sk

from modelci.analysis.measures import Scored, is_loss, measure_of, measures_for, value
from modelci.analysis.predictions import Sample
from modelci.domain.evaluation import CostMatrix, Evaluation, Task

BINARY = Evaluation(predictions="p.csv", cost=CostMatrix(true_positive=-2, false_negative=5))
CLASSES = Evaluation(predictions="p.csv", task=Task.MULTICLASS)
NUMBERS = Evaluation(predictions="p.csv", task=Task.REGRESSION)


def binary(target: ArrayLike, score: ArrayLike, threshold: float = 0.5) -> Sample:
    scores = np.asarray(score, dtype=np.float64)
    return Sample(
        target=np.asarray(target, dtype=np.int8),
        score=scores,
        label=(scores >= threshold).astype(np.int8),
        classes=("0", "1"),
        frame=pd.DataFrame(),
    )


def multiclass(target: ArrayLike, score: ArrayLike) -> Sample:
    scores = np.asarray(score, dtype=np.float64)
    return Sample(
        target=np.asarray(target, dtype=np.int64),
        score=scores,
        label=scores.argmax(axis=1),
        classes=tuple(map(str, range(scores.shape[1]))),
        frame=pd.DataFrame(),
    )


def regression(target: ArrayLike, score: ArrayLike) -> Sample:
    scores = np.asarray(score, dtype=np.float64)
    return Sample(
        target=np.asarray(target, dtype=np.float64),
        score=scores,
        label=scores,
        classes=(),
        frame=pd.DataFrame(),
    )


def cost_by_hand(sample: Sample) -> float:
    prices = {(1, 1): -2, (0, 1): 1, (1, 0): 5, (0, 0): 0}
    pairs = zip(sample.target.tolist(), sample.label.tolist(), strict=True)
    return sum(prices[pair] for pair in pairs) / len(sample)


def ece_by_hand(sample: Sample) -> float:
    total = 0.0
    for place in range(10):
        low = -1.0 if place == 0 else place / 10
        inside = (np.ceil(sample.score * 10) / 10 > low + 1e-9) & (
            np.ceil(sample.score * 10) / 10 <= place / 10 + 0.1 + 1e-9
        )
        if inside.any():
            gap = sample.target[inside].mean() - sample.score[inside].mean()
            total += inside.sum() / len(sample) * abs(gap)
    return total


THEIRS: dict[str, Callable[[Sample], float]] = {
    "roc_auc": lambda s: sk.roc_auc_score(s.target, s.score),
    "pr_auc": lambda s: sk.average_precision_score(s.target, s.score),
    "accuracy": lambda s: sk.accuracy_score(s.target, s.label),
    "balanced_accuracy": lambda s: sk.balanced_accuracy_score(s.target, s.label),
    "f1": lambda s: sk.f1_score(s.target, s.label, zero_division=0),
    "precision": lambda s: sk.precision_score(s.target, s.label, zero_division=0),
    "recall": lambda s: sk.recall_score(s.target, s.label, zero_division=0),
    "mcc": lambda s: sk.matthews_corrcoef(s.target, s.label),
    "brier": lambda s: sk.brier_score_loss(s.target, s.score),
    "log_loss": lambda s: sk.log_loss(s.target, s.score, labels=[0, 1]),
    # Its exact p-value, which nobody asks for here, overflows with a warning for some rows.
    "ks": lambda s: (
        ks_2samp(s.score[s.target == 1], s.score[s.target == 0], method="asymp").statistic
    ),
    "cost": cost_by_hand,
    "ece": ece_by_hand,
}
MACRO: dict[str, Callable[[Sample], float]] = {
    "accuracy": lambda s: sk.accuracy_score(s.target, s.label),
    "balanced_accuracy": lambda s: sk.balanced_accuracy_score(s.target, s.label),
    "f1_macro": lambda s: sk.f1_score(s.target, s.label, average="macro", zero_division=0),
    "precision_macro": lambda s: sk.precision_score(
        s.target, s.label, average="macro", zero_division=0
    ),
    "recall_macro": lambda s: sk.recall_score(s.target, s.label, average="macro", zero_division=0),
    "mcc": lambda s: sk.matthews_corrcoef(s.target, s.label),
    "log_loss": lambda s: sk.log_loss(s.target, s.score, labels=range(s.score.shape[1])),
    "roc_auc_ovr_macro": lambda s: sk.roc_auc_score(s.target, s.score, multi_class="ovr"),
}
ERRORS: dict[str, Callable[[Sample], float]] = {
    "mae": lambda s: sk.mean_absolute_error(s.target, s.score),
    "mse": lambda s: sk.mean_squared_error(s.target, s.score),
    "rmse": lambda s: sk.root_mean_squared_error(s.target, s.score),
    "r2": lambda s: sk.r2_score(s.target, s.score),
    "mape": lambda s: sk.mean_absolute_percentage_error(s.target, s.score),
}


def test_every_measure_has_a_reference() -> None:
    assert set(measures_for(Task.BINARY)) == set(THEIRS)
    assert set(measures_for(Task.MULTICLASS)) == set(MACRO)
    assert set(measures_for(Task.REGRESSION)) == set(ERRORS)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda step: step / 20)),
        min_size=2,
        max_size=40,
    )
)
def test_binary_values_with_ties_are_scikit_learns(rows: list[tuple[int, float]]) -> None:
    rows = [*rows, (0, 0.35), (1, 0.35)]
    sample = binary([target for target, _ in rows], [score for _, score in rows])
    for measure, theirs in THEIRS.items():
        assert value(measure, sample, BINARY) == pytest.approx(theirs(sample), abs=1e-12), measure


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), kinds=st.integers(3, 5), rows=st.integers(0, 50))
def test_multiclass_values_are_scikit_learns(seed: int, kinds: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.concatenate([np.arange(kinds), rng.integers(0, kinds, rows)])
    sample = multiclass(target, rng.dirichlet(np.ones(kinds), len(target)))
    for measure, theirs in MACRO.items():
        assert value(measure, sample, CLASSES) == pytest.approx(theirs(sample), abs=1e-12), measure


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 50))
def test_regression_values_are_scikit_learns(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    sample = regression(rng.normal(size=rows), rng.normal(size=rows))
    for measure, theirs in ERRORS.items():
        assert value(measure, sample, NUMBERS) == pytest.approx(theirs(sample), rel=1e-12), measure


@pytest.mark.parametrize("measure", ["roc_auc", "pr_auc", "ks"])
def test_one_class_alone_has_no_ranking(measure: str) -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        value(measure, binary([1, 1], [0.2, 0.4]), BINARY)


def test_a_measure_of_another_task_is_an_error() -> None:
    with pytest.raises(ValueError, match="mae is no measure of binary predictions"):
        value("mae", binary([1, 0], [0.2, 0.4]), BINARY)


def test_a_cost_needs_a_matrix() -> None:
    with pytest.raises(ValueError, match="cannot be said"):
        value("cost", binary([1, 0], [0.2, 0.4]), Evaluation(predictions="p.csv"))


@pytest.mark.parametrize(("measure", "influence"), [("pr_auc", "pr"), ("ks", "ks")])
def test_influence_is_the_derivative_by_a_rows_weight(measure: str, influence: str) -> None:
    rng = np.random.default_rng(5)
    target = (rng.random(200) < 0.3).astype(np.int8)
    score = np.round(rng.random(200) * 0.7 + target * 0.3, 2)
    curve = Scored.of(binary(target, score), BINARY).curve
    assert curve is not None
    found = curve.average_precision_influence() if influence == "pr" else curve.ks_influence()
    assert found.sum() == pytest.approx(0, abs=1e-9)
    step = 1e-6
    for row in range(0, 200, 20):
        weights = np.ones(200)
        weights[row] += step
        if measure == "pr_auc":
            moved = sk.average_precision_score(target, score, sample_weight=weights)
        else:
            wrong, right, _ = sk.roc_curve(
                target, score, sample_weight=weights, drop_intermediate=False
            )
            moved = np.abs(right - wrong).max()
        slope = (moved - value(measure, binary(target, score), BINARY)) / step
        assert found[row] / 200 == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("test.auc", "roc_auc"),
        ("roc_auc_score", "roc_auc"),
        ("val_roc_auc", "roc_auc"),
        ("eval.test-roc-auc", "roc_auc"),
        ("average_precision", "pr_auc"),
        ("brier_score_loss", "brier"),
        ("Brier Score", "brier"),
        ("logloss", "log_loss"),
        ("f1_macro", "f1_macro"),
        ("macro_f1", "f1_macro"),
        ("matthews_corrcoef", "mcc"),
        ("root_mean_squared_error", "rmse"),
        ("r2_score", "r2"),
        ("neg_log_loss", None),
        ("loss", None),
        ("f1_weighted", None),
        ("latency_ms", None),
    ],
)
def test_names_mean_measures(name: str, measure: str | None) -> None:
    assert measure_of(name) == measure


def test_losses_get_better_as_they_shrink() -> None:
    assert is_loss("brier")
    assert is_loss("cost")
    assert not is_loss("roc_auc_ovr_macro")
