"""``modelci deployments``: what runs where, and whether the registry still says so."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modelci.domain.deployment import Deployed, Deployments, Running, TargetState
from modelci.domain.registry import ArtifactState, Assignment, Holder, fold_registry
from modelci.domain.wording import meant
from modelci.errors import ModelCIError, UsageError
from modelci.ports import Git, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target, and the stages that it takes."""

    name: str
    kind: str
    stages: tuple[str, ...]
    target: Callable[[], Target]


def list_deployments(
    places: Sequence[Place], git: Git, *, holder: Holder, artifact: str | None = None
) -> Deployments:
    """Ask each target what it runs, of all artifacts or one, and the remote's tags what it should.

    A target, or a remote, that does not answer is a note. Raises UsageError for an artifact that
    neither knows, where all of them answered.
    """
    notes: list[str] = []
    found = [one for place in places for one in _read(place, artifact, notes)]
    states = _registry(git, artifact, holder, notes)
    if artifact is not None and not found and not states and not notes:
        raise _unknown(artifact, places, git)
    stages = {place.name: place.stages for place in places}
    deployed = [_compare(one, stages[one.target], states) for one in found]
    notes += _never_deployed(places, found, states)
    return Deployments(deployed=tuple(deployed), notes=tuple(notes))


def _unknown(artifact: str, places: Sequence[Place], git: Git) -> UsageError:
    deployed = {name for place in places for name in place.target().artifacts()}
    tagged = {tag.name.artifact for tag in git.tags(remote=git.remote(), messages=False)}
    known = sorted(deployed | tagged)
    listed = f"There are {', '.join(known[:_MOST_NAMED])}." if known else "Nothing was tagged yet."
    return UsageError(
        f"No target has run, and no tag speaks of, an artifact {artifact!r}.",
        hint=meant(artifact, known).rstrip() or listed,
    )


_MOST_NAMED = 10


def _read(place: Place, artifact: str | None, notes: list[str]) -> Iterator[Deployed]:
    try:
        target = place.target()
        for name in target.artifacts():
            if artifact in {None, name}:
                yield Deployed(
                    target=place.name,
                    kind=place.kind,
                    artifact=name,
                    state=target.read(name),
                    healthy=target.answers(name),
                )
    except ModelCIError as error:
        notes.append(f"{place.name} does not tell what runs there: {error}")


def _registry(
    git: Git, artifact: str | None, holder: Holder, notes: list[str]
) -> Mapping[str, ArtifactState]:
    try:
        tags = git.tags(None if artifact is None else [artifact], remote=git.remote())
    except ModelCIError as error:
        notes.append(f"What the registry says now is not known: {error}")
        return {}
    return {one.name: one for one in fold_registry(tags, holder=holder)}


def _compare(one: Deployed, stages: Sequence[str], states: Mapping[str, ArtifactState]) -> Deployed:
    state = states.get(one.artifact)
    if state is None:
        return one
    differs = tuple(_differences(one.state, stages, state))
    return replace(one, differs=differs)


def _differences(found: TargetState, stages: Sequence[str], state: ArtifactState) -> Iterator[str]:
    """Yield what of the target's stages is held by another commit than runs."""
    running = found.running
    for stage in stages:
        held = state.stages.get(stage)
        if held is not None and (running is None or held.commit != running.commit):
            yield f"behind: {stage} holds {_holds(held)}"
    if running is not None and not any(stage in state.stages for stage in stages):
        yield from _withdrawn(running, state, stages)


def _holds(held: Assignment) -> str:
    return f"{held.label} ({held.tag})"


def _withdrawn(running: Running, state: ArtifactState, stages: Sequence[str]) -> Iterator[str]:
    version = next((one for one in state.versions if one.commit == running.commit), None)
    if version is not None and not version.active:
        yield f"{running.label} was deregistered"
    elif state.deprecated:
        yield f"{state.name} is deprecated"
    elif stages:
        yield f"no version holds {' or '.join(stages)}"


def _never_deployed(
    places: Sequence[Place], found: Sequence[Deployed], states: Mapping[str, ArtifactState]
) -> Iterator[str]:
    known = {(one.target, one.artifact) for one in found}
    for place in places:
        for name, state in states.items():
            for stage in place.stages:
                held = state.stages.get(stage)
                if held is not None and (place.name, name) not in known:
                    yield f"{place.name}: {name} never ran there, and {stage} holds {_holds(held)}"
