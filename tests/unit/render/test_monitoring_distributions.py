"""Two distributions on one grid: nothing is lost, nothing is made up, and both can be seen."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden import windows

from modelci.domain.monitoring import ColumnDrift
from modelci.domain.profile import CategoryProfile, ColumnKind, ColumnProfile, NumberProfile
from modelci.render.monitoring.distributions import (
    Distribution,
    distribution,
    shape,
    text_shapes,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def number(
    edges: tuple[float, ...],
    counts: tuple[int, ...],
    *,
    below: int = 0,
    above: int = 0,
    low: float | None = None,
    high: float | None = None,
    dtype: str = "double",
    kind: ColumnKind = ColumnKind.NUMBER,
) -> ColumnProfile:
    profile = NumberProfile(edges=edges, counts=counts, below=below, above=above, min=low, max=high)
    rows = sum(counts) + below + above
    return ColumnProfile(name="x", kind=kind, dtype=dtype, rows=rows, number=profile)


def category(values: dict[str, int], *, other: int = 0) -> ColumnProfile:
    profile = CategoryProfile(values=tuple(values), counts=tuple(values.values()), other=other)
    rows = sum(values.values()) + other
    return ColumnProfile(
        name="x", kind=ColumnKind.CATEGORY, dtype="string", rows=rows, category=profile
    )


def overlay(before: ColumnProfile, now: ColumnProfile, *, cells: int = 30) -> Distribution:
    found = distribution(ColumnDrift(name="x", reference=before, current=now), cells=cells)
    assert found
    return found


def totals(found: Distribution) -> tuple[float, float]:
    before = math.fsum(cell.before for cell in found.cells) + found.beyond_before
    return before, math.fsum(cell.now for cell in found.cells) + found.beyond_now


@st.composite
def profiles(draw: st.DrawFn) -> tuple[ColumnProfile, ColumnProfile]:
    """Draw a reference and a window over the same edges, however wild these are."""
    edges = tuple(sorted(draw(st.lists(FINITE, min_size=2, max_size=24))))
    bins = len(edges) - 1
    counts = st.lists(st.integers(0, 10**9), min_size=bins, max_size=bins).map(tuple)
    inside = draw(counts.filter(any))
    dtype = draw(st.sampled_from(["double", "int64"]))
    now = number(
        edges,
        draw(counts.filter(any)),
        below=draw(st.integers(0, 10**6)),
        above=draw(st.integers(0, 10**6)),
        low=draw(st.floats(max_value=edges[0], allow_infinity=False)),
        high=draw(st.floats(min_value=edges[-1], allow_infinity=False)),
        dtype=dtype,
    )
    return number(edges, inside, dtype=dtype), now


@given(profiles(), st.integers(1, 40))
def test_every_row_is_drawn_or_counted_as_beyond(
    sides: tuple[ColumnProfile, ColumnProfile], cells: int
) -> None:
    drift = ColumnDrift(name="x", reference=sides[0], current=sides[1])
    found = distribution(drift, cells=cells)
    if found is None:
        return  # its numbers are too far apart to have a distance
    assert all(cell.before >= 0 and cell.now >= 0 for cell in found.cells)
    ends = [end for cell in found.cells for end in (cell.low, cell.high)]
    assert all(end is not None and math.isfinite(end) for end in ends)
    assert totals(found) == pytest.approx((1.0, 1.0), abs=1e-6)
    assert shape(found, "x").title
    assert text_shapes(drift)


def test_bins_of_any_width_become_the_shape_that_they_have() -> None:
    """A uniform distribution is flat, whatever its bins are."""
    edges = (0.0, *(float(place) for place in range(1, 20)), 40.0, 100.0)
    before = number(edges, (*(1,) * 19, 21, 60))
    found = overlay(before, before, cells=20)
    heights = [cell.before for cell in found.cells]
    assert heights == pytest.approx([0.05] * 20)
    assert [cell.now for cell in found.cells] == heights


def test_a_window_in_another_unit_is_seen_beside_its_reference() -> None:
    edges = tuple(float(place) for place in range(51))
    before = number(edges, (20,) * 50)
    now = number(edges, (0,) * 50, above=1_000, low=100.0, high=130.0)
    found = overlay(before, now)
    assert sum(cell.now for cell in found.cells if (cell.low or 0) >= 50) > 0.9
    assert sum(cell.before for cell in found.cells if (cell.high or 0) <= 52) > 0.9


def test_one_outlier_does_not_press_all_else_into_a_cell() -> None:
    edges = tuple(float(place) for place in range(51))
    before = number(edges, (20,) * 50)
    now = number(edges, (20,) * 50, above=1, low=0.0, high=1e12)
    found = overlay(before, now)
    assert (found.cells[-1].high or 0) < 100
    assert sum(cell.before > 0 for cell in found.cells) > 20
    assert 0 < found.beyond_now < 0.01


def test_a_number_of_few_values_has_a_cell_for_each() -> None:
    before = number((0.0, 0.5, 1.5, 2.0), (70, 20, 10), dtype="int64")
    now = number((0.0, 0.5, 1.5, 2.0), (50, 20, 10), above=20, low=0.0, high=4.0, dtype="int64")
    found = overlay(before, now)
    assert [cell.label for cell in found.cells][:2] == ["0", "1"]
    assert [cell.before for cell in found.cells][:3] == pytest.approx([0.7, 0.2, 0.1])
    assert found.cells[-1].before == 0
    assert found.cells[-1].now > 0.15


def test_whole_numbers_are_in_the_middle_of_a_cell() -> None:
    edges = (18.0, *(place + 0.5 for place in range(18, 80)), 80.0)
    counts = (100,) * (len(edges) - 1)
    found = overlay(number(edges, counts, dtype="int64"), number(edges, counts, dtype="int64"))
    lows = [cell.low or 0.0 for cell in found.cells]
    assert all(low % 1 == 0.5 for low in lows)
    inner = [cell.before for cell in found.cells][1:-1]
    assert inner == pytest.approx([inner[0]] * len(inner))


def test_dates_are_labelled_as_dates() -> None:
    one = windows.applied(4_000)
    found = distribution(one)
    assert found
    assert found.cells[0].label.startswith("2025-01")


def test_new_categories_are_told_and_the_rare_ones_are_lumped() -> None:
    before = category({f"c{place:02}": 100 - place for place in range(30)})
    now = category({"c00": 500, "fresh": 400, "c29": 100})
    found = overlay(before, now)
    labels = {cell.label: cell for cell in found.cells}
    assert labels["fresh"].is_new
    assert not labels["c00"].is_new
    assert labels["fresh"].now == pytest.approx(0.4)
    assert found.cells[-1].label == "all others"
    assert len(found.cells) == 13
    assert totals(found) == pytest.approx((1.0, 1.0))


def test_what_may_have_been_among_the_others_is_not_called_new() -> None:
    found = overlay(category({"a": 90}, other=10), category({"a": 80, "b": 20}))
    assert not any(cell.is_new for cell in found.cells)


@pytest.mark.parametrize(
    "now",
    [
        None,
        number((0.0, 1.0), (0,)),
        number((), ()),
        category({"a": 1}),
        ColumnProfile(name="x", kind=ColumnKind.EMPTY, dtype="null", rows=10, missing=10),
    ],
)
def test_nothing_is_drawn_where_a_side_has_nothing_to_show(now: ColumnProfile | None) -> None:
    drift = ColumnDrift(name="x", reference=number((0.0, 1.0), (10,)), current=now)
    assert distribution(drift) is None
    assert text_shapes(drift) is None


def test_both_texts_have_one_scale() -> None:
    before = category({"a": 50, "b": 50})
    drift = ColumnDrift(name="x", reference=before, current=category({"a": 100, "b": 0}))
    assert text_shapes(drift) == ("▅▅", "█▁")


def test_a_shape_says_where_the_two_differ_most() -> None:
    drift = windows.drifted().columns[7]
    found = distribution(drift)
    assert found
    words = shape(found, "channel").title
    assert words == "channel: partner holds 0 % of the reference and 29 % of the window"


def test_a_constant_is_one_cell() -> None:
    one = number((3.0, 3.0), (100,))
    found = overlay(one, replace(one, rows=40))
    assert [(cell.label, cell.before, cell.now) for cell in found.cells] == [("3", 1.0, 1.0)]
