"""The ready queue: order, what fits, and that nothing is ever taken twice or too early."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.schedule import Capacity, Needs, Schedule, Task, expected_seconds, ways

GB = 10**9


def capacity(cpus: float = 2, memory: int = 16 * GB, gpus: int = 0) -> Capacity:
    return Capacity(cpus=cpus, memory=memory, gpus=gpus)


def drain(tasks: Sequence[Task], what: Capacity) -> list[list[int]]:
    """Return the waves in which everything runs, if all that started end together."""
    schedule = Schedule(tasks, what)
    waves = []
    while wave := take_all(schedule):
        waves.append(wave)
        for number in wave:
            schedule.end(number)
    return waves


def take_all(schedule: Schedule) -> list[int]:
    found = []
    while (number := schedule.take()) is not None:
        found.append(number)
    return found


def test_one_job_goes_through_the_list() -> None:
    tasks = [Task(), Task(after=(0,)), Task(seconds=99), Task(after=(2,), seconds=99)]
    assert drain(tasks, capacity(cpus=1)) == [[0], [1], [2], [3]]


def test_the_longest_way_comes_first() -> None:
    tasks = [Task(seconds=5), Task(seconds=1), Task(after=(1,), seconds=9), Task(seconds=7)]
    assert drain(tasks, capacity(cpus=2)) == [[1, 3], [2, 0]]
    assert ways(tasks, [[], [2], [], []]) == [5, 10, 9, 7]


@pytest.mark.parametrize(
    ("needs", "waves"),
    [
        (Needs(), [[0, 1], [2]]),
        (Needs(cpus=2), [[0], [1], [2]]),
        (Needs(cpus=64), [[0], [1], [2]]),
        (Needs(cpus=0.5), [[0, 1, 2]]),
        (Needs(memory=9 * GB), [[0], [1], [2]]),
        (Needs(memory=8 * GB), [[0, 1], [2]]),
        (Needs(gpus=1), [[0], [1], [2]]),
        (Needs(exclusive="db"), [[0], [1], [2]]),
    ],
)
def test_what_fits_runs_together(needs: Needs, waves: list[list[int]]) -> None:
    assert drain([Task(needs=needs)] * 3, capacity(gpus=1)) == waves


def test_what_does_not_fit_lets_others_pass() -> None:
    tasks = [
        Task(seconds=9, needs=Needs(memory=10 * GB)),
        Task(seconds=8, needs=Needs(memory=10 * GB)),
        Task(seconds=1),
    ]
    schedule = Schedule(tasks, capacity())
    assert take_all(schedule) == [0, 2]
    schedule.end(2)
    assert take_all(schedule) == []
    schedule.end(0)
    assert take_all(schedule) == [1]


def test_what_can_never_be_had() -> None:
    what = capacity(gpus=1)
    assert what.lack(Needs(cpus=99, memory=16 * GB, gpus=1)) is None
    assert what.lack(Needs(memory=64 * GB)) == "needs 64 GB of memory, and there are 16 GB"
    assert what.lack(Needs(gpus=2)) == "needs 2 GPUs, and there are 1"


def test_unknown_times_are_the_usual_one() -> None:
    assert expected_seconds(["a", "b"], {}) == [1.0, 1.0]
    assert expected_seconds(["a", "b"], {"b": 7, "x": 1, "y": 30}) == [7, 7]


@given(data=st.data())
def test_every_task_runs_once_and_after_those_it_waits_for(data: st.DataObject) -> None:
    tasks = []
    for number in range(data.draw(st.integers(1, 12))):
        after = data.draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        needs = Needs(
            cpus=data.draw(st.sampled_from([0.5, 1, 2, 9])),
            memory=data.draw(st.sampled_from([0, 6 * GB, 99 * GB])),
            gpus=data.draw(st.integers(0, 2)),
            exclusive=data.draw(st.sampled_from([None, "a", "b"])),
        )
        tasks.append(Task(after=tuple(after), needs=needs, seconds=data.draw(st.floats(0, 9))))
    what = capacity(cpus=data.draw(st.integers(1, 4)), gpus=1)
    schedule = Schedule(tasks, what)
    running: list[int] = []
    ended: list[int] = []
    while len(ended) < len(tasks):
        for number in take_all(schedule):
            assert set(tasks[number].after) <= set(ended)
            running.append(number)
        assert running, "someone always can"
        assert sum(min(tasks[one].needs.cpus, what.cpus) for one in running) <= what.cpus
        names = [tasks[one].needs.exclusive for one in running if tasks[one].needs.exclusive]
        assert len(names) == len(set(names))
        ended.append(running.pop(data.draw(st.integers(0, len(running) - 1))))
        schedule.end(ended[-1])
    assert sorted(ended) == list(range(len(tasks)))
    assert schedule.take() is None
