"""Events, stages, one tag, and two versions side by side: as tables, and as lines for scripts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelci.documents.registry_views import (
    EventEntry,
    RegistryDiff,
    RegistryHistory,
    RegistryRef,
    RegistryStages,
    SideEntry,
)
from modelci.render.registry import (
    ABSENT,
    BOLD,
    EMPTY,
    RULES,
    clean,
    holder_label,
    paint,
    plain_lines,
    table,
)

if TYPE_CHECKING:
    from modelci.domain.signatures import Verification


def render_history(history: RegistryHistory, *, width: int = 100, colour: bool = False) -> str:
    """Return what happened, the newest first."""
    del width
    if not history.events:
        return EMPTY
    titles = ["When", "Artifact", "Event", "Version", "Stage", "Commit", "By"]
    return table(titles, map(_event, history.events), colour=colour)


def _event(one: EventEntry) -> list[str]:
    return [
        *(one.at, one.artifact, one.event, one.version or ABSENT, one.stage or ABSENT),
        *(one.commit[:7], clean(one.by)),
    ]


def render_stages(stages: RegistryStages, *, width: int = 100, colour: bool = False) -> str:
    """Return each stage with what holds it."""
    del width
    if not stages.stages:
        return "No stage is held, and no .gto names any.\n"
    rows = [
        [f"{one.stage}{'' if one.allowed else ' (not in .gto)'}", name, label]
        for one in stages.stages
        for name, label in [(name, holder_label(held)) for name, held in one.holders.items()]
        or [(ABSENT, ABSENT)]
    ]
    drawn = table(["Stage", "Artifact", "Held by"], rows, colour=colour)
    return f"{drawn}\n{RULES[stages.holder]}\n"


def render_ref(reading: RegistryRef, *, width: int = 100, colour: bool = False) -> str:
    """Return what one tag did, and whether that stands."""
    del width
    event = reading.event
    what = " ".join(part for part in (event.version, event.stage and f"#{event.stage}") if part)
    state = "it stands" if reading.standing else "it does not stand any more"
    head = f"{event.tag}: {event.event} of {event.artifact}{what and f' {what}'}; {state}."
    by = f"By {clean(event.by)}, {event.at}, at {event.commit}."
    return f"{paint(head, BOLD, colour=colour)}\n{by}\n"


def render_diff(diff: RegistryDiff, *, width: int = 100, colour: bool = False) -> str:
    """Return two versions side by side, and their metrics."""
    del width
    rows = [
        [title, clean(base), clean(head)]
        for title, base, head in zip(_SIDE, _side(diff.base), _side(diff.head), strict=True)
    ]
    parts = [table(["", clean(diff.base.asked), clean(diff.head.asked)], rows, colour=colour)]
    same = {True: "The bytes are the same.", False: "The bytes differ.", None: ""}[diff.same_bytes]
    parts += [f"{same}\n"] if same else []
    if diff.metrics:
        metrics = [
            [clean(one.metric), _value(one.base), _value(one.head), _value(one.change, sign="+")]
            for one in diff.metrics
        ]
        parts.append(table(["Metric", "Base:", "Head:", "Change:"], metrics, colour=colour))
    return "\n".join(parts)


_SIDE = ("Version", "Commit", "Tag", "When", "By", "Path", "Hash", "Metrics from")


def _side(side: SideEntry) -> tuple[str, ...]:
    known = (side.version, side.commit[:7], side.tag, side.at, side.by, side.path, side.hash)
    return (*(part or ABSENT for part in known), side.source)


def plain_history(history: RegistryHistory) -> str:
    """Return a line for each event: time, artifact, event, version, stage, commit, tag, by."""
    return plain_lines(map(_plain_event, history.events))


def _plain_event(one: EventEntry) -> Sequence[str]:
    known = (one.at, one.artifact, one.event, one.version or "", one.stage or "")
    return (*known, one.commit, one.tag, one.by)


def plain_stages(stages: RegistryStages) -> str:
    """Return a line for each holder (stage, artifact, version, commit), and for each free stage."""
    return plain_lines(
        row
        for one in stages.stages
        for row in [
            (one.stage, name, held.version or "", held.commit) for name, held in one.holders.items()
        ]
        or [(one.stage, "", "", "")]
    )


def plain_ref(reading: RegistryRef) -> str:
    """Return the event's line, and whether it is standing or superseded."""
    state = "standing" if reading.standing else "superseded"
    return plain_lines([(*_plain_event(reading.event), state)])


def plain_diff(diff: RegistryDiff) -> str:
    """Return lines of a name, base and head: version, commit, hash, then each metric."""
    pairs = [("version", "version"), ("commit", "commit"), ("hash", "hash")]
    sides = [(name, getattr(diff.base, at), getattr(diff.head, at)) for name, at in pairs]
    metrics = [(one.metric, one.base, one.head) for one in diff.metrics]
    rows = [*sides, *metrics]
    return plain_lines(["" if one is None else str(one) for one in row] for row in rows)


def plain_verification(found: "Verification") -> str:
    """Return a line for each tag: tag, artifact, standing, kind, signer, key, reason."""
    return plain_lines(
        (
            *(one.tag, one.artifact, one.standing, one.kind or "", one.signer or ""),
            *(one.key or "", one.reason or ""),
        )
        for one in found.tags
    )


def _value(value: object, *, sign: str = "") -> str:
    if isinstance(value, float):
        return format(value, f"{sign}.6g")
    return ABSENT if value is None else clean(str(value))
