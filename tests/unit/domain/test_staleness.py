"""A version's age, and answers that are not the tagged model's."""

import math
from dataclasses import replace

import pytest

from modelci.domain.gates import Outcome, Subject
from modelci.domain.monitoring import Skew, Watched
from modelci.domain.staleness import compare_logged, judge_age, judge_skew

WATCHED = Watched(
    artifact="credit", stage="prod", version="v1.2.0", tag="credit#prod#7", commit="c" * 40
)


@pytest.mark.parametrize(
    ("age", "outcome"),
    [(90.0, Outcome.PASSED), (90.1, Outcome.FAILED), (None, Outcome.INCONCLUSIVE)],
)
def test_a_version_may_be_so_old_and_no_older(age: float | None, outcome: Outcome) -> None:
    result = judge_age(replace(WATCHED, age_days=age), 90)
    assert (result.outcome, result.subject) == (outcome, Subject.AGE)


def test_numbers_may_be_off_by_the_tolerance() -> None:
    skew = compare_logged([0.5, 0.5, 0.5, 1], [0.5, 0.501, 0.6, 1.0], tolerance=0.01)
    assert (skew.rows, skew.differing) == (4, 1)
    assert math.isclose(skew.worst, 0.1)


@pytest.mark.parametrize(
    ("logged", "answered", "differing"),
    [
        ("yes", "yes", 0),
        ("yes", "no", 1),
        (math.nan, math.nan, 0),
        (math.nan, 0.5, 1),
        (0.5, None, 1),
        ("0.5", 0.5, 1),
        (math.inf, math.inf, 0),
    ],
)
def test_what_is_no_number_is_equal_or_not(
    logged: object, answered: object, differing: int
) -> None:
    assert compare_logged([logged], [answered], tolerance=0.1) == Skew(
        rows=1, differing=differing, worst=0.0
    )


@pytest.mark.parametrize(
    ("differing", "most", "outcome", "reason"),
    [
        (0, 0.0, Outcome.PASSED, "all 200 logged answers are the model's own"),
        (2, 0.01, Outcome.PASSED, "2 of 200 logged answers differ, by up to 0.3"),
        (1, 0.0, Outcome.FAILED, "1 of 200 logged answers differ, by up to 0.3"),
    ],
)
def test_a_share_of_answers_may_be_off(
    differing: int, most: float, outcome: Outcome, reason: str
) -> None:
    result = judge_skew(Skew(rows=200, differing=differing, worst=0.3), most)
    assert (result.outcome, result.reason, result.subject) == (outcome, reason, Subject.SKEW)


def test_a_difference_without_a_measure_has_none() -> None:
    result = judge_skew(compare_logged(["a"], ["b"], tolerance=0), 0.0)
    assert result.reason == "1 of 1 logged answers differ"


def test_no_row_decides_nothing() -> None:
    assert judge_skew(Skew(rows=0, differing=0, worst=0.0), 0.0).outcome is Outcome.INCONCLUSIVE
