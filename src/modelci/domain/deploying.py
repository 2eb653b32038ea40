"""How a deployment goes on: which steps are missing, and what its traffic says of a release."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from modelci.domain.deployment import (
    DeployStep,
    Observation,
    Running,
    StepKind,
    Strategy,
    TargetState,
)

_HEX = 12
_SURELY = math.log(1000)
"""What is said before the time is up is wrong in one case of a thousand."""
_ENOUGH_COMPARED = 30
_TAIL = 0.01  # the share of requests that may be slower than the 99th percentile


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a release is watched, and what makes it go back; latencies in ms.

    A trial that ``min_requests`` have not come to within ``patience_seconds`` proves nothing.
    """

    watch_seconds: float = 10.0
    min_requests: int = 0
    patience_seconds: float = 600.0
    max_error_rate: float = 0.01
    max_latency_ms: float | None = None
    max_divergence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a release takes over; ``shares`` (0 to 1) are a canary's, one after the other."""

    strategy: Strategy = Strategy.ALL
    shares: tuple[float, ...] = ()
    limits: Limits = Limits()


class Verdict(StrEnum):
    """What becomes of a release that is watched."""

    PROMOTE = "promote"
    WAIT = "wait"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A verdict on what was seen, and why."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is to run: a release, and the tag that asks for it."""

    release: str
    tag: str


def make_release_id(label: str, parts: Mapping[str, object]) -> str:
    """Return the id of a release: its version or short commit, and a digest of what is in it.

    ``parts`` say what is in it, by what never changes (hashes of files): the same make the same id
    on every machine, before a byte is fetched.
    """
    text = "\n".join(f"{key}={value!r}" for key, value in sorted(parts.items()))
    return f"{label}-{sha256(text.encode()).hexdigest()[:_HEX]}"


_BUILDING = (
    StepKind.FETCH,
    StepKind.VERIFY,
    StepKind.SCAN,
    StepKind.ENVIRONMENT,
    StepKind.STAGE,
)


def plan_deployment(aim: Aim, state: TargetState, manner: Manner) -> tuple[DeployStep, ...]:
    """Plan only what is missing, so that a deployment cut short is simply run again.

    Nothing where the release runs already for that tag, and was watched to its end. A release that
    is staged is not fetched again, and the first one of all has nothing to be tried against.
    """
    return tuple(_plan(aim, state, manner))


def _plan(aim: Aim, state: TargetState, manner: Manner) -> Iterator[DeployStep]:
    running = state.running
    if state.trial is not None:
        yield DeployStep(kind=StepKind.TRIAL, share=0.0)
    if running is not None and running.release == aim.release:
        # Asked for by another tag it runs on: only that is to be remembered.
        if running.tag != aim.tag:
            yield DeployStep(kind=StepKind.SWITCH)
        if not running.settled:
            yield from _settle(manner)
        return
    if aim.release not in state.staged:
        yield from (DeployStep(kind=kind) for kind in _BUILDING)
    else:
        yield DeployStep(kind=StepKind.ENVIRONMENT)
    yield DeployStep(kind=StepKind.CHECK)
    if running is not None:
        yield from trial_steps(manner)
    yield DeployStep(kind=StepKind.SWITCH)
    yield from _settle(manner)


def _settle(manner: Manner) -> Iterator[DeployStep]:
    yield DeployStep(kind=StepKind.WATCH, seconds=manner.limits.watch_seconds)
    yield DeployStep(kind=StepKind.PRUNE)


def trial_steps(manner: Manner) -> tuple[DeployStep, ...]:
    """Return the trials before a release answers everything: none, growing shares, or copies."""
    seconds = manner.limits.watch_seconds
    match manner.strategy:
        case Strategy.ALL:
            return ()
        case Strategy.CANARY:
            return tuple(
                DeployStep(kind=StepKind.TRIAL, share=share, seconds=seconds)
                for share in manner.shares
            )
        case Strategy.SHADOW:
            return (DeployStep(kind=StepKind.TRIAL, seconds=seconds),)


def way_back(state: TargetState, release: str) -> Running | None:
    """Return what to switch back to from ``release``: what ran before it, and stayed."""
    earlier = (*state.history, *((state.previous,) if state.previous else ()))
    others = [one for one in earlier if one.release != release]
    return next((one for one in others if one.settled), None) or next(iter(others), None)


def judge_observation(
    seen: Observation, limits: Limits, *, elapsed: float, is_trial: bool
) -> Ruling:
    """Say whether a release that was watched for ``elapsed`` seconds goes on, waits, or goes back.

    Before the time is up it goes back only for what cannot be chance (one in a thousand, by
    Chernoff's bound on a binomial tail); afterwards whatever is beyond its limit counts. A trial
    also waits for its requests. A number that is NaN is beyond any limit.
    """
    beyond = next(_beyond(seen, limits, is_over=elapsed >= limits.watch_seconds), None)
    if beyond is not None:
        return Ruling(verdict=Verdict.ABORT, reason=beyond)
    if elapsed < limits.watch_seconds:
        left = limits.watch_seconds - elapsed
        return Ruling(verdict=Verdict.WAIT, reason=f"{left:.0f} s to go")
    if is_trial and seen.requests < limits.min_requests:
        came = f"{seen.requests:,} of {limits.min_requests:,} requests came in {elapsed:.0f} s"
        is_enough = elapsed >= max(limits.watch_seconds, limits.patience_seconds)
        return Ruling(verdict=Verdict.ABORT if is_enough else Verdict.WAIT, reason=came)
    return Ruling(verdict=Verdict.PROMOTE, reason=describe(seen))


def _beyond(seen: Observation, limits: Limits, *, is_over: bool) -> Iterator[str]:
    """Yield what is beyond its limit, for certain or, once the time is over, as it stands."""
    n = seen.requests
    rate = seen.errors / n if n else 0.0
    if rate > limits.max_error_rate and (is_over or _is_sure(n, rate, limits.max_error_rate)):
        yield (
            f"{seen.errors:,} of {n:,} requests failed ({rate:.2%}, at most "
            f"{limits.max_error_rate:.2%})"
        )
    if limits.max_latency_ms is not None:
        yield from _too_slow(seen, limits.max_latency_ms, is_over=is_over)
    limit, found = limits.max_divergence, seen.divergence
    is_told = is_over or seen.compared >= max(_ENOUGH_COMPARED, limits.min_requests)
    if limit is not None and found is not None and is_told and not found <= limit:
        yield (
            f"its numbers differ by {found:.6g} on average from the running release's (at most "
            f"{limit:.6g}), over {seen.compared:,} requests"
        )


def _too_slow(seen: Observation, limit: float, *, is_over: bool) -> Iterator[str]:
    if is_over and seen.p99_ms is not None and not seen.p99_ms <= limit:
        yield f"its 99th percentile took {seen.p99_ms:.3g} ms (at most {limit:.3g} ms)"
    # If half of the requests are slower than one in a hundred may be, the rest will not save it.
    elif (
        seen.p50_ms is not None and not seen.p50_ms <= limit and _is_sure(seen.requests, 0.5, _TAIL)
    ):
        yield f"half of its requests took {seen.p50_ms:.3g} ms or more (at most {limit:.3g} ms)"


def _is_sure(n: int, rate: float, limit: float) -> bool:
    """Whether so high a rate in ``n`` is no chance where the true one is at most ``limit``.

    Chernoff: P(X >= n·rate) <= exp(-n·KL(rate ‖ limit)) for X binomial with ``limit`` < ``rate``.
    """
    if limit <= 0.0:
        return n > 0
    if limit >= 1.0:
        return False
    divergence = rate * math.log(rate / limit)
    if rate < 1.0:
        divergence += (1 - rate) * math.log((1 - rate) / (1 - limit))
    return n * divergence > _SURELY


def describe(seen: Observation) -> str:
    """Return what was seen, in a few words."""
    words = [f"{seen.requests:,} requests, {seen.errors:,} failed"]
    if seen.p99_ms is not None:
        words.append(f"p99 {seen.p99_ms:.3g} ms")
    if seen.divergence is not None:
        words.append(f"differs by {seen.divergence:.3g} over {seen.compared:,}")
    return ", ".join(words)
