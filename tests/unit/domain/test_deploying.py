import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.deploying import (
    Aim,
    Limits,
    Manner,
    Verdict,
    judge_observation,
    make_release_id,
    plan_deployment,
    trial_steps,
    way_back,
)
from modelci.domain.deployment import (
    DeployStep,
    Observation,
    Running,
    StepKind,
    Strategy,
    TargetState,
    Trial,
)

AIM = Aim(release="v2-b", tag="m#prod#2")
ALL = Manner(limits=Limits(watch_seconds=5))
CANARY = replace(ALL, strategy=Strategy.CANARY, shares=(0.05, 0.25))
SHADOW = replace(ALL, strategy=Strategy.SHADOW)
FETCHING = ["fetch", "verify", "scan", "environment", "stage", "check"]


def running(
    release: str = "v1-a", tag: str = "m#prod#1", *, seconds: int = 1, settled: bool = True
) -> Running:
    return Running(
        release=release,
        artifact="m",
        version=release.partition("-")[0],
        tag=tag,
        commit="c" * 40,
        assigned_seconds=seconds,
        since="2026-01-01T00:00:00Z",
        settled=settled,
    )


def state(one: Running | None = None, *staged: str, **more: object) -> TargetState:
    found = TargetState(running=one, staged=staged, history=(one,) if one else ())
    return replace(found, **more)  # type: ignore[arg-type]


def kinds(steps: tuple[DeployStep, ...]) -> list[str]:
    return [str(step.kind) for step in steps]


def test_the_first_deployment_fetches_checks_and_switches_without_a_trial() -> None:
    plan = plan_deployment(AIM, state(), CANARY)
    assert kinds(plan) == [*FETCHING, "switch", "watch", "prune"]


def test_a_canary_grows_before_the_switch() -> None:
    plan = plan_deployment(AIM, state(running()), CANARY)
    assert kinds(plan) == [*FETCHING, "trial", "trial", "switch", "watch", "prune"]
    assert [step.share for step in plan if step.kind is StepKind.TRIAL] == [0.05, 0.25]
    assert {step.seconds for step in plan if step.kind is StepKind.TRIAL} == {5}


def test_a_shadow_gets_copies() -> None:
    assert trial_steps(SHADOW) == (DeployStep(kind=StepKind.TRIAL, seconds=5),)


def test_what_is_staged_is_not_fetched_again() -> None:
    plan = plan_deployment(AIM, state(running(), "v1-a", "v2-b"), ALL)
    assert kinds(plan) == ["environment", "check", "switch", "watch", "prune"]


def test_what_runs_for_that_tag_and_is_settled_needs_nothing() -> None:
    assert plan_deployment(AIM, state(running("v2-b", "m#prod#2"), "v2-b"), CANARY) == ()


def test_what_was_switched_and_not_watched_is_watched() -> None:
    unsettled = running("v2-b", "m#prod#2", settled=False)
    assert kinds(plan_deployment(AIM, state(unsettled, "v2-b"), ALL)) == ["watch", "prune"]


def test_the_same_release_under_another_tag_is_only_remembered() -> None:
    plan = plan_deployment(AIM, state(running("v2-b", "m#prod#1"), "v2-b"), CANARY)
    assert kinds(plan) == ["switch"]


@pytest.mark.parametrize("one", [None, running(), running("v2-b", "m#prod#2")])
def test_a_trial_that_a_dead_run_left_is_ended_first(one: Running | None) -> None:
    left = state(one, "v3-c", trial=Trial(release="v3-c", share=0.05))
    plan = plan_deployment(AIM, left, ALL)
    assert plan[0] == DeployStep(kind=StepKind.TRIAL, share=0.0)


RELEASES = st.sampled_from(["v1-a", "v2-b", "v3-c"])
RUNS = st.builds(
    running,
    release=RELEASES,
    tag=st.sampled_from(["m#prod#1", "m#prod#2"]),
    settled=st.booleans(),
)


@given(
    one=st.none() | RUNS,
    staged=st.sets(RELEASES),
    manner=st.sampled_from([ALL, CANARY, SHADOW]),
    trial=st.none() | st.builds(Trial, release=RELEASES, share=st.just(0.1)),
)
def test_a_plan_done_leaves_nothing_to_do(
    one: Running | None, staged: set[str], manner: Manner, trial: Trial | None
) -> None:
    """Whatever prefix of it was done: what is planned then comes to the same."""
    before = state(one, *sorted(staged), trial=trial)
    plan = plan_deployment(AIM, before, manner)
    for cut in range(len(plan) + 1):
        now = before
        for step in plan[:cut]:
            now = taken(step, now)
        for step in plan_deployment(AIM, now, manner):
            now = taken(step, now)
        assert plan_deployment(AIM, now, manner) == ()
        assert now.running is not None
        assert (now.running.release, now.running.tag) == (AIM.release, AIM.tag)


def taken(step: DeployStep, now: TargetState) -> TargetState:
    """Do what a step does to a target."""
    match step.kind:
        case StepKind.STAGE:
            return replace(now, staged=(*now.staged, AIM.release))
        case StepKind.TRIAL:
            tried = None if step.share == 0.0 else Trial(release=AIM.release, share=0.1)
            return replace(now, trial=tried)
        case StepKind.SWITCH:
            old = now.running
            settled = old is not None and old.release == AIM.release and old.settled
            return replace(now, running=running("v2-b", "m#prod#2", settled=settled), trial=None)
        case StepKind.WATCH:
            assert now.running is not None
            return replace(now, running=replace(now.running, settled=True))
    return now


def test_the_way_back_leads_to_what_stayed() -> None:
    old, failed = running("v1-a"), running("v3-c", settled=False)
    new = running("v2-b", settled=False)
    assert way_back(TargetState(history=(new, failed, old)), "v2-b") == old
    assert way_back(TargetState(history=(new, failed)), "v2-b") == failed
    assert way_back(TargetState(history=(new,), previous=old), "v2-b") == old
    assert way_back(TargetState(history=(new,)), "v2-b") is None


def test_a_release_is_called_by_its_version_and_by_what_is_in_it() -> None:
    parts = {"model": ("m.skops", "md5:1"), "golden": None}
    name = make_release_id("v1.2.0", parts)
    assert name == make_release_id("v1.2.0", dict(reversed(parts.items())))
    assert name.startswith("v1.2.0-")
    assert len(name) == len("v1.2.0-") + 12
    assert name != make_release_id("v1.2.0", {**parts, "golden": "md5:2"})
    assert name != make_release_id("v1.2.0", {**parts, "model": ("m.skops", "md5:2")})


# -- traffic --------------------------------------------------------------------------------------

LIMITS = Limits(
    watch_seconds=60,
    min_requests=100,
    patience_seconds=600,
    max_error_rate=0.01,
    max_latency_ms=50,
    max_divergence=0.05,
)


def seen(requests: int = 0, errors: int = 0, **more: float) -> Observation:
    values = {"p50_ms": 5.0, "p99_ms": 20.0, **more}
    return Observation(seconds=60, requests=requests, errors=errors, **values)  # type: ignore[arg-type]


def verdict(
    one: Observation, elapsed: float, *, limits: Limits = LIMITS, is_trial: bool = True
) -> Verdict:
    return judge_observation(one, limits, elapsed=elapsed, is_trial=is_trial).verdict


@pytest.mark.parametrize(
    ("one", "elapsed", "wanted"),
    [
        (seen(200), 30, Verdict.WAIT),
        (seen(200), 60, Verdict.PROMOTE),
        (seen(99), 60, Verdict.WAIT),
        (seen(99), 599, Verdict.WAIT),
        (seen(99), 600, Verdict.ABORT),
        (seen(100), 300, Verdict.PROMOTE),
        (seen(3, 3), 1, Verdict.ABORT),
        (seen(200, 2), 60, Verdict.PROMOTE),
        (seen(200, 3), 60, Verdict.ABORT),
        (seen(200, 3), 59, Verdict.WAIT),
        (seen(20, 1), 5, Verdict.WAIT),
        (seen(200, p99_ms=50), 60, Verdict.PROMOTE),
        (seen(200, p99_ms=51), 60, Verdict.ABORT),
        (seen(200, p99_ms=51), 59, Verdict.WAIT),
        (seen(200, p50_ms=51, p99_ms=80), 10, Verdict.ABORT),
        (seen(2, p50_ms=51, p99_ms=80), 10, Verdict.WAIT),
        (seen(200, compared=200, divergence=0.05), 60, Verdict.PROMOTE),
        (seen(200, compared=200, divergence=0.06), 1, Verdict.ABORT),
        (seen(20, compared=20, divergence=0.06), 1, Verdict.WAIT),
        (seen(200, compared=1, divergence=math.nan), 60, Verdict.ABORT),
        (seen(200, p99_ms=math.nan), 60, Verdict.ABORT),
    ],
)
def test_traffic_is_judged(one: Observation, elapsed: float, wanted: Verdict) -> None:
    assert verdict(one, elapsed) is wanted


def test_a_quiet_night_is_no_reason_to_switch_back() -> None:
    quiet = Observation(seconds=60)
    assert verdict(quiet, 60, is_trial=False) is Verdict.PROMOTE
    assert verdict(quiet, 59, is_trial=False) is Verdict.WAIT


def test_without_limits_only_errors_count() -> None:
    plain = Limits(watch_seconds=0)
    slow = seen(1000, 10, p99_ms=9e9, compared=1000, divergence=9e9)
    assert verdict(slow, 0, limits=plain) is Verdict.PROMOTE
    assert verdict(seen(1000, 11), 0, limits=plain) is Verdict.ABORT


def test_no_error_at_all_may_be_allowed_and_every_one() -> None:
    assert verdict(seen(9, 1), 0, limits=replace(LIMITS, max_error_rate=0.0)) is Verdict.ABORT
    assert verdict(seen(9, 9), 0, limits=replace(LIMITS, max_error_rate=1.0)) is Verdict.WAIT


@given(
    requests=st.integers(1, 10_000),
    limit=st.floats(0.001, 0.5),
    share=st.floats(0, 1),
)
def test_what_is_stopped_early_is_no_chance(requests: int, limit: float, share: float) -> None:
    """The exact binomial tail is below what the bound promises, or it waits."""
    errors = round(share * requests)
    found = verdict(
        seen(requests, errors), 0, limits=Limits(watch_seconds=60, max_error_rate=limit)
    )
    if found is Verdict.ABORT:
        assert errors / requests > limit
        assert binomial_tail(requests, errors, limit) <= 1e-3
    else:
        assert found is Verdict.WAIT


def binomial_tail(n: int, k: int, p: float) -> float:
    """P(X >= k), summed in logarithms."""
    logs = (
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(p)
        + (n - i) * math.log1p(-p)
        for i in range(k, n + 1)
    )
    return math.fsum(map(math.exp, logs))


@given(
    requests=st.integers(0, 1000),
    errors=st.integers(0, 1000),
    more=st.integers(0, 1000),
    elapsed=st.floats(0, 1000),
)
def test_more_errors_never_help(requests: int, errors: int, more: int, elapsed: float) -> None:
    few, many = min(errors, requests), min(errors + more, requests)
    if verdict(seen(requests, few), elapsed) is Verdict.ABORT:
        assert verdict(seen(requests, many), elapsed) is Verdict.ABORT
