"""How long a run may still take."""

import pytest

from modelci.domain.pace import clock, seconds_left

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
