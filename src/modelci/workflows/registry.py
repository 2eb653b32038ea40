"""``modelci registry``: which versions there are and which stage each holds, from tags alone."""

from collections.abc import Mapping, Sequence
from posixpath import normpath
from typing import TYPE_CHECKING, NamedTuple, Protocol

from modelci.domain.doubts import Restrictions, deciding_commits, doubt_clocks, doubt_names
from modelci.domain.registry import (
    ArtifactState,
    Assignment,
    Event,
    Holder,
    RegisteredVersion,
    TagProblem,
    TagRecord,
    find_version,
    fold_registry,
    list_events,
)
from modelci.domain.tags import Query
from modelci.domain.wording import meant
from modelci.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from modelci.domain.artifacts import Artifact
    from modelci.ports import Git, SnapshotReader

FETCH = "`git fetch --tags` brings the remote's tags, or use --remote."
_FORMS = "NAME, NAME@latest, NAME@v1.2.0 or NAME#stage"


class Tags(Protocol):
    """The part of ``ports.Git`` that the registry needs, of this clone or of a remote."""

    def tags(
        self, artifacts: Sequence[str] | None = None, *, messages: bool = True
    ) -> tuple[TagRecord, ...]:
        """Return the registry's tags."""

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        """Return when those of the commits that are here were made, in Unix seconds."""


class Settings(NamedTuple):
    """How the registry is read: ``now`` is Unix seconds."""

    now: int
    holder: Holder = Holder.NEWEST
    restrictions: Restrictions = Restrictions()


class RemoteTags(NamedTuple):
    """The tags of a remote, fetched when they are asked for."""

    git: "Git"
    remote: str

    def tags(
        self, artifacts: Sequence[str] | None = None, *, messages: bool = True
    ) -> tuple[TagRecord, ...]:
        """Return the remote's tags."""
        return self.git.tags(artifacts, remote=self.remote, messages=messages)

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        """Return when those of the commits that are here were made."""
        return self.git.commit_times(shas)


def parse_query(text: str) -> Query:
    """Return what a person asks for, or raise UsageError with the forms there are."""
    query = Query.parse(text)
    if query is None:
        raise UsageError(f"{text!r} names nothing of a registry.", hint=f"Give {_FORMS}.")
    return query


def show_registry(
    source: Tags, settings: Settings, query: Query | None = None, *, type_: str | None = None
) -> tuple[ArtifactState, ...]:
    """Return the artifacts with every doubt about them; with a ``query`` only what it means.

    ``type_`` is what ``dvc.yaml`` says of the one asked for.
    """
    tags = source.tags(None if query is None else [query.artifact], messages=False)
    states = fold_registry(tags, holder=settings.holder)
    if query is not None and not states:
        raise unknown(query.artifact, source)
    times = source.commit_times(deciding_commits(states))
    doubtful = (_doubt(state, settings, times, type_) for state in states)
    return tuple(doubtful if query is None else (narrow(state, query) for state in doubtful))


def read_history(
    source: Tags, artifact: str | None, *, messages: bool = True
) -> tuple[tuple[Event, ...], tuple[TagProblem, ...]]:
    """Return what happened (to an artifact), the newest first, and the tags that do not count."""
    tags = source.tags(None if artifact is None else [artifact], messages=messages)
    states = fold_registry(tags)
    if artifact is not None and not states:
        raise unknown(artifact, source)
    problems = tuple(problem for state in states for problem in state.problems)
    return list_events(tags), problems


def _doubt(
    state: ArtifactState, settings: Settings, times: Mapping[str, int], type_: str | None
) -> ArtifactState:
    found = (
        *doubt_clocks(state, now=settings.now, commit_times=times),
        *doubt_names(state, settings.restrictions, type_=type_),
    )
    return state._replace(warnings=(*state.warnings, *found)) if found else state


def narrow(state: ArtifactState, query: Query) -> ArtifactState:
    """Keep the version (and the stages it holds), or the stage (and its version) asked for."""
    if query.stage is not None:
        holder = state.stages.get(query.stage)
        if holder is None:
            known = ", ".join(f"{state.name}#{one}" for one in state.stages)
            raise UsageError(
                f"Nothing of {state.name} holds stage {query.stage!r}.",
                hint=f"There are {known}." if known else "None of its stages is held.",
            )
        kept = tuple(one for one in state.versions if _is_of(holder, one))
        return state._replace(versions=kept[:1], stages={query.stage: holder})
    if query.version is None:
        return state
    found = find_version(state, query.version)
    if found is None:
        raise UsageError(
            f"{state.name} has no version {query.version}.",
            hint=f"`modelci registry show {state.name}` lists them.",
        )
    stages = {name: one for name, one in state.stages.items() if _is_of(one, found)}
    return state._replace(versions=(found,), stages=stages)


def _is_of(assignment: Assignment, version: RegisteredVersion) -> bool:
    return assignment.version == version.version and assignment.commit == version.commit


def unknown(name: str, source: Tags) -> UsageError:
    """Return the error for an artifact without tags."""
    near = meant(name, (tag.name.artifact for tag in source.tags(messages=False)))
    return UsageError(f"No tag speaks of an artifact {name!r}.", hint=f"{near}{FETCH}")


def read_restrictions(data: bytes | None) -> Restrictions:
    """Return what a ``.gto`` file allows; ConfigError where it is no mapping of lists."""
    if data is None:
        return Restrictions()
    from modelci.formats import parse_yaml  # noqa: PLC0415 - most projects have no such file

    found = parse_yaml(data, ".gto") or {}
    if not isinstance(found, dict):
        raise ConfigError(".gto must hold keys and values.", hint="`stages: [dev, prod]`")
    return Restrictions(stages=_names(found, "stages"), types=_names(found, "types"))


def _names(found: Mapping[str, object], key: str) -> tuple[str, ...] | None:
    names = found.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f".gto: {key} must be a list of names.", hint=f"`{key}: [a, b]`")
    return tuple(names)


def find_declared(data: bytes, name: str) -> "Artifact | None":
    """Return what a plain ``dvc.yaml`` says of an artifact of its folder.

    None where it says nothing, or nothing plain: templates and odd shapes are for DVC's reader.
    """
    from modelci.domain.artifacts import Artifact  # noqa: PLC0415
    from modelci.formats import parse_yaml  # noqa: PLC0415

    folder, _, short = name.rpartition(":")
    content = parse_yaml(data, "dvc.yaml")
    section = content.get("artifacts") if isinstance(content, dict) else None
    entry = section.get(short) if isinstance(section, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        return None
    labels, meta = entry.get("labels") or [], entry.get("meta") or {}
    return Artifact(
        name=name,
        path=normpath(f"{folder}/{entry['path']}" if folder else entry["path"]),
        type=_text(entry.get("type")),
        desc=_text(entry.get("desc")),
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        meta={str(key): value for key, value in meta.items()} if isinstance(meta, dict) else {},
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def read_declared(git: "Git", reader: "SnapshotReader", name: str) -> "Artifact | None":
    """Return what ``dvc.yaml`` in the work tree says of an artifact, its templates filled in."""
    snapshot = reader.read(git.work_tree())
    return next((one for one in snapshot.artifacts if one.name == name), None)
