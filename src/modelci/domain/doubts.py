"""Doubts about the registry's answers that need more than its tags: clocks, and ``.gto``."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from modelci.domain.registry import ArtifactState, Doubt, TagWarning

_AHEAD = 300  # seconds that clocks may be apart
_DAY = 86_400


class Restrictions(NamedTuple):
    """What ``.gto`` allows; None: anything."""

    stages: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None


def deciding_commits(states: tuple[ArtifactState, ...]) -> tuple[str, ...]:
    """Return the commits that stages and latest versions are on, each once."""
    held = (one.commit for state in states for one in state.stages.values())
    latest = (state.latest.commit for state in states if state.latest)
    return tuple(dict.fromkeys((*held, *latest)))


def doubt_clocks(
    state: ArtifactState, *, now: int, commit_times: Mapping[str, int]
) -> Iterator[TagWarning]:
    """Yield tags of the future, and deciding tags that are older than their commit."""
    ahead = (one for one in state.versions if one.seconds > now + _AHEAD)
    deciding = (*state.stages.values(), *((state.latest,) if state.latest else ()), *ahead)
    for one in {one.tag: one for one in deciding}.values():
        if one.seconds > now + _AHEAD:
            message = f"{one.tag} is from the future: until then it is the newest"
            yield TagWarning(doubt=Doubt.FUTURE, message=message)
        made = commit_times.get(one.commit)
        if made is not None and made - one.seconds > _DAY:
            days = (made - one.seconds) // _DAY
            message = f"{one.tag} is {days} days older than the commit it tags: whose clock is off?"
            yield TagWarning(doubt=Doubt.SKEW, message=message)


def doubt_names(
    state: ArtifactState, restrictions: Restrictions, *, type_: str | None = None
) -> Iterator[TagWarning]:
    """Yield stages and a type that ``.gto`` does not allow."""
    if restrictions.stages is not None:
        for stage in state.stages:
            if stage not in restrictions.stages:
                message = f"{stage} is none of the stages that .gto allows"
                yield TagWarning(doubt=Doubt.STAGE, stage=stage, message=message)
    if restrictions.types is not None and type_ is not None and type_ not in restrictions.types:
        message = f"its type, {type_}, is none of those that .gto allows"
        yield TagWarning(doubt=Doubt.TYPE, message=message)
