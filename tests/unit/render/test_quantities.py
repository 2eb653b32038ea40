"""Numbers read as people write them, and differences are never rounded away."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelci.domain.gates import Threshold
from modelci.domain.metrics import MetricDelta, MetricKey, MetricValue, NonFinite
from modelci.render import quantities

VALUES = st.one_of(
    st.none(), st.sampled_from(NonFinite), st.floats(allow_nan=False, allow_infinity=False)
)


def delta(base: MetricValue | None, head: MetricValue | None) -> MetricDelta:
    return MetricDelta(key=MetricKey(path="m.json", name="auc"), base=base, head=head)


@pytest.mark.parametrize(
    ("base", "head", "texts", "change"),
    [
        (0.7812, 0.7844, ("0.7812", "0.7844"), "+0.0032 (+0.41 %)"),
        (0.78123456, 0.78124567, ("0.781235", "0.781246"), "+0.000011 (+0.001 %)"),
        (0.8, 0.79, ("0.8000", "0.7900"), "−0.0100 (−1.25 %)"),
        (1.0, 0.98, ("1.000", "0.980"), "−0.020 (−2.00 %)"),
        (20_000.0, 21_500.0, ("20,000", "21,500"), "+1,500 (+7.50 %)"),
        (-1.0, 1.0, ("-1", "1"), "+2 (+200 %)"),
        (0.0, 0.5, ("0", "0.5000"), "+0.5000"),
        (-0.0, -0.25, ("0", "-0.2500"), "−0.2500"),
        (1e-9, 2e-9, ("1.000e-9", "2.000e-9"), "+1.000e-9 (+100 %)"),
        (1e-9, 0.5, ("1.0e-9", "0.5000"), "+0.5000 (+5.0e10 %)"),
        (1.5e20, 2.5e20, ("1.500e20", "2.500e20"), "+1.000e20 (+66.67 %)"),
        (1e308, -1e308, ("1.000e308", "-1.000e308"), ""),
        (123456.7, 223456.7, ("123,457", "223,457"), "+100,000 (+81.00 %)"),
        (0.5, 0.5, ("0.5000", "0.5000"), "±0"),
        (0.5, NonFinite.NAN, ("0.5000", "NaN"), ""),
        (None, 0.702, ("—", "0.7020"), ""),
        (NonFinite.INFINITY, None, ("Infinity", "—"), ""),
    ],
)
def test_both_sides_and_the_change_read_alike(
    base: MetricValue | None, head: MetricValue | None, texts: tuple[str, str], change: str
) -> None:
    assert quantities.pair(base, head) == texts
    assert quantities.change(delta(base, head)) == change


@given(VALUES, VALUES)
@example(0.1 + 0.2, 0.3)
@example(1e22, math.nextafter(1e22, math.inf))
@example(5e-324, 0.0)
@example(999999999999999.0, 1e15)
@example(1.0, math.nextafter(1.0, 2.0))
def test_what_differs_never_reads_the_same(
    base: MetricValue | None, head: MetricValue | None
) -> None:
    one, other = quantities.pair(base, head)
    assert (one == other) == (base == head)
    assert "-0" not in {one, other}


@given(VALUES, VALUES)
def test_a_change_is_never_rounded_to_nothing(
    base: MetricValue | None, head: MetricValue | None
) -> None:
    found = delta(base, head)
    text = quantities.change(found)
    if found.change and math.isfinite(found.change):
        assert text[0] == ("+" if found.change > 0 else "−")
        assert text[1:].split(" ")[0].strip("0.,") != ""


@given(st.floats(-1e300, 1e300), st.floats(1e-3, 1e3))
def test_a_pair_reads_back_to_about_what_it_was(base: float, share: float) -> None:
    head = base * share
    for value, text in zip((base, head), quantities.pair(base, head), strict=True):
        read = float(text.replace(",", ""))
        assert read == pytest.approx(value, rel=1e-1, abs=max(abs(base), abs(head)) * 1e-3)


@pytest.mark.parametrize(
    ("threshold", "text"),
    [
        (Threshold(value=0.01, relative=True), "1 %"),
        (Threshold(value=0.005), "0.005"),
        (Threshold(value=5_000_000.0), "5,000,000"),
        (Threshold(value=1e20), "1e+20"),
    ],
)
def test_limits_are_not_rounded(threshold: Threshold, text: str) -> None:
    assert quantities.limit(threshold) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "—"), (0, "0 B"), (999, "999 B"), (1_204_224, "1.20 MB"), (3 * 10**14, "300 TB")],
)
def test_sizes_have_decimal_units(size: int | None, text: str) -> None:
    assert quantities.size(size) == text


def test_sizes_that_differ_a_little_are_told_apart_in_bytes() -> None:
    assert quantities.size_pair(1_204_224, 1_204_225) == ("1,204,224 B", "1,204,225 B")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (math.nan, "—"),
        (-1e-9, "0.0 s"),
        (0.04, "0.0 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_grow_with_their_units(seconds: float | None, text: str) -> None:
    assert quantities.duration(seconds) == text


@pytest.mark.parametrize(
    ("low", "high", "signed", "text"),
    [
        (-0.01638, -0.00782, True, "−0.0164 … −0.0078"),
        (-0.0121, 0.0042, True, "−0.012 … +0.004"),
        (0.02619, 0.05581, False, "0.026 … 0.056"),
        (-0.3, 0.2, False, "−0.30 … 0.20"),
        (-3.0, 1204.0, True, "−3 … +1,204"),
        (0.0, 0.0, True, "0 … 0"),
        (0.25, 0.25, True, "+0.2500 … +0.2500"),
        (-math.inf, 0.1, True, "—"),
        (math.nan, 0.1, True, "—"),
    ],
)
def test_an_interval_has_two_digits_of_its_width(
    low: float, high: float, signed: bool, text: str
) -> None:
    assert quantities.interval(low, high, signed=signed) == text


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_every_interval_can_be_written(low: float, high: float) -> None:
    assert "e+" not in quantities.interval(min(low, high), max(low, high))


@pytest.mark.parametrize(
    ("p", "text"),
    [(None, "—"), (0.00002, "< 0.001"), (0.0312, "0.031"), (0.34, "0.34"), (1.0, "1.00")],
)
def test_p_values_are_short(p: float | None, text: str) -> None:
    assert quantities.probability(p) == text


def test_levels_details_and_days() -> None:
    assert quantities.level(0.05) == "90 %"
    assert quantities.level(0.005) == "99 %"
    assert quantities.size_of_change(-0.012345) == "0.012"
    assert quantities.size_of_change(math.inf) == "∞"
    assert quantities.instant(1_761_000_000) == "2025-10-20"
    assert quantities.instant(10**18) == "—"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "—"),
        (math.nan, "—"),
        (0.0, "0 %"),
        (0.00004, "< 0.01 %"),
        (0.0003, "0.03 %"),
        (0.021, "2.1 %"),
        (0.45, "45 %"),
        (0.9996, "100 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_of_a_whole(part: float | None, text: str) -> None:
    assert quantities.share(part) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (math.nan, "—"),
        (math.inf, "∞"),
        (0.0, "0"),
        (0.0004, "< 0.001"),
        (0.0314, "0.031"),
        (2.8142, "2.814"),
    ],
)
def test_an_effect_size(value: float | None, text: str) -> None:
    assert quantities.effect(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01"),
        (1_767_225_600.0, "2026-01-01"),
        (1_767_269_520.0, "2026-01-01 12:12"),
        (1e300, "—"),
        (math.nan, "—"),
    ],
)
def test_a_moment(seconds: float, text: str) -> None:
    assert quantities.moment(seconds) == text


def test_a_change_has_its_sign() -> None:
    assert quantities.signed_change(0.7812, 0.7038) == "−0.0774"
    assert quantities.signed_change(0.5, 0.5) == "±0"
    assert quantities.signed_change(0.5, math.inf) == ""
