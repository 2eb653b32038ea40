"""How long a run may still take."""

import pytest

from modelci.domain.pace import amount, clock, seconds_left, whole_seconds

LAST = {"a": 10.0, "b": 20.0, "c": 30.0}


def left(
    *,
    running: dict[str, float] | None = None,
    ended: tuple[str, ...] = (),
    waiting: int = 0,
    last: dict[str, float] = LAST,
    lanes: int = 1,
) -> float | None:
    return seconds_left(running=running or {}, ended=ended, waiting=waiting, last=last, lanes=lanes)


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert left(running={"a": 1.0}, waiting=5, last={}) is None


def test_what_runs_has_its_rest_and_what_waits_its_whole() -> None:
    assert left(running={"a": 4.0}, waiting=2) == 6 + 20 + 30


def test_what_has_ended_counts_no_more() -> None:
    assert left(running={"b": 5.0}, ended=("a",), waiting=1) == 15 + 30


def test_lanes_share_the_work_but_no_stage() -> None:
    assert left(running={"a": 0.0}, waiting=2, lanes=2) == (10 + 20 + 30) / 2
    assert left(running={"a": 9.0}, waiting=2, lanes=8) == 30
    assert left(running={"c": 5.0}, ended=("a", "b"), lanes=8) == 25


def test_a_late_stage_is_taken_to_end_now() -> None:
    assert left(running={"a": 99.0}, ended=("b", "c")) == 0


def test_an_unknown_stage_takes_what_is_usual() -> None:
    assert left(running={"new": 5.0}, ended=tuple(LAST)) == 15
    assert left(ended=tuple(LAST), waiting=2) == 40


def test_of_more_stages_than_wait_the_mean_counts() -> None:
    assert left(waiting=1) == 20


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0:00"), (7.9, "0:07"), (725, "12:05"), (10_809, "3:00:09")]
)
def test_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_what_is_done_tells_how_long_it_takes_in_all() -> None:
    assert whole_seconds(10.0, 25, 100) == 40
    assert whole_seconds(10.0, 100, 100) == 10
    assert whole_seconds(10.0, 0, 100) is None
    assert whole_seconds(10.0, 25, None) is None
    assert whole_seconds(10.0, 101, 100) is None  # the total was a guess


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (0, None, "", ""),
        (0, 1_500_000, "bytes", "0 % of 1.50 MB"),
        (540_000_000, 1_200_000_000, "bytes", "45 % of 1.20 GB"),
        (999, None, "bytes", "999 B"),
        (3.4e12, None, "bytes", "3.40 TB"),
        (12, 3400, "files", "12 of 3,400 files"),
        (12_000, None, "rows", "12,000 rows"),
        (0, 1, "files", ""),
        (3, 10, "s", ""),
    ],
)
def test_an_amount(done: float, total: float | None, unit: str, text: str) -> None:
    assert amount(done, total, unit) == text
