"""Histograms of numbers: exact between their edges, and the same however the rows are divided."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.analysis.histogram import Floats, Histogram, count_between

RANDOM = np.random.default_rng(7)
SHAPES = {
    "normal": RANDOM.normal(size=40_000),
    "heavy": RANDOM.standard_cauchy(40_000),
    "money": RANDOM.lognormal(8, 2, 40_000).round(2),
    "zeros": np.where(RANDOM.random(40_000) < 0.6, 0, RANDOM.normal(size=40_000)),
    "a day": 1.7e9 + RANDOM.random(40_000) * 86_400,
    "a nanosecond": 1.0 + RANDOM.random(40_000) * 1e-9,
    "counts": RANDOM.poisson(3, 40_000).astype(float),
    "constant": np.full(40_000, 3.5),
}
numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)


def histogram(values: Floats, limit: int = 8192) -> Histogram:
    return Histogram(limit=limit).add(values)


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_bins_are_exact_and_about_equal(values: Floats) -> None:
    profile = histogram(values).profile(50)

    edges = np.array(profile.edges)
    expected = [np.count_nonzero((values >= a) & (values < b)) for a, b in pairwise(edges)]
    expected[-1] = np.count_nonzero((values >= edges[-2]) & (values <= edges[-1]))
    assert list(profile.counts) == expected
    assert sum(profile.counts) == len(values)
    assert (profile.min, profile.max) == (edges[0], edges[-1]) == (values.min(), values.max())
    # A value that is more frequent than that cannot be divided; its neighbours get what is left.
    most = np.unique(values, return_counts=True)[1].max()
    assert max(profile.counts) <= max(1.1 * len(values) / 50, most + 1.1 * len(values) / 50)


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_no_order_and_no_division_of_the_rows_matters(values: Floats) -> None:
    whole = histogram(values, limit=1000)
    for seed, parts in ((1, 2), (2, 7), (3, 300)):
        shuffled = np.random.default_rng(seed).permutation(values)
        merged = Histogram(limit=1000)
        for part in np.array_split(shuffled, parts):
            merged.merge(histogram(part, limit=1000))
        assert merged.shift == whole.shift
        assert np.array_equal(merged.cells, whole.cells)
        assert np.array_equal(merged.counts, whole.counts)
        ours, theirs = merged.profile(50), whole.profile(50)
        assert (ours.edges, ours.counts) == (theirs.edges, theirs.counts)


def test_parts_that_are_added_in_another_order_give_the_same_bits() -> None:
    parts = [histogram(part) for part in np.array_split(SHAPES["heavy"], 9)]
    forth, back = Histogram(), Histogram()
    for one, other in zip(parts, reversed(parts), strict=True):
        forth.merge(one)
        back.merge(other)
    assert forth.profile(50) == back.profile(50)


@given(numbers, numbers, st.integers(1, 20))
def test_any_numbers_are_counted_where_they_are(
    one: list[float], two: list[float], bins: int
) -> None:
    values = np.array(one)
    profile = histogram(values, limit=8).profile(bins)
    edges = np.array(profile.edges)
    assert (np.diff(edges[:-1]) > 0).all()
    assert len(profile.counts) <= bins
    assert count_between(edges, values).tolist() == [0, *profile.counts, 0]
    found = count_between(edges, np.array(two))
    assert found[0] == np.count_nonzero(np.array(two) < values.min())
    assert found[-1] == np.count_nonzero(np.array(two) > values.max())
    assert found.sum() == len(two)


def test_few_values_have_a_bin_each() -> None:
    profile = histogram(np.repeat([0.0, 1.0, 5.0], [3, 4, 5])).profile(50)
    assert profile.counts == (3, 4, 5)
    assert profile.edges == (0.0, 0.5, 3.0, 5.0)


def test_moments_are_those_of_numpy_also_far_from_zero() -> None:
    for values in SHAPES.values():
        merged = Histogram()
        for part in np.array_split(values, 11):
            merged.merge(histogram(part))
        profile = merged.profile(50)
        assert profile.mean == pytest.approx(values.mean(), rel=1e-12)
        assert profile.std == pytest.approx(values.std(), rel=1e-7)


def test_numbers_at_the_end_of_the_scale_are_numbers() -> None:
    largest = np.finfo(np.float64).max
    profile = histogram(np.array([-largest, 5e-324, -0.0, 0.0, largest])).profile(50)
    assert profile.counts == (1, 2, 1, 1)
    assert (profile.min, profile.max) == (-largest, largest)
    assert profile.mean == 0
    assert profile.std is None  # it is beyond what a float can square


def test_nothing_has_no_bins() -> None:
    profile = Histogram().profile(50)
    assert (profile.edges, profile.counts, profile.min, profile.mean) == ((), (), None, None)
    assert count_between(np.empty(0), np.array([1.0, 2.0])).tolist() == [0, 2]
