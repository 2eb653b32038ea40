"""Watches a release's traffic until it is clear whether it stays."""

from modelci.domain.deploying import Limits, Ruling, Verdict, judge_observation
from modelci.domain.deployment import Observation, Release
from modelci.workflows.deploy_plan import Tools

_LOOKS = 10
_LONGEST = 2.0  # seconds between two looks


def watch(
    release: Release, tools: Tools, limits: Limits, *, is_trial: bool
) -> tuple[Observation | None, Ruling]:
    """Return what was seen last of the release, and what it comes to.

    A target that sees no traffic is no place for a trial; after a switch it is not held against
    the release, and the ruling has no reason.
    """
    between = min(_LONGEST, max(limits.watch_seconds / _LOOKS, 0.01))
    began = tools.clock()
    with tools.progress.busy(f"Watching {release.id}", limits.watch_seconds, "s"):
        while True:
            tools.checkpoint()
            elapsed = tools.clock() - began
            seen = tools.target.observe(release, seconds=elapsed)
            if seen is None:
                return None, _unseen(tools.target.name, is_trial=is_trial)
            ruling = judge_observation(seen, limits, elapsed=elapsed, is_trial=is_trial)
            if ruling.verdict is not Verdict.WAIT:
                return seen, ruling
            tools.pause(between)


def _unseen(target: str, *, is_trial: bool) -> Ruling:
    if is_trial:
        why = f"{target} does not see its traffic, so a trial there proves nothing"
        return Ruling(verdict=Verdict.ABORT, reason=why)
    return Ruling(verdict=Verdict.PROMOTE, reason="")
