"""Slices of a test set, and the change on each of them."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.analysis.holm import adjust
from modelci.analysis.paired import Comparer
from modelci.analysis.predictions import Pair, pair_predictions
from modelci.analysis.slices import Slice, find_slices, judge_slices, worst
from modelci.domain.evaluation import Evaluation, SliceBy
from modelci.domain.gates import Outcome, Threshold
from modelci.domain.slices import SliceResult

FRAME = pd.DataFrame(
    {
        "region": ["north", "south", "north", None, "east"],
        "age": [18, 25, 40, 64, 80],
        "level": [1.0, 2.0, np.nan, 10.0, 1.0],
        "flag": [True, False, True, True, False],
    }
)


def rows(slices: tuple[Slice, ...]) -> dict[str, list[int]]:
    return {one.name: np.flatnonzero(one.mask).tolist() for one in slices}


def test_values_of_a_column_make_slices_and_so_do_missing_ones() -> None:
    found = find_slices(FRAME, ["region", "level", "flag"])
    assert [(one.by, one.name, np.flatnonzero(one.mask).tolist()) for one in found] == [
        ("region", "east", [4]),
        ("region", "north", [0, 2]),
        ("region", "south", [1]),
        ("region", "(missing)", [3]),
        ("level", "1", [0, 4]),
        ("level", "2", [1]),
        ("level", "10", [3]),
        ("level", "(missing)", [2]),
        ("flag", "False", [1, 4]),
        ("flag", "True", [0, 2, 3]),
    ]


def test_edges_make_bins_and_no_row_is_lost() -> None:
    assert rows(find_slices(FRAME, [SliceBy(column="age", bins=(25.0, 64.5))])) == {
        "below 25": [0],
        "25 to below 64.5": [1, 2, 3],
        "64.5 and more": [4],
    }
    assert rows(find_slices(FRAME, [SliceBy(column="age", bins=(0.0, 100.0))])) == {
        "0 to below 100": [0, 1, 2, 3, 4]
    }
    level = rows(find_slices(FRAME, [SliceBy(column="level", bins=(5.0,))]))
    assert level == {"below 5": [0, 1, 4], "5 and more": [3], "(missing)": [2]}


def test_a_number_of_bins_makes_quantiles_of_equal_size() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(0).permutation(1000) / 7})
    found = find_slices(frame, [SliceBy(column="x", bins=4)])
    assert [int(one.mask.sum()) for one in found] == pytest.approx([250] * 4, abs=1)
    alike = pd.DataFrame({"x": [0.0] * 90 + [1.0] * 10})
    found = find_slices(alike, [SliceBy(column="x", bins=10)])
    sizes = {one.name: int(one.mask.sum()) for one in found}
    assert sizes == {"0 to below 1": 90, "1 and more": 10}


def test_close_edges_are_told_apart() -> None:
    frame = pd.DataFrame({"x": [1.0, 1.00001, 1.00002, 2.0]})
    found = find_slices(frame, [SliceBy(column="x", bins=(1.00001, 1.00002, 1.5))])
    assert [one.name for one in found] == [
        "below 1.00001",
        "1.00001 to below 1.00002",
        "1.00002 to below 1.5",
        "1.5 and more",
    ]


def test_a_query_makes_one_slice() -> None:
    by = [SliceBy(query="age > 30 and flag"), SliceBy(query="age < 30", name="young")]
    found = find_slices(FRAME, by)
    assert [(one.by, one.name) for one in found] == [
        ("age > 30 and flag", "age > 30 and flag"),
        ("age < 30", "young"),
    ]
    assert list(rows(found).values()) == [[2, 3], [0, 1]]


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=30),
    st.one_of(
        st.integers(2, 20),
        st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5, unique=True).map(
            lambda edges: tuple(sorted(edges))
        ),
    ),
)
def test_every_row_is_in_just_one_bin(
    values: list[float | None], bins: int | tuple[float, ...]
) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=float)})
    found = find_slices(frame, [SliceBy(column="x", bins=bins)])
    assert np.sum([one.mask for one in found], axis=0).tolist() == [1] * len(values)
    assert len({one.name for one in found}) == len(found)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("regoin", "no column 'regoin': did you mean 'region'"),
        (SliceBy(column="region", bins=3), "holds no numbers"),
        (SliceBy(column="flag", bins=3), "holds no numbers"),
        (SliceBy(column="age", bins=1), "2 to 50, not 1"),
        (SliceBy(column="age", bins=(3.0, 3.0)), "each greater than the one before"),
        (SliceBy(column="age", bins=()), "each greater"),
        (SliceBy(column="age", bins=(float("nan"),)), "finite numbers"),
        (SliceBy(column="age", query="age > 1"), "give one of them"),
        (SliceBy(), "give one of them"),
        (SliceBy(query="age > 1", bins=3), "not of a query"),
        (SliceBy(query="age.max() > 1"), "a call is not allowed"),
    ],
)
def test_what_makes_no_slices_is_refused(by: str | SliceBy, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_slices(FRAME, [by])


def test_too_many_values_ask_for_bins() -> None:
    with pytest.raises(ValueError, match=r"51 values, at most 50 .*: give bins"):
        find_slices(pd.DataFrame({"x": range(51)}), ["x"])
    assert len(find_slices(pd.DataFrame({"x": range(50)}), ["x"])) == 50
    with pytest.raises(ValueError, match="lists or the like"):
        find_slices(pd.DataFrame({"x": [[1], [2]]}), ["x"])


ALLOWED = Threshold(value=0.02)


def make_pair(*, hurt: float = 0.0, seed: int = 0, per_slice: int = 1500) -> Pair:
    """Four slices of one size; of the first, a share ``hurt`` of answers is turned round."""
    rng = np.random.default_rng(seed)
    n = 4 * per_slice
    target = rng.random(n) < 0.4
    place = np.repeat(np.arange(4), per_slice)
    right = {side: rng.random(n) < 0.85 for side in ("base", "head")}
    right["head"] = np.where(rng.random(n) < 0.1, right["head"], right["base"])
    right["head"] &= ~((place == 0) & (rng.random(n) < hurt))
    frames = {
        side: pd.DataFrame(
            {
                "id": np.arange(n),
                "y_true": target.astype(int),
                "score": np.where(right[side] == target, 0.9, 0.1) + rng.normal(0, 0.02, n),
                "part": np.array(["a", "b", "c", "d"])[place],
            }
        )
        for side in ("base", "head")
    }
    found = pair_predictions(frames["base"], frames["head"], Evaluation(predictions="p.csv"))
    assert isinstance(found, Pair)
    return found


def judge(
    pair: Pair,
    *,
    measures: tuple[str, ...] = ("accuracy", "roc_auc"),
    allowed: Threshold = ALLOWED,
    min_rows: int = 100,
) -> tuple[SliceResult, ...]:
    return judge_slices(
        Comparer(pair),
        find_slices(pair.head.frame, ["part"]),
        measures,
        allowed=allowed,
        min_rows=min_rows,
        alpha=0.05,
    )


def test_a_slice_that_got_worse_fails_and_is_the_worst() -> None:
    results = judge(make_pair(hurt=0.2))
    assert [(one.slice, one.measure) for one in results] == [
        (part, measure) for part in "abcd" for measure in ("accuracy", "roc_auc")
    ]
    failed = {one.slice for one in results if one.outcome is Outcome.FAILED}
    assert failed == {"a"}
    found = worst(results)
    assert found is not None
    assert found.slice == "a"
    assert found.evidence is not None
    assert found.base == found.evidence.base
    assert found.evidence.difference < -0.02
    assert "worse, allowed 0.02, p = " in found.reason


def test_p_values_are_holm_s_over_slices_and_measures() -> None:
    pair = make_pair(hurt=0.05)
    comparer = Comparer(pair)
    slices = find_slices(pair.head.frame, ["part"])
    raw = []
    for part in slices:
        for measure in ("accuracy", "roc_auc"):
            one = comparer.compare(measure, rows=part.mask)
            assert one is not None
            raw.append(one.p_value(0.02))
    found = [one.evidence.p_value for one in judge(pair) if one.evidence]
    assert found == pytest.approx(adjust(np.array(raw)).tolist())


def test_worse_but_not_proven_is_inconclusive() -> None:
    results = judge(make_pair(hurt=0.2, per_slice=30), min_rows=10, allowed=Threshold(value=0.1))
    (found,) = [one for one in results if one.slice == "a" and one.measure == "accuracy"]
    assert found.evidence is not None
    assert found.evidence.difference < -0.1
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "not proven" in found.reason


def test_losses_are_worse_when_they_grow() -> None:
    results = judge(make_pair(hurt=0.3), measures=("brier",))
    assert {one.slice for one in results if one.outcome is Outcome.FAILED} == {"a"}
    found = worst(results)
    assert found is not None
    assert found.slice == "a"


def test_a_share_is_of_the_slice_s_own_base() -> None:
    pair = make_pair(hurt=0.2)
    (one,) = [
        one
        for one in judge(pair, measures=("accuracy",), allowed=Threshold(value=0.1, relative=True))
        if one.slice == "a"
    ]
    assert one.base is not None
    assert f"allowed {one.base * 0.1:.4g}" in one.reason


def test_small_slices_and_single_classes_are_not_judged() -> None:
    pair = make_pair(per_slice=300)
    masks = {
        "small": np.arange(1200) < 31,
        "one class": pair.head.target == 1,
        "none": np.zeros(1200, dtype=bool),
    }
    results = judge_slices(
        Comparer(pair),
        [Slice(name=name, by="x", mask=mask) for name, mask in masks.items()],
        ["roc_auc"],
        allowed=Threshold(value=0.0),
        min_rows=100,
        alpha=0.05,
    )
    assert {one.outcome for one in results} == {Outcome.INCOMPARABLE}
    assert [one.evidence for one in results] == [None] * 3
    assert results[0].reason == "31 rows, fewer than 100"
    assert "one class only" in results[1].reason
    assert worst(results) is None


def test_a_model_against_itself_passes() -> None:
    pair = make_pair()
    same = Pair(base=pair.head, head=pair.head, evaluation=pair.evaluation)
    assert {one.outcome for one in judge(same, allowed=Threshold(value=0.0))} == {Outcome.PASSED}


def test_among_what_passed_the_worst_lost_most() -> None:
    results = judge(make_pair(), allowed=Threshold(value=0.2), measures=("accuracy",))
    found = worst(results)
    assert found is not None
    assert found.evidence is not None
    changes = [one.evidence.difference for one in results if one.evidence]
    assert found.evidence.difference == min(changes)


def test_holm_as_published() -> None:
    # Wright, "Adjusted P-values for simultaneous inference", Biometrics 48 (1992) 1005-1013,
    # as R's p.adjust has it: c(0.01, 0.02, 0.03, 0.04, 0.05).
    found = adjust(np.array([0.01, 0.02, 0.03, 0.04, 0.05]))
    assert found == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    places = range(len(p_values))
    closed = []
    for place in places:
        worst_p = 0.0
        for size in range(1, len(p_values) + 1):
            for group in combinations(places, size):
                if place in group:
                    least = min(p_values[one] for one in group) * size
                    worst_p = max(worst_p, min(least, 1.0))
        closed.append(worst_p)
    assert adjust(np.array(p_values)) == pytest.approx(closed)


def test_nothing_to_adjust_is_nothing() -> None:
    assert adjust(np.array([])).tolist() == []
