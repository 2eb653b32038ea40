"""``modelci registry check-ref`` and ``diff``: what one tag did, and two versions side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelci.domain.registry import (
    ArtifactState,
    Event,
    TagRecord,
    fold_registry,
    list_events,
)
from modelci.domain.tags import Action, Query, TagName
from modelci.errors import ConfigError, UsageError
from modelci.ports import Git, SnapshotReader
from modelci.workflows.registry import FETCH, Settings, Tags, narrow, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one tag did to its artifact, and whether that still stands."""

    event: Event
    state: ArtifactState
    standing: bool


def check_ref(source: Tags, settings: Settings, ref: str) -> Reading:
    """Return what a tag did, by its name or full ref; UsageError where it is none of the registry.

    For a tag that breaks a rule the error says which.
    """
    wanted = ref.removeprefix("refs/tags/")
    name = TagName.parse(wanted)
    if name is None:
        raise UsageError(
            f"{wanted!r} is no tag of the registry.",
            hint="Its tags look like NAME@v1.2.0, NAME#stage#4 or NAME@deprecated.",
        )
    tags = source.tags([name.artifact])
    record = next((tag for tag in tags if tag.tag == wanted), None)
    if record is None:
        raise UsageError(f"There is no tag {wanted!r}.", hint=FETCH)
    states = fold_registry(tags, holder=settings.holder)
    if record.flaw is not None:
        said = (one.message for state in states for one in state.problems if one.ref == wanted)
        why = next(said, "it is lightweight: only annotated tags count")
        raise UsageError(
            f"{wanted} does not count ({record.flaw}): {why}.", hint="`modelci doctor`"
        )
    (state,) = states
    event = next(one for one in list_events(tags) if one.tag is record)
    return Reading(event=event, state=state, standing=_stands(record, state))


def _stands(tag: TagRecord, state: ArtifactState) -> bool:
    """Whether the artifact is still as the tag made it."""
    version, stage = tag.name.version, tag.name.stage
    if stage is not None:
        holder = state.stages.get(stage)
        if tag.name.action is Action.ASSIGN:
            return holder is not None and holder.tag == tag.tag
        return holder is None or holder.commit != tag.commit
    if version is not None:
        active = any(
            one.active and one.version == version and one.commit == tag.commit
            for one in state.versions
        )
        return active is (tag.name.action is Action.REGISTER)
    return state.deprecated


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison, with what can be told of it."""

    query: Query
    artifact: str
    label: str | None
    commit: str
    tag: str
    seconds: int
    tagger: str
    path: str | None
    hash: str | None
    metrics: Mapping[str, object]
    is_from_commit: bool


def compare(
    source: Tags,
    settings: Settings,
    queries: tuple[Query, Query],
    *,
    git: Git,
    reader: SnapshotReader,
) -> tuple[Side, Side]:
    """Return two versions with hash and metrics: of the commit where it is here, else of its tags.

    A commit whose files cannot be read counts as not here.
    """
    base, head = (_side(source, settings, one, git, reader) for one in queries)
    return base, head


def _side(source: Tags, settings: Settings, query: Query, git: Git, reader: SnapshotReader) -> Side:
    states = fold_registry(source.tags([query.artifact]), holder=settings.holder)
    if not states:
        raise unknown(query.artifact, source)
    is_bare = query.version is None and query.stage is None
    state = narrow(states[0], query._replace(version="latest") if is_bare else query)
    held = next(iter(state.stages.values()), None) if query.stage else None
    version = state.versions[0] if state.versions else None
    found = held or version
    if found is None:
        raise UsageError(f"{query} has no version.", hint=FETCH)
    told = _trailers(version.message if version else "") or _trailers(found.message)
    label = f"v{version.version}" if version else None
    path = next(iter(told.get("Modelci-Path", ())), None)
    side = Side(
        query=query,
        artifact=state.name,
        label=label,
        commit=found.commit,
        tag=found.tag,
        seconds=found.seconds,
        tagger=found.tagger,
        path=path,
        hash=next(iter(told.get("Modelci-Hash", ())), None),
        metrics=dict(_metric(text) for text in told.get("Modelci-Metric", ())),
        is_from_commit=False,
    )
    return _look_into_commit(side, git, reader)


def _look_into_commit(side: Side, git: Git, reader: SnapshotReader) -> Side:
    if not git.has(side.commit):
        return side
    try:
        snapshot = reader.read(git.tree(side.commit))
    except ConfigError:
        return side
    declared = next((one for one in snapshot.artifacts if one.name == side.artifact), None)
    path = declared.path if declared else side.path
    tracked = snapshot.tracked.get(path) if path else None
    known = f"{tracked.hash_name}:{tracked.hash}" if tracked and tracked.hash else side.hash
    metrics: Mapping[str, object] = {str(key): value for key, value in snapshot.metrics.items()}
    return replace(
        side, path=path, hash=known, metrics=metrics or side.metrics, is_from_commit=bool(metrics)
    )


def _trailers(message: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in message.splitlines():
        key, mark, value = line.partition(": ")
        if mark and key.startswith("Modelci-"):
            found.setdefault(key, []).append(value.strip())
    return found


def _metric(text: str) -> tuple[str, object]:
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        return name, value
