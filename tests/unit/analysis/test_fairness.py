"""Gaps between groups, by their definitions, and how often they are alarms for nothing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from modelci.analysis.fairness import measure_gap
from modelci.analysis.predictions import Sample, read_sample
from modelci.domain.evaluation import Evaluation, FairnessMetric, Task
from modelci.domain.slices import FairnessResult

EVALUATION = Evaluation(predictions="p.csv")


def make(target: list[int], label: list[int], group: Sequence[object]) -> Sample:
    frame = pd.DataFrame(
        {
            "id": range(len(target)),
            "y_true": target,
            "score": np.where(np.array(label) == 1, 0.9, 0.1),
            "group": group,
        }
    )
    return read_sample(frame, EVALUATION)


def gap(
    metric: FairnessMetric,
    head: Sample,
    base: Sample | None = None,
    *,
    min_rows: int = 1,
    resamples: int = 200,
    allowed: float | None = None,
) -> FairnessResult:
    return measure_gap(
        metric,
        head,
        base,
        head.frame["group"],
        column="group",
        alpha=0.05,
        min_rows=min_rows,
        resamples=resamples,
        allowed=allowed,
    )


#   group a: 4 positives, 3 found; 4 negatives, 1 chosen. group b: 2 positives, 1 found; 4, 3.
SMALL = make(
    [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0],
    [1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0],
    ["a"] * 8 + ["b"] * 6,
)


@pytest.mark.parametrize(
    ("metric", "rate", "rates", "rows", "value"),
    [
        (
            FairnessMetric.DEMOGRAPHIC_PARITY,
            "selection rate",
            {"a": 4 / 8, "b": 4 / 6},
            {"a": 8, "b": 6},
            4 / 6 - 4 / 8,
        ),
        (
            FairnessMetric.EQUAL_OPPORTUNITY,
            "true positive rate",
            {"a": 3 / 4, "b": 1 / 2},
            {"a": 4, "b": 2},
            1 / 4,
        ),
        (
            FairnessMetric.EQUALIZED_ODDS,
            "false positive rate",
            {"a": 1 / 4, "b": 3 / 4},
            {"a": 4, "b": 4},
            1 / 2,
        ),
    ],
)
def test_a_gap_is_the_widest_between_two_groups(
    metric: FairnessMetric,
    rate: str,
    rates: dict[str, float],
    rows: dict[str, int],
    value: float,
) -> None:
    found = gap(metric, SMALL)
    assert (found.metric, found.column, found.rate) == (metric, "group", rate)
    assert found.rates == pytest.approx(rates)
    assert found.rows == rows
    assert found.evidence is not None
    assert found.evidence.difference == found.evidence.head == pytest.approx(value)
    assert found.evidence.base is None
    assert 0 <= found.evidence.low <= value <= found.evidence.high <= 1


def test_the_base_s_gap_is_a_plain_number() -> None:
    even = make([1] * 14, [1] * 14, list(SMALL.frame["group"]))
    assert gap(FairnessMetric.DEMOGRAPHIC_PARITY, SMALL).base_gap is None
    found = gap(FairnessMetric.DEMOGRAPHIC_PARITY, even, SMALL)
    assert found.base_gap == pytest.approx(4 / 6 - 4 / 8)
    assert found.evidence is not None
    assert found.evidence.difference == 0


def test_small_groups_are_left_out() -> None:
    found = gap(FairnessMetric.DEMOGRAPHIC_PARITY, SMALL, SMALL, min_rows=7)
    assert found.rates == {"a": 0.5}
    assert found.rows == {"a": 8, "b": 6}
    assert found.evidence is None
    assert found.base_gap is None
    odds = gap(FairnessMetric.EQUALIZED_ODDS, SMALL, min_rows=3)
    assert odds.rate == "false positive rate"
    assert odds.evidence is not None


def test_rows_without_a_group_are_one() -> None:
    found = gap(
        FairnessMetric.DEMOGRAPHIC_PARITY, make([1, 0, 1, 0], [1, 1, 1, 0], [1.0, None, 1.0, None])
    )
    assert found.rates == {"(missing)": 0.5, "1": 1.0}


def test_what_has_no_groups_is_refused() -> None:
    many = make([0, 1] * 30, [0, 1] * 30, list(range(60)))
    with pytest.raises(ValueError, match="60 values: groups are at most 50"):
        gap(FairnessMetric.DEMOGRAPHIC_PARITY, many)
    regression = Evaluation(predictions="p.csv", task=Task.REGRESSION)
    frame = pd.DataFrame({"id": [1, 2], "y_true": [1.0, 2.0], "score": [1.0, 2.0], "group": 1})
    with pytest.raises(ValueError, match="binary classification only"):
        gap(FairnessMetric.DEMOGRAPHIC_PARITY, read_sample(frame, regression))


def test_the_same_seed_gives_the_same_answer() -> None:
    one, two = (gap(FairnessMetric.EQUALIZED_ODDS, SMALL, allowed=0.1) for _ in range(2))
    assert one == two


def draw(rng: np.random.Generator, rates: list[float], rows: int) -> Sample:
    """Groups of one size, all rows positives, each chosen with its group's rate."""
    chosen = np.concatenate([rng.random(rows) < rate for rate in rates])
    groups = list(np.repeat(np.arange(len(rates)), rows))
    return make([1] * len(chosen), chosen.astype(int).tolist(), groups)


def alarms(rates: list[float], allowed: float, *, rows: int, times: int = 300) -> float:
    """Share of samples where the gap is proven to be wider than allowed."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(times):
        evidence = gap(
            FairnessMetric.EQUAL_OPPORTUNITY,
            draw(rng, rates, rows),
            min_rows=30,
            resamples=1000,
            allowed=allowed,
        ).evidence
        assert evidence is not None
        assert evidence.p_value is not None
        found += evidence.p_value < 0.05
        if abs(evidence.p_value - 0.05) > 0.01:
            assert (evidence.low > allowed) == (evidence.p_value < 0.05)
    return found / times


@pytest.mark.parametrize("groups", [2, 6])
@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_equal_groups_are_seldom_called_unequal(groups: int, rate: float) -> None:
    # The plain gap exceeds its own 95 % bound far more often: it is the widest of 15.
    assert alarms([rate] * groups, 0.0, rows=100) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_a_gap_just_as_wide_as_allowed_is_seldom_called_wider() -> None:
    assert alarms([0.3, 0.3, 0.4, 0.4], 0.1, rows=150) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_a_wide_gap_is_found() -> None:
    assert alarms([0.3, 0.3, 0.3, 0.6], 0.1, rows=200, times=100) > 0.9


def test_the_upper_bound_holds_the_true_gap() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        evidence = gap(FairnessMetric.EQUAL_OPPORTUNITY, draw(rng, [0.3, 0.35, 0.45], 200)).evidence
        assert evidence is not None
        held += evidence.high >= 0.15
    assert held / 300 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 300)
