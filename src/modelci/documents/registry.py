"""The registry as a document: versions and stages as people and other tools read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from modelci.domain.registry import ArtifactState, Assignment, RegisteredVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """A registered version, ``v1.2.3``; ``registered`` is UTC in ISO 8601."""

    version: str
    commit: str
    tag: str
    registered: str
    by: str
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """What holds a stage; a commit that was never registered has no ``version``."""

    version: str | None
    commit: str
    tag: str
    since: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEntry:
    """One artifact; ``versions`` newest first."""

    name: str
    latest: str | None
    deprecated: bool
    versions: tuple[VersionEntry, ...]
    stages: Mapping[str, StageEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every artifact, by name."""

    artifacts: tuple[ArtifactEntry, ...]


def registry_document(states: Iterable[ArtifactState]) -> Registry:
    """Return the document of these states."""
    return Registry(artifacts=tuple(_artifact(state) for state in states))


def _artifact(state: ArtifactState) -> ArtifactEntry:
    return ArtifactEntry(
        name=state.name,
        latest=f"v{state.latest.version}" if state.latest else None,
        deprecated=state.deprecated,
        versions=tuple(_version(one) for one in state.versions),
        stages={name: _stage(one) for name, one in state.stages.items()},
    )


def _version(one: RegisteredVersion) -> VersionEntry:
    return VersionEntry(
        version=f"v{one.version}",
        commit=one.commit,
        tag=one.tag,
        registered=_instant(one.seconds),
        by=one.tagger,
        active=one.active,
    )


def _stage(one: Assignment) -> StageEntry:
    return StageEntry(
        version=f"v{one.version}" if one.version else None,
        commit=one.commit,
        tag=one.tag,
        since=_instant(one.seconds),
        by=one.tagger,
    )


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
