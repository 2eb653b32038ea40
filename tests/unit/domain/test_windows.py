"""Windows by name, and how long a time is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.windows import (
    check_pattern,
    last_complete,
    parse_duration,
    parse_window,
    window_at,
)

PATTERNS = ["%Y-%m", "%G-W%V", "%Y-%m-%d", "%Y", "%Y%m%dT%H", "%Y-%j", "%y/%b", "scored-%Y-%m%%"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_that_names_periods_is_taken(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.filterwarnings("ignore:Parsing dates involving a day:DeprecationWarning")  # 3.13
@pytest.mark.parametrize(
    "pattern", ["", "latest", "%m", "%d", "%H", "%Y-%H", "%Y-%d", "%Y-%V", "%Y-%W", "%%Y", "%Y-%"]
)
def test_a_pattern_whose_names_do_not_tell_periods_apart_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("name", "pattern", "start", "end"),
    [
        ("2026-12", "%Y-%m", "2026-12-01", "2027-01-01"),
        ("2028-02", "%Y-%m", "2028-02-01", "2028-03-01"),
        ("2026-W53", "%G-W%V", "2026-12-28", "2027-01-04"),
        ("2027-W01", "%G-W%V", "2027-01-04", "2027-01-11"),
        ("2026-12-31", "%Y-%m-%d", "2026-12-31", "2027-01-01"),
        ("2026", "%Y", "2026-01-01", "2027-01-01"),
        ("20261231T23", "%Y%m%dT%H", "2026-12-31T23:00", "2027-01-01"),
    ],
)
def test_a_window_lasts_until_the_next_one(name: str, pattern: str, start: str, end: str) -> None:
    found = parse_window(name, pattern)
    assert (found.name, found.start, found.end) == (name, utc(start), utc(end))


@pytest.mark.parametrize("name", ["2026-3", "2026-13", "2026-03-01", "", "march", "2026-03 "])
def test_what_the_pattern_does_not_name_is_no_window(name: str) -> None:
    with pytest.raises(ValueError, match="is none of the windows that %Y-%m names"):
        parse_window(name, "%Y-%m")


@pytest.mark.parametrize("pattern", PATTERNS)
@given(
    moment=st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2060, 12, 31),  # noqa: DTZ001
        timezones=st.just(UTC),
    )
)
def test_every_moment_is_in_its_window_and_the_last_complete_one_touches_it(
    moment: datetime, pattern: str
) -> None:
    now, before = window_at(moment, pattern), last_complete(moment, pattern)
    assert now.start <= moment < now.end
    assert before.end == now.start
    assert parse_window(now.name, pattern) == now


def test_a_window_is_settled_once_its_delay_is_over() -> None:
    march, delay = parse_window("2026-03", "%Y-%m"), timedelta(days=30)
    assert not march.is_settled(utc("2026-04-30T23:59"), delay)
    assert march.is_settled(utc("2026-05-01"), delay)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 2_592_000),
        ("12h", 43_200),
        (" 2w ", 1_209_600),
        ("1.5 h", 5_400),
        ("0d", 0),
        ("45s", 45),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1 month", "1d2h", "99999999999w"])
def test_what_is_no_duration_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"no duration|too long"):
        parse_duration(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
