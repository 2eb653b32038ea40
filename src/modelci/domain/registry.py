"""The registry as a fold over tags: which versions there are, and which holds a stage.

The rules are GTO's: only annotated tags count, the tagger's instant orders them (ties by
name), an assignment belongs to the version registered on its target commit, and the newest
assignment among active versions holds the stage.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from modelci.domain.tags import Action, TagName
from modelci.domain.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRecord:
    """An annotated tag: ``seconds`` is the tagger's instant (Unix time)."""

    name: TagName
    ref: str
    commit: str
    seconds: int
    tagger: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A version that holds a stage; a commit that was never registered has no ``version``."""

    stage: str
    version: Version | None
    commit: str
    tag: str
    seconds: int
    tagger: str = ""

    @property
    def label(self) -> str:
        """The version as people write it, or the short commit."""
        return f"v{self.version}" if self.version else self.commit[:7]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A registered version; an inactive one was deregistered."""

    version: Version
    commit: str
    tag: str
    seconds: int
    active: bool
    tagger: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactState:
    """One artifact of the registry; ``versions`` newest first, by semantic version."""

    name: str
    versions: tuple[RegisteredVersion, ...] = ()
    stages: Mapping[str, Assignment] = field(default_factory=dict)
    deprecated: bool = False
    counter: int = 0
    newest_seconds: int = 0

    @property
    def latest(self) -> RegisteredVersion | None:
        """The greatest active version."""
        return next((version for version in self.versions if version.active), None)

    def version_at(self, commit: str) -> RegisteredVersion | None:
        """Return the active version registered on ``commit``."""
        return next((one for one in self.versions if one.active and one.commit == commit), None)


def fold_registry(tags: Iterable[TagRecord]) -> tuple[ArtifactState, ...]:
    """Return the state of every artifact that a tag names, by name."""
    by_name = sorted(tags, key=lambda tag: tag.name.artifact)
    return tuple(
        _fold_artifact(name, sorted(group, key=lambda tag: (tag.seconds, str(tag.name))))
        for name, group in groupby(by_name, key=lambda tag: tag.name.artifact)
    )


def newest_version(
    states: Iterable[ArtifactState], *, besides: Container[str]
) -> RegisteredVersion | None:
    """Return the active version that was registered last, on none of the commits ``besides``.

    It is what a promotion is judged against: a model that was blocked when it was merged must not
    slip through with the next commit, which changes nothing about it.
    """
    versions = (one for state in states for one in state.versions)
    return max(
        (one for one in versions if one.active and one.commit not in besides),
        key=lambda one: (one.seconds, one.tag),
        default=None,
    )


def _fold_artifact(name: str, tags: list[TagRecord]) -> ArtifactState:
    versions = _fold_versions(tags)
    return ArtifactState(
        name=name,
        versions=tuple(sorted(versions, key=lambda one: one.version, reverse=True)),
        stages=_fold_stages(tags, versions),
        deprecated=tags[-1].name.action is Action.DEPRECATE,
        counter=max((tag.name.counter or 0 for tag in tags), default=0),
        newest_seconds=tags[-1].seconds,
    )


def _fold_versions(tags: list[TagRecord]) -> list[RegisteredVersion]:
    registered: dict[Version, TagRecord] = {}
    withdrawn: dict[Version, int] = {}
    for tag in tags:
        if tag.name.version is None:
            continue
        if tag.name.action is Action.REGISTER:
            registered[tag.name.version] = tag
        else:
            withdrawn[tag.name.version] = tag.seconds
    return [
        RegisteredVersion(
            version=version,
            commit=tag.commit,
            tag=str(tag.name),
            seconds=tag.seconds,
            # In one and the same second the withdrawal wins, whatever the names.
            active=withdrawn.get(version, -1) < tag.seconds,
            tagger=tag.tagger,
            message=tag.message,
        )
        for version, tag in registered.items()
    ]


def _fold_stages(tags: list[TagRecord], versions: list[RegisteredVersion]) -> dict[str, Assignment]:
    # Where a version was withdrawn and its commit registered anew, the active one counts.
    by_commit = {one.commit: one for one in sorted(versions, key=lambda one: one.active)}
    standing: dict[tuple[str, str], Assignment | None] = {}
    # In one and the same second an unassignment wins, as GTO has it.
    for tag in sorted(tags, key=lambda tag: (tag.seconds, tag.name.action is Action.UNASSIGN)):
        stage = tag.name.stage
        if stage is None:
            continue
        version = by_commit.get(tag.commit)
        standing[tag.commit, stage] = (
            Assignment(
                stage=stage,
                version=version.version if version else None,
                commit=tag.commit,
                tag=str(tag.name),
                seconds=tag.seconds,
                tagger=tag.tagger,
            )
            if tag.name.action is Action.ASSIGN and (version is None or version.active)
            else None
        )
    holders = sorted(
        (one for one in standing.values() if one), key=lambda one: (one.seconds, one.tag)
    )
    return dict(sorted({one.stage: one for one in holders}.items()))
