"""A head against a dummy that looks at no feature."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error

from modelci.analysis.baseline import against_dummy
from modelci.analysis.predictions import Sample, read_sample
from modelci.domain.evaluation import CostMatrix, Evaluation, Task

BINARY = Evaluation(predictions="p.csv", cost=CostMatrix())
N = 2000


def binary(*, skill: float, rate: float = 0.3, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    target = rng.random(N) < rate
    logit = np.log(rate / (1 - rate)) + skill * (target - rate) + rng.normal(0, 0.5, N)
    score = 1 / (1 + np.exp(-logit))
    frame = pd.DataFrame({"id": range(N), "y_true": target.astype(int), "score": score})
    return read_sample(frame, BINARY)


@pytest.mark.parametrize("measure", ["accuracy", "roc_auc", "brier", "log_loss", "f1", "cost"])
def test_a_good_model_beats_the_dummy_provably(measure: str) -> None:
    found = against_dummy(measure, binary(skill=3), BINARY)
    assert found is not None
    assert found.base is None
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert found.low <= found.difference <= found.high
    assert found.rows == N


@pytest.mark.parametrize("measure", ["accuracy", "roc_auc", "brier", "log_loss"])
def test_a_model_that_knows_nothing_does_not(measure: str) -> None:
    found = against_dummy(measure, binary(skill=0), BINARY)
    assert found is not None
    assert found.p_value is not None
    assert found.p_value > 0.05


def test_the_dummy_is_scikit_learn_s() -> None:
    sample = binary(skill=1)
    features = np.zeros((N, 1))
    dummy = DummyClassifier(strategy="prior").fit(features, sample.target)
    scores = dummy.predict_proba(features)[:, 1]
    for measure, expected in (
        ("accuracy", accuracy_score(sample.target, dummy.predict(features))),
        ("brier", brier_score_loss(sample.target, scores)),
        ("log_loss", log_loss(sample.target, scores)),
        ("roc_auc", 0.5),
    ):
        found = against_dummy(measure, sample, BINARY)
        assert found is not None
        assert found.head - found.difference == pytest.approx(expected, rel=1e-9)


def test_min_gain_is_what_must_be_proven() -> None:
    sample = binary(skill=3)
    plain = against_dummy("accuracy", sample, BINARY)
    assert plain is not None
    more = against_dummy("accuracy", sample, BINARY, min_gain=plain.difference)
    assert more is not None
    assert more.p_value == pytest.approx(0.5)


def test_luck_in_training_is_not_counted() -> None:
    sample = binary(skill=3)
    noisy = Evaluation(predictions="p.csv", retrain_sd={"accuracy": 1.0})
    assert against_dummy("accuracy", sample, noisy) == against_dummy(
        "accuracy", sample, Evaluation(predictions="p.csv")
    )


def test_regression_is_against_the_mean() -> None:
    evaluation = Evaluation(predictions="p.csv", task=Task.REGRESSION)
    rng = np.random.default_rng(1)
    target = rng.normal(5, 2, 500)
    frame = pd.DataFrame(
        {"id": range(500), "y_true": target, "score": target + rng.normal(0, 1, 500)}
    )
    sample = read_sample(frame, evaluation)
    dummy = DummyRegressor().fit(np.zeros((500, 1)), target).predict(np.zeros((500, 1)))
    found = against_dummy("mae", sample, evaluation)
    assert found is not None
    assert found.head - found.difference == pytest.approx(mean_absolute_error(target, dummy))
    r2 = against_dummy("r2", sample, evaluation)
    assert r2 is not None
    assert r2.difference == pytest.approx(r2.head)


def test_many_classes_have_a_dummy_too() -> None:
    evaluation = Evaluation(
        predictions="p.csv", task=Task.MULTICLASS, score={"a": "pa", "b": "pb", "c": "pc"}
    )
    rng = np.random.default_rng(2)
    codes = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
    scores = rng.dirichlet(np.ones(3), 600) * 0.4 + np.eye(3)[codes] * 0.6
    frame = pd.DataFrame(scores, columns=["pa", "pb", "pc"]).assign(
        id=range(600), y_true=np.array(["a", "b", "c"])[codes]
    )
    sample = read_sample(frame, evaluation)
    for measure, dummy in (
        ("accuracy", (codes == 0).mean()),
        ("roc_auc_ovr_macro", 0.5),
        ("log_loss", -sum(p * np.log(p) for p in np.bincount(codes) / 600)),
    ):
        found = against_dummy(measure, sample, evaluation)
        assert found is not None
        assert found.head - found.difference == pytest.approx(dummy)
        assert found.p_value is not None
        assert found.p_value < 0.001


def test_what_makes_no_sense_for_a_dummy_is_nothing() -> None:
    assert against_dummy("ece", binary(skill=3), BINARY) is None
    alone = pd.DataFrame({"id": [1, 2], "y_true": [1, 1], "score": [0.5, 0.7]})
    assert against_dummy("roc_auc", read_sample(alone, BINARY), BINARY) is None
    with pytest.raises(ValueError, match="mae is no measure of binary"):
        against_dummy("mae", binary(skill=3), BINARY)
