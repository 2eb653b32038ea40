"""Promotion: which versions to register and which stages to assign, decided before it is done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modelci.domain.artifacts import Artifact
from modelci.domain.registry import ArtifactState
from modelci.domain.tags import Action, TagName
from modelci.domain.versions import FIRST_VERSION, Part, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An artifact as the commit holds it; ``hash`` is ``md5:…`` as ``dvc.lock`` has it.

    ``last_hash`` is that of the latest version's bytes, None where none can be told.
    """

    artifact: Artifact
    hash: str | None
    last_hash: str | None = None
    assign: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTag:
    """An annotated tag to create; ``seconds`` is the tagger's instant, so that it is repeatable."""

    name: str
    artifact: str
    commit: str
    seconds: int
    subject: str
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def message(self) -> str:
        """The tag's message: a subject, and trailers that ``git`` reads back."""
        # A line break in a path must not start a trailer of its own.
        lines = [f"{key}: {' '.join(value.splitlines())}" for key, value in self.trailers]
        return "\n".join([self.subject, *([""] if lines else []), *lines, ""])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpromoted:
    """An artifact that is left as it is, and why."""

    artifact: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promotion does (or did, once ``done``): tags to create, artifacts left alone."""

    commit: str
    tags: tuple[PlannedTag, ...] = ()
    unpromoted: tuple[Unpromoted, ...] = ()
    remote: str | None = None
    done: bool = False
    notes: tuple[str, ...] = ()


def plan_promotion(
    candidates: Sequence[Candidate],
    registry: Mapping[str, ArtifactState],
    *,
    commit: str,
    committed_seconds: int,
    bump: Part = "patch",
    trailers: Sequence[tuple[str, str]] = (),
) -> Promotion:
    """Plan only what is missing, so that a promotion cut short can simply be run again."""
    tags: list[PlannedTag] = []
    unpromoted: list[Unpromoted] = []
    for candidate in candidates:
        name = candidate.artifact.name
        state = registry.get(name, ArtifactState(name=name))
        named = _name_tags(candidate, state, commit, bump)
        if isinstance(named, str):
            unpromoted.append(Unpromoted(artifact=name, reason=named))
            continue
        tags.extend(
            PlannedTag(
                name=str(tag),
                artifact=name,
                commit=commit,
                # Later than every tag there is: a commit may be older than the last promotion.
                seconds=max(committed_seconds, state.newest_seconds + 1),
                subject=subject,
                trailers=(*_own_trailers(candidate, state), *trailers),
            )
            for tag, subject in named
        )
    return Promotion(commit=commit, tags=tuple(tags), unpromoted=tuple(unpromoted))


def _name_tags(
    candidate: Candidate, state: ArtifactState, commit: str, bump: Part
) -> list[tuple[TagName, str]] | str:
    """Return the artifact's missing tags with their subjects, or why there are none."""
    if candidate.hash is None:
        return f"{candidate.artifact.path} is in no dvc.lock: run the pipeline"
    here = state.version_at(commit)
    latest = state.latest
    if here is None and latest is not None and candidate.last_hash == candidate.hash:
        return f"unchanged since v{latest.version}"
    if here is not None and latest is not None and here.version < latest.version:
        return f"v{here.version} is here, v{latest.version} is newer: that would be a rollback"
    version = here.version if here else _next_version(state, bump)
    names: list[tuple[TagName, str]] = []
    if here is None:
        register = TagName(artifact=state.name, action=Action.REGISTER, version=version)
        names.append((register, f"Register {state.name} v{version}"))
    for stage in candidate.assign:
        holder = state.stages.get(stage)
        if holder is None or holder.commit != commit:
            assign = TagName(
                artifact=state.name,
                action=Action.ASSIGN,
                stage=stage,
                counter=state.counter + len(names) + (here is not None),
            )
            names.append((assign, f"Assign {stage} to {state.name} v{version}"))
    return names or f"v{version} is already promoted from this commit"


def _own_trailers(candidate: Candidate, state: ArtifactState) -> Iterator[tuple[str, str]]:
    if state.latest:
        yield "Modelci-Previous", state.latest.tag
    yield "Modelci-Path", candidate.artifact.path
    yield "Modelci-Hash", candidate.hash or ""


def _next_version(state: ArtifactState, bump: Part) -> Version:
    # Withdrawn versions count too: a name that was once used is never used again.
    return state.versions[0].version.bump(bump) if state.versions else FIRST_VERSION
