import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.pipeline import (
    OutputHash,
    Plan,
    PlannedStage,
    PlannedState,
    Run,
    StageRun,
    StageStatus,
)
from modelci.domain.waves import Shard, find_waves, merge_parts, runs_of, share_out


def plan(*stages: tuple[str, PlannedState, tuple[str, ...]]) -> Plan:
    return Plan(
        stages=tuple(
            PlannedStage(name=name, state=state, after=after) for name, state, after in stages
        )
    )


def test_a_wave_reads_only_what_waves_before_it_write() -> None:
    found = find_waves(
        plan(
            ("data", PlannedState.UNCHANGED, ()),
            ("a", PlannedState.RUN, ("data",)),
            ("b", PlannedState.RUN, ("data",)),
            ("kept", PlannedState.RESTORE, ("a",)),
            ("join", PlannedState.DEPENDS, ("b", "kept")),
            ("frozen", PlannedState.FROZEN, ()),
            ("late", PlannedState.RUN, ("join", "frozen")),
        )
    )
    assert found == (("a", "b"), ("join",), ("late",))


def test_nothing_to_do_is_no_wave() -> None:
    assert find_waves(plan(("a", PlannedState.UNCHANGED, ()))) == ()


def test_the_longest_stages_come_first_to_the_idlest_job() -> None:
    seconds = {"a": 9.0, "b": 5.0, "c": 4.0, "d": 1.0}
    shares = share_out(2, ["d", "a", "b", "c"], 2, seconds)
    assert [share.stages for share in shares] == [("d", "a"), ("b", "c")]
    assert [str(share.shard) for share in shares] == ["1/2", "2/2"]
    assert [share.seconds for share in shares] == [10.0, 9.0]


def test_a_stage_that_nobody_timed_is_a_middling_one() -> None:
    shares = share_out(1, ["new", "x", "y", "z"], 4, {"x": 1.0, "y": 3.0, "z": 7.0})
    assert {share.stages: share.seconds for share in shares}[("new",)] == 3.0


@given(
    st.lists(st.text("abcdef", min_size=1, max_size=4), unique=True, min_size=1),
    st.integers(1, 9),
    st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.floats(0, 1e6)),
)
def test_every_stage_has_one_job_and_every_job_a_stage(
    stages: list[str], jobs: int, seconds: dict[str, float]
) -> None:
    shares = share_out(1, stages, jobs, seconds)
    assert sorted(name for share in shares for name in share.stages) == sorted(stages)
    assert all(share.stages for share in shares)
    assert len(shares) == min(jobs, len(stages))
    assert share_out(1, stages, jobs, dict(reversed(seconds.items()))) == shares


@pytest.mark.parametrize("text", ["1/1", "3/12"])
def test_a_shard_is_read_as_it_is_written(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "-1/2", "1/3 "])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        Shard.parse(text)


def stage(name: str, status: StageStatus, seconds: float | None = None) -> StageRun:
    outputs = (OutputHash(path=f"{name}.out", hash="0"),)
    return StageRun(name=name, status=status, seconds=seconds, outputs=outputs)


def part(*stages: StageRun) -> Run:
    return Run(revision="r", dirty=False, started="now", seconds=1.0, stages=stages)


def test_what_a_part_ran_is_told_as_the_part_tells_it() -> None:
    collected = (
        stage("a", StageStatus.RESTORED, 0.1),
        stage("b", StageStatus.RESTORED, 0.2),
        stage("c", StageStatus.RAN, 3.0),
    )
    merged = merge_parts(
        collected,
        [part(stage("a", StageStatus.RAN, 60.0)), part(stage("b", StageStatus.RESTORED, 9.0))],
    )
    assert [(run.status, run.seconds) for run in merged] == [
        (StageStatus.RAN, 60.0),
        (StageStatus.RESTORED, 0.2),
        (StageStatus.RAN, 3.0),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_job_that_was_run_again_is_believed_where_it_succeeded(order: int) -> None:
    parts = [part(stage("a", StageStatus.FAILED)), part(stage("a", StageStatus.RAN))][::order]
    assert runs_of(parts)["a"].status is StageStatus.RAN
