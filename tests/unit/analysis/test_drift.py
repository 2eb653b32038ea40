"""Effects and evidence of drift: those of scipy, of the books, and of the rows themselves."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon

from modelci.analysis.drift import (
    DECISION,
    compare,
    compare_column,
    cramers_v,
    jensen_shannon,
    p_value,
    psi,
    psi_by_chance,
)
from modelci.analysis.profile import build, count
from modelci.domain.monitoring import ColumnDrift, Correction
from modelci.domain.profile import ColumnKind, ColumnProfile, Profile

Floats = NDArray[np.float64]

# Agresti, Categorical Data Analysis (2007), p. 39, as in R's help page of chisq.test: sex by party.
WOMEN, MEN = np.array([762.0, 327.0, 468.0]), np.array([484.0, 239.0, 477.0])

counts = st.lists(st.integers(0, 500), min_size=2, max_size=12)
full_counts = st.lists(st.integers(20, 500), min_size=2, max_size=12)


def pairs(
    lists: st.SearchStrategy[list[int]],
) -> st.SearchStrategy[tuple[Floats, Floats]]:
    def pair(before: list[int]) -> st.SearchStrategy[tuple[Floats, Floats]]:
        now = st.permutations(before).map(lambda one: np.array(one, dtype=np.float64))
        return st.tuples(st.just(np.array(before, dtype=np.float64)), now)

    return lists.filter(any).flatmap(pair)


def table(**columns: object) -> pa.RecordBatch:
    return pa.record_batch(columns)


def profiles(
    before: pa.RecordBatch,
    now: pa.RecordBatch,
    *,
    key: str | None = None,
    score: str | None = None,
) -> tuple[Profile, Profile]:
    reference = build([before], id=key, score=score, threshold=0.5)
    return reference, count([now], reference)


def drift_of(before: object, now: object) -> ColumnDrift:
    return compare(*profiles(table(x=before), table(x=now))).columns[0]


def normal(rows: int, *, seed: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, rows)


def test_the_test_is_pearsons_as_in_the_book() -> None:
    assert p_value(WOMEN, MEN) == pytest.approx(2.953589e-07, rel=1e-6)


@given(pairs(full_counts))
def test_the_test_is_scipys_where_cells_are_full(both: tuple[Floats, Floats]) -> None:
    expected = stats.chi2_contingency(np.array(both), correction=False).pvalue
    assert p_value(*both) == pytest.approx(expected, rel=1e-9)


@given(pairs(full_counts))
def test_distances_are_scipys(both: tuple[Floats, Floats]) -> None:
    assert jensen_shannon(*both) == pytest.approx(jensenshannon(*both, base=2), abs=1e-7)
    association = stats.contingency.association(np.array(both, dtype=np.int64))
    assert cramers_v(*both) == pytest.approx(association, abs=1e-9)


@given(pairs(counts), st.integers(2, 50))
def test_effects_know_shares_and_not_how_many_rows_there_are(
    both: tuple[Floats, Floats], times: int
) -> None:
    before, now = both
    for effect in (jensen_shannon, cramers_v):
        assert effect(before, now * times) == pytest.approx(effect(before, now), abs=1e-7)
        assert 0 <= effect(before, now) <= 1 + 1e-12
        assert effect(before, now) == pytest.approx(effect(now, before), abs=1e-9)


@given(pairs(counts))
def test_psi_is_symmetric_finite_and_zero_for_the_same(both: tuple[Floats, Floats]) -> None:
    before, now = both
    assert psi(before, now) == pytest.approx(psi(now, before), abs=1e-12)
    assert 0 <= psi(before, now) < 100
    assert psi(before, before * 3) == pytest.approx(0, abs=0.5)
    assert 0 <= p_value(before, now) <= 1


def test_psi_is_the_formula_of_the_books() -> None:
    # By hand: .1·ln(.6/.5) + -.1·ln(.2/.3) + 0.
    found = psi(np.array([500.0, 300.0, 200.0]), np.array([60.0, 20.0, 20.0]))
    assert found == pytest.approx(0.1 * np.log(1.2) + 0.1 * np.log(1.5), rel=1e-12)


def test_psi_of_shifted_normals_is_jeffreys_divergence() -> None:
    # J(N(0, 1), N(d, 1)) = d²; fine bins lose next to nothing of it.
    edges = np.linspace(-7, 7, 1401)
    shares = [np.diff(stats.norm(shift).cdf(edges)) for shift in (0, 0.5)]
    assert psi(shares[0] * 1e9, shares[1] * 1e9) == pytest.approx(0.25, rel=1e-3)


def test_psi_by_chance_is_its_mean_where_nothing_has_changed() -> None:
    rng = np.random.default_rng(1)
    drawn = [
        rng.multinomial(size, np.full(10, 0.1), 2000).astype(np.float64) for size in (5000, 400)
    ]
    found = np.mean([psi(*both) for both in zip(*drawn, strict=True)])
    assert found == pytest.approx(psi_by_chance(drawn[0][0], drawn[1][0]), rel=0.05)


@pytest.mark.parametrize("rows", [(20_000, 300), (300, 300), (500, 20_000)])
@pytest.mark.parametrize("kinds", [2, 10, 60])
def test_p_values_err_no_more_often_than_they_say(rows: tuple[int, int], kinds: int) -> None:
    rng = np.random.default_rng(kinds)
    weights = 1 / np.arange(1, kinds + 1) ** 1.5
    drawn = [
        rng.multinomial(size, weights / weights.sum(), 2000).astype(np.float64) for size in rows
    ]
    found = np.array([p_value(*both) for both in zip(*drawn, strict=True)])
    for alpha in (0.01, 0.05, 0.2):
        assert np.mean(found < alpha) <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / len(found))


def test_bins_of_equal_reference_counts_are_not_chosen_by_the_window() -> None:
    # As of a column that is mostly missing: what is expected in each bin is just about the least.
    before = np.append(np.full(10, 200.0), 18_000.0)
    rng = np.random.default_rng(4)
    for rows in (600, 800, 1000):
        drawn = rng.multinomial(rows, before / before.sum(), 2000).astype(np.float64)
        found = np.array([p_value(before, one) for one in drawn])
        assert np.mean(found < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)


def test_a_handful_of_rows_is_no_evidence_and_many_of_a_new_kind_are() -> None:
    before = np.array([200_000.0, 100_000.0, 0.0])
    assert p_value(before, np.array([200.0, 100.0, 1.0])) > 0.001
    assert p_value(before, np.array([200.0, 100.0, 15.0])) < 1e-12


def test_rows_that_are_all_elsewhere_are_evidence() -> None:
    assert p_value(np.array([250.0, 250, 0]), np.array([0.0, 0, 500])) < 1e-100


@given(pairs(counts))
def test_one_cell_is_no_evidence(both: tuple[Floats, Floats]) -> None:
    total = np.array([both[0].sum()]), np.array([both[1].sum()])
    assert p_value(*total) == 1


@settings(max_examples=40)
@given(st.floats(-2, 2), st.floats(0.3, 3), st.integers(0, 10_000))
def test_ks_comes_near_scipys_from_below(shift: float, scale: float, seed: int) -> None:
    before, now = normal(3000, seed=seed), normal(1000, seed=seed + 1) * scale + shift
    exact = stats.ks_2samp(before, now).statistic
    found = drift_of(before, now).ks
    assert found is not None
    assert exact - 0.03 <= found <= exact + 1e-12


@settings(max_examples=40)
@given(st.floats(-2, 2), st.floats(0.3, 3), st.integers(0, 10_000))
def test_wasserstein_comes_near_scipys(shift: float, scale: float, seed: int) -> None:
    before, now = normal(3000, seed=seed), normal(1000, seed=seed + 1) * scale + shift
    exact = stats.wasserstein_distance(before, now) / before.std()
    found = drift_of(before, now).wasserstein
    assert found == pytest.approx(exact, rel=0.25, abs=0.03)


def test_a_pure_shift_is_as_far_as_it_is() -> None:
    before = normal(5000, seed=3)
    found = drift_of(before, before + 0.5 * before.std())
    assert found.wasserstein == pytest.approx(0.5, abs=0.01)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 2.0]))
def test_numbers_are_compared_in_ten_bins_of_equal_counts(seed: int, shift: float) -> None:
    before, now = normal(5000, seed=seed), normal(700, seed=seed + 1, shift=shift)
    edges = np.quantile(before, np.linspace(0, 1, 11))
    edges[[0, -1]] = -np.inf, np.inf
    binned = [np.histogram(side, edges)[0].astype(np.float64) for side in (before, now)]
    found = drift_of(before, now)
    assert found.psi == pytest.approx(psi(*binned), rel=0.15, abs=0.01)


def test_missing_values_are_a_bin_of_their_own() -> None:
    before = pa.array(normal(2000, seed=1), mask=np.arange(2000) % 10 == 0)
    now = pa.array(normal(2000, seed=2), mask=np.arange(2000) % 10 < 4)
    found = drift_of(before, now)
    assert (found.missing_before, found.missing_now) == (0.1, 0.4)
    assert found.psi is not None
    assert found.psi > 0.4
    assert found.p_value is not None
    assert found.p_value < 1e-9
    assert found.ks is not None
    assert found.ks < 0.08


def test_infinite_numbers_are_a_bin_of_their_own() -> None:
    now = np.where(np.arange(2000) % 5 == 0, np.inf, normal(2000, seed=2))
    found = drift_of(normal(2000, seed=1), now)
    assert found.psi is not None
    assert found.psi > 0.5
    assert found.ks is not None
    assert found.ks < 0.08


def test_what_lies_beyond_few_values_is_not_taken_for_the_nearest() -> None:
    flags = np.random.default_rng(0).integers(0, 2, 2000).astype(np.float64)
    found = drift_of(flags, np.where(flags == 1, 9.0, flags))
    assert found.psi is not None
    assert found.psi > 3


def test_categories_are_compared_by_value_and_the_rest_together() -> None:
    before = ["a"] * 600 + ["b"] * 300 + ["c"] * 100
    found = drift_of(before, ["a"] * 600 + ["b"] * 200 + ["new"] * 200)
    assert found.psi == pytest.approx(
        psi(np.array([600.0, 300, 100, 0]), np.array([600.0, 200, 0, 200]))
    )
    assert (found.new, found.lost) == ({"new": 0.2}, {"c": 0.1})
    assert found.ks is None
    assert found.wasserstein is None


def test_a_rare_value_that_is_absent_by_chance_is_not_lost() -> None:
    found = drift_of(["a"] * 995 + ["rare"] * 5, ["a"] * 300)
    assert found.lost == {}


def test_a_value_that_may_have_been_among_the_others_is_not_new() -> None:
    before = ["common"] * 5000 + [f"v{place}" for place in range(4000)]
    found = drift_of(before, ["common"] * 550 + [f"v{place}" for place in range(450)])
    assert found.new == {}
    found = drift_of(before, ["common"] * 400 + ["other"] * 600)
    assert found.new == {"other": 0.6}


def test_p_values_are_adjusted_over_all_columns_scores_and_decisions() -> None:
    rng = np.random.default_rng(5)
    columns = {f"c{place}": rng.normal(size=3000) for place in range(8)}
    now = {name: rng.normal(0.05, 1, size=800) for name in columns}
    both = profiles(
        table(**columns, score=rng.beta(2, 5, 3000)),
        table(**now, score=rng.beta(2.4, 5, 800)),
        score="score",
    )
    raw, adjusted = (
        list(compare(*both, correction=one)) for one in (Correction.NONE, Correction.HOLM)
    )
    assert [one.name for one in raw][-2:] == ["score", DECISION]
    values = sorted(
        (one.p_value or 0.0, other.p_value or 0.0) for one, other in zip(raw, adjusted, strict=True)
    )
    highest = 0.0
    for place, (own, shared) in enumerate(values):
        highest = min(1.0, max(highest, own * (10 - place)))
        assert shared == pytest.approx(highest)


def test_decisions_drift_where_more_scores_reach_the_threshold() -> None:
    rng = np.random.default_rng(5)
    both = profiles(
        table(score=rng.beta(2, 5, 3000)),
        table(score=rng.beta(4, 4, 800)),
        score="score",
    )
    found = compare(*both).decision
    assert found is not None
    assert found.p_value is not None
    assert found.psi is not None
    assert found.p_value < 1e-9
    assert found.psi > 0.25
    chosen = [round((one.chosen or 0) * one.rows) for one in both]
    expected = stats.chi2_contingency(
        [[chosen[0], 3000 - chosen[0]], [chosen[1], 800 - chosen[1]]], correction=False
    )
    alone = compare(*both, correction=Correction.NONE).decision
    assert alone is not None
    assert alone.p_value == pytest.approx(expected.pvalue, rel=1e-6)


def test_ignored_columns_neither_appear_nor_count() -> None:
    both = profiles(
        table(a=[1.0, 2.0] * 200, b=[1.0, 2.0] * 200), table(a=[1.0, 2.0], b=[1.0, 2.0])
    )
    assert [one.name for one in compare(*both, ignore={"b"}).columns] == ["a"]


ODD: Mapping[str, tuple[object, object, str | None]] = {
    "no value at all": ([None] * 50, [None] * 50, None),
    "all NaN": ([np.nan] * 50, [np.nan] * 50, None),
    "NaN and then numbers": ([np.nan] * 50, [1.0] * 50, "no value to compare"),
    "numbers and then NaN": ([1.0, 2.0] * 25, [np.nan] * 50, None),
    "constant": ([1.0] * 50, [1.0] * 50, None),
    "constant and then another": ([1.0] * 50, [2.0] * 50, None),
    "one row": ([1.0], [2.0], None),
    "no rows now": ([1.0], pa.array([], pa.float64()), "no rows in the window"),
    "no rows before": (pa.array([], pa.float64()), [1.0], "no rows in the reference"),
    "numbers and then text": ([1.0, 2.0] * 25, ["x"] * 50, "was double, is string"),
    "infinite": ([np.inf] * 50, [-np.inf] * 50, None),
    "huge": ([1e308, -1e308] * 25, [5e-324, 0.0] * 25, None),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_columns_have_an_outcome(case: str) -> None:
    before, now, note = ODD[case]
    found = drift_of(before, now)
    numbers = (found.psi, found.ks, found.wasserstein, found.jensen_shannon, found.p_value)
    assert all(one is None or np.isfinite(one) for one in numbers)
    assert (note is None) == (found.note is None)
    if note is not None:
        assert note in (found.note or "")
        assert found.p_value is None


def test_a_column_that_the_window_lacks_says_so() -> None:
    both = profiles(table(a=[1.0, 2.0] * 20), table(b=[1.0, 2.0] * 20))
    found = compare(*both).columns
    assert [(one.name, one.note) for one in found] == [("a", "the window has no such column")]


def test_identifiers_are_not_compared() -> None:
    both = profiles(table(id=list(range(500))), table(id=list(range(500, 1000))), key="id")
    assert compare(*both).columns[0].note == "an identifier: its values are not compared"


def test_a_window_counted_between_other_edges_is_refused() -> None:
    one, other = (build([table(x=normal(100, seed=seed))]).columns[0] for seed in (1, 2))
    with pytest.raises(ValueError, match="'x' was counted between other edges"):
        compare_column(one, other)


def test_columns_are_compared_with_what_holds_no_category() -> None:
    empty = ColumnProfile(name="x", kind=ColumnKind.EMPTY, dtype="null", rows=5, missing=5)
    assert compare_column(empty, replace(empty, rows=9, missing=9)).psi == 0
