"""Going back: an older version to a stage, and what takes versions and stages away.

Each is decided here from the artifact's tags alone, and is nothing but new tags in GTO's forms.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modelci.domain.allowance import Liftable
from modelci.domain.holds import BY, HELD, HOLD, REASON, RELEASED, Hold, held, in_order, trailers
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import (
    ArtifactState,
    Assignment,
    Holder,
    RegisteredVersion,
    TagRecord,
    fold_registry,
)
from modelci.domain.tags import Action, TagName
from modelci.domain.versions import Version
from modelci.domain.wording import meant
from modelci.errors import PromotionError, UsageError

ROLLBACK_FROM = "Modelci-Rollback-From"
HASH, VERDICT = "Modelci-Hash", "Modelci-Verdict"
_BLOCKED = "blocked"

DVC_IGNORES = (
    "DVC's own resolver (`dvc get`, `dvc artifacts get`, dvc.api) ignores this tag; "
    "only a new assignment moves what it finds: `modelci rollback`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants what of an artifact, and why; ``seconds`` is now (Unix time).

    ``to`` is the version to roll back to, or to deregister. ``force`` withdraws a version that
    holds a stage. ``holder`` says which of a stage's versions holds it. ``allowed`` is why a
    rollback to the version named may go against the rules.
    """

    artifact: str
    reason: str
    by: str
    seconds: int
    stage: str | None = None
    to: Version | None = None
    force: bool = False
    holder: Holder = Holder.NEWEST
    allowed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryChange:
    """What a change to one artifact's registry does (or did, once ``done``).

    ``action`` is rollback, release-hold, deregister, deprecate or unassign. ``before`` and
    ``after`` are what holds ``stage``: versions, commits where none is registered, or None.
    Without ``tags`` everything is already as it was asked for. ``allowed`` is the reason given for
    what the rules forbid, ``allowed_rules`` what it lifted. ``standing`` is the assignment, by tag,
    of a rollback that was done before.
    """

    action: str
    artifact: str
    reason: str
    by: str
    stage: str | None = None
    before: str | None = None
    after: str | None = None
    commit: str | None = None
    tags: tuple[PlannedTag, ...] = ()
    remote: str | None = None
    done: bool = False
    notes: tuple[str, ...] = ()
    allowed: str | None = None
    allowed_rules: tuple[Liftable, ...] = ()
    standing: tuple[str, ...] = ()


Decide = Callable[[Sequence[TagRecord], Wish], RegistryChange]


def plan_rollback(tags: Sequence[TagRecord], wish: Wish) -> RegistryChange:
    """Assign the older version again, and hold the stage there.

    Asked for twice it is done once: where the stage is held by a rollback already, another one
    must name its version. Raises PromotionError where there is nothing to go back to.
    """
    state, stage = _state(tags, wish), _stage(tags, wish)
    holder, hold = state.stages.get(stage), held(tags, wish.artifact, stage)
    if holder is not None and hold is not None and hold.commit == holder.commit:
        if wish.to == holder.version and wish.to is not None:
            return _done_before(wish, holder, f"{holder.label} holds {stage} already, and is held.")
        origin = _rolled_back_from(tags, hold)
        if wish.to is None and origin:
            return _done_before(
                wish,
                holder,
                f"{stage} is already rolled back from {origin} to {holder.label}: {hold.sentence}.",
                "Name an older version with --to to go further back.",
            )
    target = _target(tags, state, stage, wish.to)
    if holder is not None and holder.commit == target.commit:
        raise PromotionError(
            f"v{target.version} holds {stage} already ({holder.tag}).",
            hint=f"Name what to go back to with --to: {_choices(tags, state, stage)}.",
        )
    before = holder.label if holder else "nothing"
    change = _change(
        "rollback",
        state,
        wish,
        Action.ASSIGN,
        commit=target.commit,
        subject=f"Roll {stage} of {wish.artifact} back to v{target.version} from {before}",
        extra=((ROLLBACK_FROM, before), (HOLD, HELD)),
        before=holder.label if holder else None,
        after=f"v{target.version}",
        notes=(*_doubts(state, stage, target), *_revival(state)),
    )
    return _make_way(tags, wish, stage, change)


def _done_before(wish: Wish, holder: Assignment, *notes: str) -> RegistryChange:
    return replace(_nothing("rollback", wish, holder, *notes), standing=(holder.tag,))


def _make_way(
    tags: Sequence[TagRecord], wish: Wish, stage: str, change: RegistryChange
) -> RegistryChange:
    """Unassign what would hold the stage nevertheless: greater versions, where these hold it."""
    while True:
        after = _state((*tags, *_as_records(change)), wish)
        holder = after.stages[stage]
        if holder.commit == change.commit:
            return change
        name = TagName(
            artifact=wish.artifact,
            action=Action.UNASSIGN,
            stage=stage,
            counter=after.counter + 1,
        )
        more = PlannedTag(
            name=str(name),
            artifact=wish.artifact,
            commit=holder.commit,
            seconds=change.tags[0].seconds,
            subject=f"Unassign {stage} from {wish.artifact} {holder.label}: it is rolled back",
            trailers=((REASON, wish.reason), (BY, wish.by)),
        )
        change = replace(change, tags=(*change.tags, more))


def plan_release(tags: Sequence[TagRecord], wish: Wish) -> RegistryChange:
    """Let automation assign the stage again; who holds it stays.

    That is said by assigning the holder once more, or where nothing holds the stage by
    unassigning once more what was held.
    """
    state, stage = _state(tags, wish), _stage(tags, wish)
    holder, hold = state.stages.get(stage), held(tags, wish.artifact, stage)
    if hold is None:
        return _nothing("release-hold", wish, holder, f"{stage} of {wish.artifact} is not held.")
    return _change(
        "release-hold",
        state,
        wish,
        Action.ASSIGN if holder else Action.UNASSIGN,
        commit=holder.commit if holder else hold.commit,
        subject=f"Release the hold on {stage} of {wish.artifact}",
        extra=((HOLD, RELEASED),),
        before=holder.label if holder else None,
        after=holder.label if holder else None,
        notes=_revival(state),
    )


def plan_unassign(tags: Sequence[TagRecord], wish: Wish) -> RegistryChange:
    """Take the stage from what holds it; what held it before, if still active, holds it again."""
    state, stage = _state(tags, wish), _stage(tags, wish)
    holder = state.stages.get(stage)
    if holder is None:
        return _nothing("unassign", wish, None, f"Nothing holds {stage} of {wish.artifact}.")
    change = _change(
        "unassign",
        state,
        wish,
        Action.UNASSIGN,
        commit=holder.commit,
        subject=f"Unassign {stage} from {wish.artifact} {holder.label}",
        before=holder.label,
    )
    after = _state((*tags, *_as_records(change)), wish).stages.get(stage)
    return _with_fallback(change, {stage: after}, notes=(*_revival(state), DVC_IGNORES))


def plan_deregister(tags: Sequence[TagRecord], wish: Wish) -> RegistryChange:
    """Withdraw a version; with ``force`` also one that holds a stage."""
    state = _state(tags, wish)
    version = next((one for one in state.versions if one.version == wish.to), None)
    if version is None:
        raise UsageError(
            f"There is no {wish.artifact}@v{wish.to}.",
            hint=f"Registered: {_listed(state.versions)}.",
        )
    if not version.active:
        return _nothing("deregister", wish, None, f"{version.tag} is deregistered already.")
    stages = {name: one for name, one in state.stages.items() if one.commit == version.commit}
    if stages and not wish.force:
        name = next(iter(stages))
        raise PromotionError(
            f"{wish.artifact} v{wish.to} holds {', '.join(stages)}.",
            hint=f"`modelci rollback {wish.artifact} --stage {name} --reason …` first; "
            "or give --force.",
        )
    change = _change(
        "deregister",
        state,
        wish,
        Action.DEREGISTER,
        commit=version.commit,
        subject=f"Deregister {wish.artifact} v{wish.to}",
    )
    after = _state((*tags, *_as_records(change)), wish).stages
    left = {name: after.get(name) for name in stages}
    return _with_fallback(change, left, notes=(*_revival(state), DVC_IGNORES))


def plan_deprecate(tags: Sequence[TagRecord], wish: Wish) -> RegistryChange:
    """Mark the artifact as no longer in use; any later tag of it makes it active again."""
    state = _state(tags, wish)
    if state.deprecated:
        return _nothing("deprecate", wish, None, f"{wish.artifact} is deprecated already.")
    notes = [DVC_IGNORES]
    if state.stages:
        notes.insert(0, f"{wish.artifact} still holds {', '.join(state.stages)}.")
    return _change(
        "deprecate",
        state,
        wish,
        Action.DEPRECATE,
        commit=in_order(tags)[-1].commit,
        subject=f"Deprecate {wish.artifact}",
        notes=tuple(notes),
    )


PLANS: dict[str, Decide] = {
    "rollback": plan_rollback,
    "release-hold": plan_release,
    "unassign": plan_unassign,
    "deregister": plan_deregister,
    "deprecate": plan_deprecate,
}


def stage_history(tags: Sequence[TagRecord], stage: str) -> tuple[TagRecord, ...]:
    """Return what held the stage, oldest first, as a way that one can go back.

    A rollback takes off what it went back from: a second one goes on from there, not forth again.
    """
    way: list[TagRecord] = []
    for tag in in_order(tags):
        if tag.name.stage != stage or tag.name.action is not Action.ASSIGN:
            continue
        commits = [one.commit for one in way]
        if commits and commits[-1] == tag.commit:
            continue  # assigned again, as a release of a hold does
        if tag.commit in commits and ROLLBACK_FROM in trailers(tag.message):
            del way[commits.index(tag.commit) + 1 :]
        else:
            way.append(tag)
    return tuple(way)


def _target(
    tags: Sequence[TagRecord], state: ArtifactState, stage: str, to: Version | None
) -> RegisteredVersion:
    """Return the version to go back to; PromotionError where it never held the stage."""
    if to is None:
        earlier = list(_earlier(tags, state, stage))
        sensible = (one for one in earlier if not _doubts(state, stage, one))
        target = next(sensible, None)
        if target is not None:
            return target
        if earlier:
            doubts = " ".join(doubt for one in earlier for doubt in _doubts(state, stage, one))
            raise PromotionError(
                f"No version that held {stage} of {state.name} before is one to go back to. "
                f"{doubts}",
                hint=f"Name it with --to to go back nevertheless: {_choices(tags, state, stage)}.",
            )
        raise PromotionError(
            f"No active version held {stage} of {state.name} before the present one.",
            hint=f"`modelci registry history {state.name}` shows what did.",
        )
    known = next((one for one in state.versions if one.version == to), None)
    if known is None:
        raise UsageError(
            f"There is no {state.name}@v{to}.", hint=f"Registered: {_listed(state.versions)}."
        )
    if not known.active:
        raise PromotionError(
            f"{known.tag} was deregistered.",
            hint=f"Go back to one of: {_choices(tags, state, stage)}.",
        )
    if known.commit not in _assigned(tags, stage):
        raise PromotionError(
            f"{known.tag} never held {stage}: that would be a promotion, and no rollback.",
            hint=f"Held before: {_choices(tags, state, stage)}. `modelci promote` goes forward.",
        )
    return known


def _doubts(state: ArtifactState, stage: str, target: RegisteredVersion) -> tuple[str, ...]:
    """Return why nobody goes back to that version unless it is named."""
    holder = state.stages.get(stage)
    present = state.version_at(holder.commit) if holder else None
    said = trailers(target.message)
    hashed = said.get(HASH)
    notes = []
    if present is not None and hashed and hashed == trailers(present.message).get(HASH):
        notes.append(f"v{target.version} changes no model: the bytes are the same.")
    if said.get(VERDICT) == _BLOCKED:
        notes.append(f"v{target.version} was blocked when it was judged ({target.tag}).")
    return tuple(notes)


def _earlier(
    tags: Sequence[TagRecord], state: ArtifactState, stage: str
) -> Iterator[RegisteredVersion]:
    """Yield the active versions that held the stage before its holder, the last one first."""
    holder = state.stages.get(stage)
    commits = [one.commit for one in stage_history(tags, stage)]
    if holder is not None and holder.commit in commits:
        last = len(commits) - 1 - commits[::-1].index(holder.commit)
        commits = commits[:last]
    for commit in dict.fromkeys(reversed(commits)):
        version = state.version_at(commit)
        if version is not None and (holder is None or commit != holder.commit):
            yield version


def _assigned(tags: Sequence[TagRecord], stage: str) -> frozenset[str]:
    return frozenset(
        tag.commit for tag in tags if tag.name.stage == stage and tag.name.action is Action.ASSIGN
    )


def _choices(tags: Sequence[TagRecord], state: ArtifactState, stage: str) -> str:
    commits = _assigned(tags, stage)
    holder = state.stages.get(stage)
    usable = (one for one in state.versions if one.active and one.commit in commits)
    return _listed([one for one in usable if holder is None or one.commit != holder.commit])


def _listed(versions: Sequence[RegisteredVersion]) -> str:
    shown = [f"v{one.version}" for one in versions[:10]]
    return ", ".join([*shown, *(["…"] if len(versions) > 10 else [])]) or "none"


def _rolled_back_from(tags: Sequence[TagRecord], hold: Hold) -> str | None:
    tag = next(tag for tag in tags if str(tag.name) == hold.tag)
    return trailers(tag.message).get(ROLLBACK_FROM)


def _state(tags: Sequence[TagRecord], wish: Wish) -> ArtifactState:
    state = next(
        (one for one in fold_registry(tags, holder=wish.holder) if one.name == wish.artifact), None
    )
    if state is None or not in_order(tags):
        raise UsageError(
            f"No tag speaks of an artifact {wish.artifact!r}.",
            hint="`modelci registry --remote` lists what there is.",
        )
    return state


def _stage(tags: Sequence[TagRecord], wish: Wish) -> str:
    """Return the stage that is meant; UsageError where no tag ever named it."""
    known = sorted({tag.name.stage for tag in in_order(tags) if tag.name.stage})
    if wish.stage is None or wish.stage not in known:
        raise UsageError(
            f"No tag of {wish.artifact} speaks of a stage {wish.stage!r}.",
            hint=f"{meant(wish.stage or '', known)}Its stages: {', '.join(known) or 'none'}.",
        )
    return wish.stage


def _change(
    action: str,
    state: ArtifactState,
    wish: Wish,
    says: Action,
    *,
    commit: str,
    subject: str,
    extra: tuple[tuple[str, str], ...] = (),
    before: str | None = None,
    after: str | None = None,
    notes: tuple[str, ...] = (),
) -> RegistryChange:
    name = TagName(
        artifact=wish.artifact,
        action=says,
        version=wish.to if says is Action.DEREGISTER else None,
        stage=wish.stage if says in {Action.ASSIGN, Action.UNASSIGN} else None,
        counter=state.counter + 1,
    )
    tag = PlannedTag(
        name=str(name),
        artifact=wish.artifact,
        commit=commit,
        # Later than every tag there is: only the newest counts, and clocks differ.
        seconds=max(wish.seconds, state.newest_seconds + 1),
        subject=subject,
        trailers=((REASON, wish.reason), (BY, wish.by), *extra),
    )
    return replace(
        _blank(action, wish), before=before, after=after, commit=commit, tags=(tag,), notes=notes
    )


def _revival(state: ArtifactState) -> tuple[str, ...]:
    if not state.deprecated:
        return ()
    return (f"{state.name} is deprecated; this tag, newer than that, makes it active again.",)


def _as_records(change: RegistryChange) -> Iterator[TagRecord]:
    """Yield a change's tags as they will be read, to see what they come to."""
    for tag in change.tags:
        name = TagName.parse(tag.name)
        if name is not None:
            yield TagRecord(
                name=name,
                ref=f"refs/tags/{tag.name}",
                commit=tag.commit,
                seconds=tag.seconds,
                message=tag.message,
            )


def _with_fallback(
    change: RegistryChange, after: Mapping[str, Assignment | None], *, notes: tuple[str, ...]
) -> RegistryChange:
    """Say who holds each of those stages then; of an unassigned one that is ``after``."""
    fallen = tuple(
        f"{stage} falls back to {holder.label} ({holder.tag})."
        if holder
        else f"Nothing holds {stage} then."
        for stage, holder in after.items()
    )
    holder = after.get(change.stage) if change.stage else None
    return replace(change, after=holder.label if holder else None, notes=(*fallen, *notes))


def _nothing(action: str, wish: Wish, holder: Assignment | None, *notes: str) -> RegistryChange:
    """Return the change that everything is as it was asked for, and why."""
    label, commit = (holder.label, holder.commit) if holder else (None, None)
    return replace(_blank(action, wish), before=label, after=label, commit=commit, notes=notes)


def _blank(action: str, wish: Wish) -> RegistryChange:
    """Return the change that is asked for, before anything of it is decided."""
    return RegistryChange(
        action=action,
        artifact=wish.artifact,
        reason=wish.reason,
        by=wish.by,
        stage=wish.stage,
        allowed=wish.allowed,
    )
