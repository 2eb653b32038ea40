"""Differences of two models on the same rows: their errors are those of slower methods."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, ndtri

from modelci.analysis.measures import Cells, Scored, measures_for, value
from modelci.analysis.paired import Comparer, Comparison, compare
from modelci.analysis.predictions import Pair, Sample
from modelci.analysis.resampling import resample_cells, resample_curves
from modelci.domain.evaluation import CostMatrix, Evaluation, Task

BINARY = Evaluation(predictions="p.csv", cost=CostMatrix(false_negative=5), threshold=0.3)
CLASSES = Evaluation(predictions="p.csv", task=Task.MULTICLASS)
NUMBERS = Evaluation(predictions="p.csv", task=Task.REGRESSION)
Numbers = NDArray[np.float64]

# DeLong, DeLong & Clarke-Pearson 1988: 43 patients with albumin, protein and K-G score measured,
# as printed in the SAS/STAT manual's example for PROC LOGISTIC: albumin, protein, K-G, popind.
OVARIAN = """3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0
1.6 5.6 5 1 3.8 5.7 5 1 3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1
3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0 4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1
3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0
1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0
4.0 7.0 7 1 3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1"""


def sample_of(target: NDArray[np.generic], score: Numbers, evaluation: Evaluation) -> Sample:
    label: NDArray[np.generic] = score
    classes: tuple[str, ...] = ()
    if evaluation.task is Task.BINARY:
        label, classes = (score >= evaluation.threshold).astype(np.int8), ("0", "1")
    elif evaluation.task is Task.MULTICLASS:
        label, classes = score.argmax(axis=1), tuple(map(str, range(score.shape[1])))
    frame = pd.DataFrame(index=range(len(target)))
    return Sample(target=target, score=score, label=label, classes=classes, frame=frame)


def pair_of(
    target: NDArray[np.generic], base: Numbers, head: Numbers, evaluation: Evaluation
) -> Pair:
    return Pair(
        base=sample_of(target, base, evaluation),
        head=sample_of(target, head, evaluation),
        evaluation=evaluation,
    )


def binary_pair(
    rows: int, *, seed: int = 0, noise: float = 0.4, evaluation: Evaluation = BINARY
) -> Pair:
    rng = np.random.default_rng(seed)
    target = (rng.random(rows) < 0.2).astype(np.int8)
    signal = rng.normal(size=rows) + 1.5 * target
    base, head = (
        1 / (1 + np.exp(2 - signal - spread * rng.normal(size=rows))) for spread in (0.4, noise)
    )
    return pair_of(target, base, head, evaluation)


def class_pair(rows: int) -> Pair:
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, rows)
    signal = rng.normal(size=(rows, 3)) + 1.5 * np.eye(3)[target]
    base, head = (np.exp(signal + 0.4 * rng.normal(size=(rows, 3))) for _ in range(2))
    return pair_of(
        target,
        base / base.sum(axis=1, keepdims=True),
        head / head.sum(axis=1, keepdims=True),
        CLASSES,
    )


def number_pair(rows: int) -> Pair:
    rng = np.random.default_rng(2)
    target = rng.normal(3, 1, rows)
    base, head = (target + spread * rng.normal(size=rows) for spread in (0.5, 0.55))
    return pair_of(target, base, head, NUMBERS)


PAIRS = {
    Task.BINARY: binary_pair(3000),
    Task.MULTICLASS: class_pair(1500),
    Task.REGRESSION: number_pair(1500),
}
EVERY = [(task, measure) for task in Task for measure in measures_for(task)]


def found(measure: str, pair: Pair, rows: NDArray[np.bool_] | None = None) -> Comparison:
    comparison = compare(measure, pair, rows=rows)
    assert comparison is not None
    return comparison


def delong_by_hand(target: NDArray[np.generic], base: Numbers, head: Numbers) -> float:
    """Compare every positive with every negative, as the paper defines it."""
    placements = []
    for score in (base, head):
        gaps = score[target == 1][:, None] - score[target == 0][None, :]
        placements.append((gaps > 0) + 0.5 * (gaps == 0))
    of_positives = np.cov([table.mean(axis=1) for table in placements])
    of_negatives = np.cov([table.mean(axis=0) for table in placements])
    rows, columns = placements[0].shape
    both = of_positives / rows + of_negatives / columns
    return float(np.sqrt(both[0, 0] + both[1, 1] - 2 * both[0, 1]))


@pytest.mark.parametrize("digits", [1, 2, 15])
def test_delong_is_the_papers_definition(digits: int) -> None:
    pair = binary_pair(400, noise=0.8)
    base, head = pair.base.score.round(digits), pair.head.score.round(digits)
    comparison = found("roc_auc", pair_of(pair.head.target, base, head, BINARY))
    expected = delong_by_hand(pair.head.target, base, head)
    assert comparison.standard_error == pytest.approx(expected, rel=1e-10)


def test_delong_on_the_papers_data() -> None:
    table = np.array(OVARIAN.split(), dtype=np.float64).reshape(-1, 4)
    target, score = table[:, 3].astype(np.int8), (10 - table[:, 2]) / 10
    for column in (table[:, 0] / 10, table[:, 1] / 10):
        comparison = found("roc_auc", pair_of(target, score, column, BINARY))
        expected = delong_by_hand(target, score, column)
        assert comparison.standard_error == pytest.approx(expected, rel=1e-10)
        assert comparison.rows == 43


def bootstrapped(measure: str, pair: Pair, resamples: int) -> float:
    """Draw whole rows, and work each measure out anew: slow and plain."""
    rng = np.random.default_rng(7)
    changes = []
    for _ in range(resamples):
        places = rng.integers(0, len(pair), len(pair))
        changes.append(
            value(measure, pair.head.take(places), pair.evaluation)
            - value(measure, pair.base.take(places), pair.evaluation)
        )
    return float(np.std(changes, ddof=1))


@pytest.mark.parametrize(("task", "measure"), EVERY)
def test_errors_are_those_of_a_bootstrap_of_rows(task: Task, measure: str) -> None:
    """600 resamples know a standard error to 3 %; 2,000 of ours to 2 %: five of both is 18 %."""
    pair = PAIRS[task]
    comparison = found(measure, pair)
    expected = bootstrapped(measure, pair, 600)
    assert comparison.standard_error == pytest.approx(expected, rel=0.18)


@pytest.mark.parametrize(("task", "measure"), EVERY)
def test_values_and_rows_are_those_of_the_samples(task: Task, measure: str) -> None:
    pair = PAIRS[task]
    comparison = found(measure, pair)
    assert comparison.base == value(measure, pair.base, pair.evaluation)
    assert comparison.head == value(measure, pair.head, pair.evaluation)
    assert comparison.difference == comparison.head - comparison.base
    assert comparison.rows == len(pair)


@pytest.mark.parametrize(("task", "measure"), EVERY)
def test_a_slice_is_as_good_as_its_rows_alone(task: Task, measure: str) -> None:
    pair = PAIRS[task]
    rows = np.random.default_rng(3).random(len(pair)) < 0.4
    places = np.flatnonzero(rows)
    alone = replace(pair, base=pair.base.take(places), head=pair.head.take(places))
    part, whole = found(measure, pair, rows), found(measure, alone)
    assert part.standard_error == pytest.approx(whole.standard_error, rel=1e-9)
    assert (part.base, part.head) == pytest.approx((whole.base, whole.head), rel=1e-12)
    assert part.rows == whole.rows == len(places)


@pytest.mark.parametrize(("task", "measure"), EVERY)
def test_neither_the_order_of_rows_nor_of_questions_matters(task: Task, measure: str) -> None:
    pair = PAIRS[task]
    places = np.random.default_rng(4).permutation(len(pair))
    shuffled = replace(pair, base=pair.base.take(places), head=pair.head.take(places))
    comparer = Comparer(shuffled)
    for other in measures_for(task)[::-1]:
        comparer.compare(other)
    again, first = comparer.compare(measure), found(measure, pair)
    assert again is not None
    assert (again.low, again.high) == pytest.approx((first.low, first.high), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(("task", "measure"), EVERY)
def test_equal_predictions_prove_nothing_and_are_never_nan(task: Task, measure: str) -> None:
    pair = PAIRS[task]
    comparison = found(measure, replace(pair, base=pair.head))
    assert comparison.standard_error == comparison.difference == comparison.detectable == 0
    assert comparison.low == comparison.high == 0
    assert comparison.p_value(0) == comparison.p_superior(0) == 1
    assert comparison.p_value(-0.01) == 0, "it is no better by a hundredth"


@pytest.mark.parametrize("measure", ["mae", "mse", "mape"])
def test_means_of_losses_are_a_paired_t_test(measure: str) -> None:
    pair = PAIRS[Task.REGRESSION]
    base, head = (Scored.of(side, NUMBERS).losses(measure) for side in (pair.base, pair.head))
    theirs = stats.ttest_rel(head, base)
    comparison = found(measure, pair)
    assert comparison.difference / comparison.standard_error == pytest.approx(theirs.statistic)
    assert comparison.p_value(0) == pytest.approx(theirs.pvalue / 2, abs=1e-3)


def test_the_jackknife_and_the_weighted_bootstrap_agree() -> None:
    """At the 5,000 rows where one takes over from the other; 400 resamples know 4 %."""
    pair = binary_pair(5000)
    longer = binary_pair(5001)
    for measure, within in (("pr_auc", 0.12), ("ks", 0.2)):
        few, many = found(measure, pair), found(measure, longer)
        assert few.method == "weighted bootstrap"
        assert many.method == "infinitesimal jackknife"
        scipys = bootstrapped(measure, longer, 300)
        assert many.standard_error == pytest.approx(scipys, rel=within + 0.1)


def test_weighted_curves_are_the_measures_of_repeated_rows() -> None:
    """A weight of two is a row that is there twice; ties and all."""
    pair = binary_pair(120, noise=1.0)
    base, head = pair.base.score.round(2), pair.head.score.round(2)
    target = pair.head.target
    order = np.lexsort((target, head, base))
    pair = pair_of(target[order], base[order], head[order], replace(BINARY, resamples=5))
    drawn = resample_curves(Scored.of(pair.base, BINARY), Scored.of(pair.head, pair.evaluation))
    assert drawn is not None
    bits = np.frombuffer(np.random.default_rng([0, 2]).bytes(5 * 120 // 8 + 1), dtype=np.uint8)
    weights = np.unpackbits(bits, count=600).reshape(5, 120).astype(bool)
    for place, chosen in enumerate(weights):
        old, new = pair.base.take(np.flatnonzero(chosen)), pair.head.take(np.flatnonzero(chosen))
        for name, changes in (("pr_auc", drawn.average_precision), ("ks", drawn.ks)):
            expected = value(name, new, BINARY) - value(name, old, BINARY)
            assert changes[place] == pytest.approx(expected, abs=1e-12), name


def test_cells_are_drawn_around_the_counts() -> None:
    pair = binary_pair(2000)
    base, head = (Scored.of(side, BINARY) for side in (pair.base, pair.head))
    for drawn, side in zip(resample_cells(base, head), (base, head), strict=True):
        counted = Cells.of(side)
        assert drawn.true.sum(axis=1) == pytest.approx(2000)
        assert drawn.right.mean(axis=0) == pytest.approx(counted.right[0], rel=0.01)
        assert drawn.answered.mean(axis=0) == pytest.approx(counted.answered[0], rel=0.01)


def test_three_answers_that_got_worse_are_no_proof() -> None:
    """The exact sign test's p is .125, its mid-p .0625."""
    target = np.repeat([0, 1], 500).astype(np.int8)
    base = np.where(target == 1, 0.9, 0.1)
    head = base.copy()
    head[:3] = 0.8
    assert 0.05 < found("accuracy", pair_of(target, base, head, BINARY)).p_value(0) < 0.125


def test_p_values_and_bounds_are_normal() -> None:
    comparison = found("brier", binary_pair(500, noise=1.2))
    error, worse = comparison.standard_error, comparison.difference
    for allowed in (-0.01, 0.0, 0.02):
        assert comparison.p_value(allowed) == pytest.approx(ndtr((allowed - worse) / error))
        assert comparison.p_superior(-allowed) == pytest.approx(1 - comparison.p_value(allowed))
    assert comparison.low == pytest.approx(worse + ndtri(0.05) * error)
    assert comparison.p_value(comparison.low) == pytest.approx(0.05)
    assert comparison.detectable == pytest.approx((ndtri(0.95) + ndtri(0.8)) * error)


def test_worse_goes_by_the_measures_direction() -> None:
    pair = binary_pair(3000, noise=2.0)
    assert found("roc_auc", pair).difference < 0
    assert found("roc_auc", pair).p_value(0) < 0.01
    assert found("log_loss", pair).difference > 0
    assert found("log_loss", pair).p_value(0) < 0.01
    assert found("roc_auc", pair).p_value(0.5) > 0.99


def test_the_spread_between_trainings_is_added() -> None:
    evaluation = replace(BINARY, retrain_sd={"test.auc": 0.01, "brier": 0.5})
    plain, wider = (
        found("roc_auc", binary_pair(500, evaluation=used)) for used in (BINARY, evaluation)
    )
    assert wider.standard_error == pytest.approx(sqrt(plain.standard_error**2 + 2 * 0.01**2))


def test_evidence_says_the_same() -> None:
    comparison = found("f1", binary_pair(500))
    evidence = comparison.evidence(p_value=0.25)
    for name in ("measure", "method", "rows", "base", "head", "low", "high", "detectable"):
        assert getattr(evidence, name) == getattr(comparison, name)
    assert evidence.p_value == 0.25


@pytest.mark.parametrize("measure", ["roc_auc", "pr_auc", "ks", "recall", "f1", "mcc"])
def test_rows_of_one_class_say_nothing(measure: str) -> None:
    pair = binary_pair(300)
    assert compare(measure, pair, rows=pair.head.target == 0) is None
    assert compare("accuracy", pair, rows=pair.head.target == 0) is not None


def test_what_cannot_be_asked() -> None:
    pair = binary_pair(100)
    assert compare("brier", pair, rows=np.zeros(100, dtype=bool)) is None
    assert compare("cost", replace(pair, evaluation=replace(BINARY, cost=None))) is None
    with pytest.raises(ValueError, match="mae is no measure of binary"):
        compare("mae", pair)
    with pytest.raises(ValueError, match="rows must be 100 booleans"):
        compare("brier", pair, rows=np.ones(3, dtype=bool))


def test_another_seed_is_another_bootstrap() -> None:
    first, other = (
        found("f1", binary_pair(500, evaluation=replace(BINARY, seed=seed))) for seed in (0, 1)
    )
    assert first.standard_error != other.standard_error
    assert first.standard_error == pytest.approx(other.standard_error, rel=0.15)


def test_proof_of_what_is_not_so_is_as_rare_as_asked_for() -> None:
    """Equal models: of 400 pairs, each side's errors are .05 within three standard errors."""
    evaluation = replace(BINARY, resamples=300)
    names = ("roc_auc", "pr_auc", "f1", "accuracy", "brier", "log_loss")
    worse = dict.fromkeys(names, 0)
    for seed in range(400):
        comparer = Comparer(binary_pair(400, seed=seed, evaluation=evaluation))
        for name in names:
            comparison = comparer.compare(name)
            assert comparison is not None
            worse[name] += comparison.p_value(0) < 0.05
    for name, count in worse.items():
        assert count / 400 == pytest.approx(0.05, abs=3 * sqrt(0.05 * 0.95 / 400)), name
