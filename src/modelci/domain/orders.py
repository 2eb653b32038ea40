"""What a tag, a stage or a version asks to be deployed, and what speaks against it.

Decided from the registry's tags alone: what an event or a person names is only a question, and the
remote's tags as they are now are the answer. A run that comes late finds that it is superseded.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelci.domain.deployment import Running, TargetState
from modelci.domain.holds import REASON, find_holds, trailers
from modelci.domain.registry import (
    ArtifactState,
    Assignment,
    Holder,
    RegisteredVersion,
    TagRecord,
    find_version,
    fold_registry,
)
from modelci.domain.rollback import ROLLBACK_FROM
from modelci.domain.tags import Action, Query, TagName
from modelci.domain.wording import meant
from modelci.errors import DeploymentError, UsageError

FORMS = "NAME#stage, NAME#stage#7, NAME@v1.2.0 or NAME@latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for: one ``tag`` (its short name), or whatever a ``query`` means now."""

    artifact: str
    tag: str | None = None
    query: Query | None = None

    @property
    def stage(self) -> str | None:
        """The stage that it is about, if it is about one."""
        if self.query is not None:
            return self.query.stage
        name = TagName.parse(self.tag or "")
        return name.stage if name else None

    def __str__(self) -> str:
        return self.tag or str(self.query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the registry says is to run: a commit's ``artifact``, and the ``tag`` that asks for it.

    ``seconds`` is when the registry came to say so (Unix time), which may be later than the tag: a
    version that was unassigned leaves the stage to an older one. ``registration`` is the tag of the
    version (None where the commit bears none), ``said`` what its message says in trailers.
    ``reason`` is why it was assigned, where its tag says so (a rollback's does), ``is_rollback``
    that somebody wants the version before back.
    """

    artifact: str
    tag: str
    commit: str
    seconds: int
    version: str | None = None
    stage: str | None = None
    registration: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    is_rollback: bool = False

    @property
    def label(self) -> str:
        """The version as people write it, or the short commit."""
        return self.version or self.commit[:7]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why an order is not carried out, and what to do about it."""

    message: str
    hint: str


def parse_wanted(text: str) -> Wanted:
    """Read a tag's name or full ref, ``NAME#stage`` or ``NAME@v1.2.0``; UsageError for others."""
    name = text.removeprefix("refs/tags/")
    tag = TagName.parse(name.replace(":", "=", 1))
    if tag is not None and (tag.counter is not None or tag.action not in _QUERIES):
        return Wanted(artifact=tag.artifact, tag=name.replace(":", "=", 1))
    query = Query.parse(name.replace("=", ":", 1))
    if query is None or (query.version is None and query.stage is None):
        raise UsageError(f"{text!r} names nothing to deploy.", hint=f"Give {FORMS}.")
    return Wanted(artifact=query.artifact, query=query)


# Without a counter these forms mean whatever is registered, or holds the stage.
_QUERIES = {Action.REGISTER, Action.ASSIGN}


def wanted_by(tag: str, stages: Collection[str]) -> tuple[Wanted, ...]:
    """Return what may have to be deployed because of a tag, of those ``stages`` that are taken.

    An assignment wants itself. What takes a stage, or a version, away leaves stages to others; a
    registration and a deprecation move nothing.
    """
    name = TagName.parse(tag.removeprefix("refs/tags/"))
    if name is None:
        return ()
    if name.action is Action.ASSIGN and name.stage in stages:
        return (parse_wanted(tag),)
    concerned = stages if name.action is Action.DEREGISTER else {name.stage} & set(stages)
    if name.action not in {Action.UNASSIGN, Action.DEREGISTER}:
        return ()
    return tuple(holder_of(name.artifact, stage) for stage in sorted(filter(None, concerned)))


def holder_of(artifact: str, stage: str) -> Wanted:
    """Return the wish for whatever holds the stage."""
    return Wanted(artifact=artifact, query=Query(artifact, stage=stage))


def resolve_order(
    wanted: Wanted, tags: Sequence[TagRecord], *, holder: Holder
) -> tuple[Order, tuple[Objection, ...]]:
    """Return what is to run by the artifact's ``tags``, and what the registry has against it.

    A tag whose stage was assigned anew to the same commit stands for the newer tag. Raises
    UsageError where there is no such tag, version or stage, and DeploymentError for a tag that
    does not count, or that takes something away.
    """
    states = fold_registry(tags, holder=holder)
    state = next((one for one in states if one.name == wanted.artifact), None)
    if state is None:
        raise UsageError(
            f"No tag speaks of an artifact {wanted.artifact!r}.",
            hint=f"`modelci promote {wanted.artifact}{_assigning(wanted.stage)}` makes the first "
            "ones; `modelci registry --remote` lists what there is.",
        )
    order = _of_tag(wanted.tag, state, tags) if wanted.tag else _of_query(wanted.query, state, tags)
    return order, tuple(_object(order, state, tags))


def _assigning(stage: str | None) -> str:
    return f" --assign {stage}" if stage else ""


def object_by_holds(
    order: Order, tags: Sequence[TagRecord], stages: Sequence[str]
) -> Iterator[Objection]:
    """Yield the holds that keep the order's commit from its stage, or from a target's ``stages``.

    The commit that a hold holds on to is what it wants to run.
    """
    holds = find_holds(tags)
    for stage in (order.stage,) if order.stage else tuple(stages):
        hold = holds.get((order.artifact, stage))
        if hold is not None and hold.commit != order.commit:
            yield Objection(
                message=f"{hold.sentence}.",
                hint=f"`modelci release-hold {order.artifact} --stage {stage} --reason …` lets it "
                "go; or --allow REASON.",
            )


def object_by_age(
    order: Order, state: TargetState, tags: Sequence[TagRecord]
) -> Iterator[Objection]:
    """Yield the newer deployment that the target has had of the same stage, if it has.

    Versions that were deployed as such are compared with each other, and with the version that a
    stage has brought here: that counts from its own registration, not from its assignment.
    """
    newest = max(
        (one for one in known_runs(state) if stage_of(one) == order.stage),
        key=lambda one: one.assigned_seconds,
        default=None,
    )
    if newest is not None and order.seconds < newest.assigned_seconds:
        yield Objection(
            message=f"{order.tag} is older than {newest.tag} ({newest.label}), which was deployed "
            f"here at {newest.since}.",
            hint=_forward(order),
        )
    elif order.stage is None and state.running is not None:
        yield from _object_to_version(order, state.running, tags)


def _object_to_version(
    order: Order, running: Running, tags: Sequence[TagRecord]
) -> Iterator[Objection]:
    stage = stage_of(running)
    found = next((one for one in fold_registry(tags) if one.name == order.artifact), None)
    version = found.version_at(running.commit) if found else None
    if stage and version and running.commit != order.commit and order.seconds < version.seconds:
        yield Objection(
            message=f"{order.tag} is older than {version.tag}, which {running.tag} has brought "
            f"here at {running.since}.",
            hint=_forward(replace(order, stage=stage)),
        )


def known_runs(state: TargetState) -> tuple[Running, ...]:
    """Return all that a target remembers to have run, the newest first."""
    found = (state.running, state.previous, *state.history)
    return tuple(dict.fromkeys(one for one in found if one is not None))


def stage_of(running: Running) -> str | None:
    """Return the stage whose tag asked for it; None where a version was deployed as such."""
    name = TagName.parse(running.tag)
    return name.stage if name else None


def _forward(order: Order) -> str:
    if order.stage:
        return (
            f"An older version goes back to a stage by `modelci rollback {order.artifact} --stage "
            f"{order.stage} --reason …`; or --allow REASON."
        )
    return "--allow REASON deploys it nevertheless."


def _of_query(query: Query | None, state: ArtifactState, tags: Sequence[TagRecord]) -> Order:
    assert query is not None  # noqa: S101 - what is wanted has a tag or a query
    if query.stage is not None:
        held = state.stages.get(query.stage)
        if held is None:
            known = ", ".join(f"{state.name}#{one}" for one in state.stages)
            raise UsageError(
                f"Nothing of {state.name} holds stage {query.stage!r}.",
                hint=(f"There are {known}. " if known else "None of its stages is held. ")
                + f"`modelci promote {state.name}{_assigning(query.stage)}` assigns it.",
            )
        return _held(held, state, tags)
    version = find_version(state, query.version or "latest")
    if version is None:
        known = ", ".join(f"v{one.version}" for one in state.versions[:5] if one.active)
        raise UsageError(
            f"There is no version {query}.", hint=f"There are {known}." if known else None
        )
    return _as_version(version, state)


def _of_tag(tag: str, state: ArtifactState, tags: Sequence[TagRecord]) -> Order:
    record = _find(tag, state, tags)
    if record.name.action is Action.REGISTER:
        found = next(
            one
            for one in state.versions
            if one.version == record.name.version and one.commit == record.commit
        )
        return _as_version(found, state)
    if record.name.action is not Action.ASSIGN or record.name.stage is None:
        stage = f"{state.name}#{record.name.stage or 'stage'}"
        raise DeploymentError(
            f"{tag} takes something away: there is nothing to deploy.",
            hint=f"`modelci deploy {stage}` deploys what holds the stage now.",
        )
    held = state.stages.get(record.name.stage)
    if held is not None and held.commit == record.commit:
        return _held(held, state, tags)
    return _order(
        state,
        tag=tag,
        commit=record.commit,
        seconds=record.seconds,
        stage=record.name.stage,
        message=record.message,
    )


def _find(tag: str, state: ArtifactState, tags: Sequence[TagRecord]) -> TagRecord:
    record = next((one for one in tags if one.tag == tag), None)
    if record is None:
        raise UsageError(
            f"There is no tag {tag!r}.", hint="`modelci registry history --remote` lists them."
        )
    if record.flaw is not None:
        said = (one.message for one in state.problems if one.ref == tag)
        why = next(said, "it is lightweight: only annotated tags count")
        raise DeploymentError(
            f"{tag} does not count ({record.flaw}): {why}.", hint="`modelci doctor` says more."
        )
    return record


def _held(held: Assignment, state: ArtifactState, tags: Sequence[TagRecord]) -> Order:
    # What takes another version from the stage makes this one its holder, later than its own tag.
    decided = (
        tag.seconds
        for tag in tags
        if tag.flaw is None
        and (tag.name.stage == held.stage or tag.name.action is Action.DEREGISTER)
    )
    return _order(
        state,
        tag=held.tag,
        commit=held.commit,
        seconds=max((held.seconds, *decided)),
        stage=held.stage,
        message=held.message,
    )


def _as_version(version: RegisteredVersion, state: ArtifactState) -> Order:
    return Order(
        artifact=state.name,
        tag=version.tag,
        commit=version.commit,
        seconds=version.seconds,
        version=f"v{version.version}",
        registration=version.tag,
        said=trailers(version.message),
    )


def _order(
    state: ArtifactState, *, tag: str, commit: str, seconds: int, stage: str, message: str
) -> Order:
    version = _registered(state, commit)
    return Order(
        artifact=state.name,
        tag=tag,
        commit=commit,
        seconds=seconds,
        version=f"v{version.version}" if version else None,
        stage=stage,
        registration=version.tag if version else None,
        said=trailers(version.message) if version else {},
        reason=trailers(message).get(REASON),
        is_rollback=ROLLBACK_FROM in trailers(message),
    )


def _registered(state: ArtifactState, commit: str) -> RegisteredVersion | None:
    """Return the commit's version, an active one if it has any."""
    withdrawn = (one for one in state.versions if one.commit == commit)
    return state.version_at(commit) or next(withdrawn, None)


def _object(order: Order, state: ArtifactState, tags: Sequence[TagRecord]) -> Iterator[Objection]:
    if state.deprecated:
        yield Objection(
            message=f"{state.name} is deprecated: nobody is to use it any more.",
            hint="A newer tag of it makes it active again; or --allow REASON.",
        )
    version = _registered(state, order.commit)
    if version is not None and not version.active:
        yield Objection(
            message=f"{version.tag} was deregistered.",
            hint=f"`modelci registry show {state.name}` lists the rest; or --allow REASON.",
        )
    elif order.stage is not None:
        yield from _object_to_stage(order, state, tags)


def _object_to_stage(
    order: Order, state: ArtifactState, tags: Sequence[TagRecord]
) -> Iterator[Objection]:
    held = state.stages.get(order.stage or "")
    if held is not None and held.commit == order.commit:
        return
    now = f"{held.label} holds {order.stage} now ({held.tag})" if held else _nobody(order, tags)
    yield Objection(
        message=f"{order.tag} ({order.label}) is superseded: {now}.",
        hint=f"`modelci deploy {order.artifact}#{order.stage}` deploys what holds the stage now."
        if held
        else "Assign a version to the stage; or --allow REASON.",
    )


def _nobody(order: Order, tags: Iterable[TagRecord]) -> str:
    undone = [
        tag
        for tag in tags
        if tag.flaw is None
        and tag.name.stage == order.stage
        and tag.name.action is Action.UNASSIGN
        and tag.commit == order.commit
    ]
    by = f" since {max(undone, key=lambda tag: tag.seconds).tag}" if undone else ""
    return f"nothing holds {order.stage}{by}"


def choose_target(
    targets: Mapping[str, Sequence[str]], stage: str | None, named: str | None
) -> str:
    """Return the target to deploy to: the one ``named``, or the only one that takes the stage.

    ``targets`` holds the stages of each. Raises UsageError, which lists them, where none is meant.
    """
    listed = "; ".join(
        f"{name} ({', '.join(stages) or 'no stage'})" for name, stages in targets.items()
    )
    if not targets:
        raise UsageError(
            "No target is configured.",
            hint="modelci.yaml: `deploy: {targets: {prod: {kind: directory, path: /srv/models, "
            "stages: [prod]}}}`.",
        )
    if named is not None:
        if named not in targets:
            near = meant(named, targets)
            raise UsageError(f"There is no target {named!r}.", hint=f"{near}There are {listed}.")
        return named
    taking = [name for name, stages in targets.items() if stage is not None and stage in stages]
    if len(taking) == 1:
        return taking[0]
    what = "A version has no stage that tells where it goes"
    if stage is not None:
        what = (
            f"{' and '.join(taking)} take stage {stage!r}"
            if taking
            else (f"No target takes stage {stage!r}")
        )
    raise UsageError(f"{what}.", hint=f"Name one with --to: {listed}.")
