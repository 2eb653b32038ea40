"""The registry as documents: versions and stages as people and other tools read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from modelci.domain.registry import (
    ArtifactState,
    Assignment,
    Doubt,
    Holder,
    RegisteredVersion,
    Rule,
    TagProblem,
    TagWarning,
)

if TYPE_CHECKING:
    from modelci.domain.artifacts import Artifact


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
class DeclaredEntry:
    """What ``dvc.yaml`` says of an artifact in the work tree."""

    path: str
    type: str | None
    desc: str | None
    labels: tuple[str, ...]
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemEntry:
    """A tag that breaks a rule, and what to do about it."""

    ref: str
    rule: Rule
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningEntry:
    """A doubt about an answer, of a ``stage`` where it concerns one."""

    doubt: Doubt
    message: str
    stage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEntry:
    """One artifact; ``versions`` newest first.

    ``problems`` are tags that break a rule and do not count; ``declared`` is only there where one
    artifact was asked for.
    """

    name: str
    latest: str | None
    deprecated: bool
    versions: tuple[VersionEntry, ...]
    stages: Mapping[str, StageEntry]
    problems: tuple[ProblemEntry, ...] = ()
    warnings: tuple[WarningEntry, ...] = ()
    declared: DeclaredEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every artifact, by name; or the one that was ``asked`` for, with what was asked of it.

    ``holder`` says which of a stage's versions holds it.
    """

    artifacts: tuple[ArtifactEntry, ...]
    holder: Holder = Holder.NEWEST
    asked: str | None = None


def registry_document(
    states: Iterable[ArtifactState],
    *,
    holder: Holder = Holder.NEWEST,
    asked: str | None = None,
    declared: "Artifact | None" = None,
) -> Registry:
    """Return the document of these states."""
    artifacts = tuple(artifact_entry(state, declared) for state in states)
    return Registry(artifacts=artifacts, holder=holder, asked=asked)


def artifact_entry(state: ArtifactState, declared: "Artifact | None" = None) -> ArtifactEntry:
    """Return an artifact's part of a document."""
    latest = state.latest
    return ArtifactEntry(
        name=state.name,
        latest=f"v{latest.version}" if latest else None,
        deprecated=state.deprecated,
        versions=tuple(_version(one) for one in state.versions),
        stages={name: stage_entry(one) for name, one in state.stages.items()},
        problems=problem_entries(state.problems),
        warnings=warning_entries(state.warnings),
        declared=_declared(declared) if declared else None,
    )


def problem_entries(found: Iterable[TagProblem]) -> tuple[ProblemEntry, ...]:
    """Return the tags that break a rule."""
    return tuple(ProblemEntry(ref=one.ref, rule=one.rule, message=one.message) for one in found)


def warning_entries(found: Iterable[TagWarning]) -> tuple[WarningEntry, ...]:
    """Return the doubts."""
    return tuple(
        WarningEntry(doubt=one.doubt, message=one.message, stage=one.stage) for one in found
    )


def stage_entry(one: Assignment) -> StageEntry:
    """Return what holds a stage."""
    return StageEntry(
        version=f"v{one.version}" if one.version else None,
        commit=one.commit,
        tag=one.tag,
        since=instant(one.seconds),
        by=one.tagger,
    )


def _version(one: RegisteredVersion) -> VersionEntry:
    return VersionEntry(
        version=f"v{one.version}",
        commit=one.commit,
        tag=one.tag,
        registered=instant(one.seconds),
        by=one.tagger,
        active=one.active,
    )


def _declared(one: "Artifact") -> DeclaredEntry:
    return DeclaredEntry(
        path=one.path, type=one.type, desc=one.desc, labels=one.labels, meta=one.meta
    )


def instant(seconds: int) -> str:
    """Return Unix seconds as UTC in ISO 8601."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # a date of nobody's calendar
        return str(seconds)
