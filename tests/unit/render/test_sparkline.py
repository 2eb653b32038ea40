"""Eight heights from the least value to the greatest; what is no number is a gap."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden import samples

from modelci.domain.metrics import MetricValue, NonFinite
from modelci.render.sparkline import BARS, GAP, bars, sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([1.0], "▄"),
        ([2.0, 2.0], "▄▄"),
        ([0.0, 1.0], "▁█"),
        ([float(number) for number in range(8)], BARS),
        ([None, 0.0, NonFinite.NAN, 1.0, None], "·▁·█·"),
        ([None, NonFinite.INFINITY], "··"),
        ([-sys.float_info.max, 0.0, sys.float_info.max], "▁▅█"),
        ([0.0, 5e-324], "▄▄"),
    ],
)
def test_values_are_drawn_between_least_and_greatest(
    values: list[MetricValue | None], line: str
) -> None:
    assert bars(values) == line


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=50))
def test_a_greater_value_never_has_a_lower_bar(values: list[float | None]) -> None:
    line = bars(list(values))
    assert len(line) == len(values)
    drawn = [
        (value, BARS.index(bar))
        for value, bar in zip(values, line, strict=True)
        if value is not None
    ]
    heights = [height for _, height in sorted(drawn)]
    assert heights == sorted(heights)
    assert all((bar == GAP) == (value is None) for value, bar in zip(values, line, strict=True))


def test_the_newest_points_are_kept() -> None:
    history = samples.history(samples.ROC_AUC, tuple(float(number) for number in range(100)))
    assert len(sparkline(history)) == 40
    assert sparkline(history, most=2) == "▁█"


def test_two_lines_may_have_one_scale() -> None:
    assert bars([0.0, 0.1], within=(0.0, 1.0)) == "▁▁"
    assert bars([0.5, 1.0], within=(0.0, 1.0)) == "▅█"
