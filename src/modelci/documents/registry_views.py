"""What else the registry is asked for: events, stages, one tag, two versions side by side.

Apart from ``registry.py``, whose document is wanted at once: each dataclass takes time to make.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelci.documents.registry import (
    ProblemEntry,
    StageEntry,
    WarningEntry,
    instant,
    problem_entries,
    stage_entry,
    warning_entries,
)
from modelci.domain.registry import ArtifactState, Event, Holder, TagProblem
from modelci.domain.tags import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry:
    """What a tag did, ``at`` UTC in ISO 8601; events are called as GTO calls them."""

    at: str
    artifact: str
    event: str
    version: str | None
    stage: str | None
    commit: str
    tag: str
    by: str
    email: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryHistory:
    """What happened, the newest first."""

    events: tuple[EventEntry, ...]
    problems: tuple[ProblemEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageUse:
    """A stage, whether ``.gto`` allows it, and what holds it by artifact."""

    stage: str
    allowed: bool
    holders: Mapping[str, StageEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStages:
    """The stages that are allowed (in the order of ``.gto``), and those in use."""

    stages: tuple[StageUse, ...]
    holder: Holder = Holder.NEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRef:
    """What one tag did; ``standing`` says whether that still holds."""

    event: EventEntry
    standing: bool
    warnings: tuple[WarningEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideEntry:
    """One side of a comparison; ``hash`` and metrics are from the commit, else from its tags."""

    asked: str
    artifact: str
    version: str | None
    commit: str
    tag: str
    at: str
    by: str
    path: str | None = None
    hash: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    source: str = "tags"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """A metric on both sides; null where a side does not have it."""

    metric: str
    base: Any
    head: Any
    change: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryDiff:
    """Two versions beside each other; ``same_bytes`` is null where a hash is unknown."""

    base: SideEntry
    head: SideEntry
    same_bytes: bool | None
    metrics: tuple[MetricChange, ...] = ()


_EVENTS = {
    Action.REGISTER: "registration",
    Action.DEREGISTER: "deregistration",
    Action.ASSIGN: "assignment",
    Action.UNASSIGN: "unassignment",
    Action.DEPRECATE: "deprecation",
    Action.CREATE: "creation",
}


def history_document(
    events: Iterable[Event], problems: Sequence[TagProblem] = ()
) -> RegistryHistory:
    """Return the document of these events."""
    return RegistryHistory(
        events=tuple(map(event_entry, events)), problems=problem_entries(problems)
    )


def event_entry(event: Event) -> EventEntry:
    """Return an event's part of a document."""
    tag = event.tag
    return EventEntry(
        at=instant(tag.seconds),
        artifact=tag.name.artifact,
        event=_EVENTS[tag.name.action],
        version=f"v{event.version}" if event.version else None,
        stage=tag.name.stage,
        commit=tag.commit,
        tag=tag.tag,
        by=tag.tagger,
        email=tag.email,
        message=tag.message.strip(),
    )


def stages_document(
    states: Sequence[ArtifactState], *, allowed: Sequence[str] | None, holder: Holder
) -> RegistryStages:
    """Return the stages: those ``allowed``, in their order, then others that are held."""
    used = sorted({stage for state in states for stage in state.stages})
    names = dict.fromkeys((*(allowed or ()), *used))
    return RegistryStages(
        holder=holder,
        stages=tuple(
            StageUse(
                stage=stage,
                allowed=allowed is None or stage in allowed,
                holders={
                    state.name: stage_entry(state.stages[stage])
                    for state in states
                    if stage in state.stages
                },
            )
            for stage in names
        ),
    )


def ref_document(event: Event, state: ArtifactState, *, standing: bool) -> RegistryRef:
    """Return what one tag did, with the doubts about its artifact."""
    warnings = warning_entries(state.warnings)
    return RegistryRef(event=event_entry(event), standing=standing, warnings=warnings)


def diff_document(base: SideEntry, head: SideEntry) -> RegistryDiff:
    """Return the comparison, metrics by name."""
    names = sorted(base.metrics.keys() | head.metrics.keys())
    same = None if base.hash is None or head.hash is None else base.hash == head.hash
    return RegistryDiff(
        base=base,
        head=head,
        same_bytes=same,
        metrics=tuple(
            _change(name, base.metrics.get(name), head.metrics.get(name)) for name in names
        ),
    )


def _change(name: str, base: object, head: object) -> MetricChange:
    change = None
    if isinstance(base, (int, float)) and isinstance(head, (int, float)):
        change = float(head) - float(base)
    return MetricChange(metric=name, base=base, head=head, change=change)
