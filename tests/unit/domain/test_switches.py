"""What is remembered of switches, when the target itself says what runs."""

from dataclasses import replace

from modelci.domain.deployment import Running, TargetState, Trial
from modelci.domain.switches import MOST, Switches


def one(release: str, number: int = 1) -> Running:
    return Running(
        release=release,
        artifact="credit",
        version="v1.0.0",
        tag=f"credit#prod#{number}",
        commit="c" * 40,
        assigned_seconds=number,
        since=f"2026-01-01T00:00:{number % 60:02}+00:00",
        image=f"host/credit@sha256:{release}",
    )


A, B, C = one("a"), one("b", 2), one("a", 3)
EMPTY = Switches(artifact="credit")


def test_switches_are_told_newest_first() -> None:
    switches = EMPTY.after(A).after(B).after(C)
    assert switches.history == (C, B, A)
    assert switches.state(staged=["a", "b"]) == TargetState(
        running=C, previous=B, staged=("a", "b"), history=(C, B, A)
    )
    assert EMPTY.state(staged=()) == TargetState()


def test_what_is_known_better_replaces_what_was_told() -> None:
    settled = replace(B, settled=True)
    assert EMPTY.after(A).after(B).after(settled).history == (settled, A)


def test_the_same_told_again_later_changes_nothing() -> None:
    switches = EMPTY.after(A)
    assert switches.after(replace(A, since="2027-01-01T00:00:00+00:00")) is switches


def test_another_tag_for_what_runs_is_a_switch_that_has_a_previous_one_of_old() -> None:
    again = replace(B, tag="credit#prod#9")
    switches = EMPTY.after(A).after(B).after(again)
    assert switches.history == (again, B, A)
    assert switches.state(staged=()).previous == A


def test_a_switch_that_never_came_to_be_is_forgotten() -> None:
    told = EMPTY.after(A).after(B)
    assert told.now(A.image).history == (A,)
    assert told.now(B.image) == told
    # Gone back to, and told, but not carried out: what ran before runs.
    assert EMPTY.after(B).after(A).after(C).now(C.image).history == (C, A, B)


def test_an_image_that_nobody_told_of_is_nobodys_switch() -> None:
    assert EMPTY.after(A).now("host/credit@sha256:z").history == ()
    assert EMPTY.after(replace(A, image=None)).now(None).history == ()


def test_the_history_ends_somewhere() -> None:
    switches = EMPTY
    for number in range(MOST + 5):
        switches = switches.after(one(f"r{number}", number))
    assert len(switches.history) == MOST
    assert switches.history[0].release == f"r{MOST + 4}"


def test_a_trial_is_part_of_the_state() -> None:
    trial = Trial(release="b", share=0.1)
    assert EMPTY.after(A).state(staged=(), trial=trial).trial == trial
