"""Promotion: which versions to register and which stages to assign, decided before it is done."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from modelci.domain.allowance import Liftable, Objection, allowance, in_order, settle
from modelci.domain.artifacts import Artifact
from modelci.domain.registry import ArtifactState, RegisteredVersion
from modelci.domain.tags import Action, TagName
from modelci.domain.versions import FIRST_VERSION, Part, Version
from modelci.errors import PromotionError, UsageError

MOST_TAGS = 3
"""How many tags a push may hold: GitHub tells nobody of a push that holds more."""

_PRE_RELEASE = re.compile(r"(?P<word>[a-zA-Z][a-zA-Z0-9-]*)\.(?P<number>[0-9]+)")
_WORD = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
_PARTS: tuple[Part, ...] = ("patch", "minor", "major")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An artifact as the commit holds it; ``hash`` is ``md5:…`` as ``dvc.lock`` has it.

    ``last_hash`` is that of the latest version's bytes, None where none can be told.
    ``withdrawn`` is the tag of a version that had these bytes and was taken back. ``bump`` is what
    the commits since the last version ask for. ``assigned`` are the stages that this commit was
    assigned to at any time, whoever holds them now; ``held`` says of stages that are on hold why.
    """

    artifact: Artifact
    hash: str | None
    last_hash: str | None = None
    withdrawn: str | None = None
    assign: tuple[str, ...] = ()
    assigned: frozenset[str] = frozenset()
    held: Mapping[str, str] = field(default_factory=dict)
    bump: Part | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTag:
    """An annotated tag to create; ``seconds`` is the tagger's instant, so that it is repeatable.

    ``allowed_rules`` would have kept it from its artifact, and were lifted.
    """

    name: str
    artifact: str
    commit: str
    seconds: int
    subject: str
    trailers: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    allowed_rules: tuple[Liftable, ...] = ()

    @property
    def message(self) -> str:
        """The tag's message: a subject, notes, and trailers that ``git`` reads back."""
        # A line break in a path must not start a trailer of its own.
        lines = [f"{key}: {' '.join(value.splitlines())}" for key, value in self.trailers]
        parts = [[self.subject], self.notes, lines]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpromoted:
    """An artifact that is left as it is, and why."""

    artifact: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promotion does (or did, once ``done``): tags to create, artifacts left alone.

    ``allowed`` is the reason given for what the rules forbid, ``allowed_rules`` what it lifted:
    rules that would have kept one of the tags from being made. ``standing`` are the wanted
    assignments that are there already, by tag, and still hold their stages.
    """

    commit: str
    tags: tuple[PlannedTag, ...] = ()
    unpromoted: tuple[Unpromoted, ...] = ()
    remote: str | None = None
    done: bool = False
    notes: tuple[str, ...] = ()
    allowed: str | None = None
    allowed_rules: tuple[Liftable, ...] = ()
    standing: tuple[str, ...] = ()

    def with_tags(self, tags: Iterable[PlannedTag]) -> "Promotion":
        """Return the promotion with these tags instead, and the rules lifted for them."""
        tags = tuple(tags)
        rules = in_order(rule for tag in tags for rule in tag.allowed_rules)
        ours = {tag.name for tag in tags}
        standing = tuple(one for one in self.standing if one not in ours)
        return replace(self, tags=tags, allowed_rules=rules, standing=standing)

    @property
    def pushes(self) -> tuple[tuple[PlannedTag, ...], ...]:
        """The tags by push: an artifact's stay together, few enough to be heard of."""
        groups: list[tuple[PlannedTag, ...]] = []
        for artifact in dict.fromkeys(tag.artifact for tag in self.tags):
            own = tuple(tag for tag in self.tags if tag.artifact == artifact)
            if groups and len(groups[-1]) + len(own) <= MOST_TAGS:
                groups[-1] += own
            else:
                groups.append(own)
        return tuple(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How versions are named, and what holds for stages.

    ``order`` are the stages that a version passes one by one (empty: any order). ``pre`` names
    pre-releases (``rc``); ``final`` makes the release of a pre-release, also of unchanged bytes.
    ``allowed`` lifts the order, and what keeps withdrawn bytes and deprecated artifacts out.
    """

    bump: Part | None = None
    pre: str | None = None
    final: bool = False
    order: tuple[str, ...] = ()
    allowed: str | None = None


_USUAL = Rules()


def plan_promotion(
    candidates: Sequence[Candidate],
    registry: Mapping[str, ArtifactState],
    *,
    commit: str,
    committed_seconds: int,
    rules: Rules = _USUAL,
    trailers: Sequence[tuple[str, str]] = (),
) -> Promotion:
    """Plan only what is missing, so that a promotion cut short can simply be run again.

    Raises PromotionError where the order of the stages forbids an assignment, or where all that a
    release is asked for is a pre-release of this very commit.
    """
    tags: list[PlannedTag] = []
    unpromoted: list[Unpromoted] = []
    notes: list[str] = []
    standing: list[str] = []
    for candidate in candidates:
        name = candidate.artifact.name
        state = registry.get(name, ArtifactState(name=name))
        standing.extend(_standing(state, state.version_at(commit), candidate.assign))
        named = _name_tags(candidate, state, commit, rules)
        if isinstance(named, str):
            unpromoted.append(Unpromoted(artifact=name, reason=named))
            continue
        own = tuple(_own_trailers(candidate, state))
        notes.extend(_holds_met(candidate, rules))
        # Later than every tag there is: a commit may be older than the last promotion.
        seconds = max(committed_seconds, state.newest_seconds + 1)
        tags.extend(_plan(named, commit=commit, seconds=seconds, trailers=(*own, *trailers)))
    if not tags and rules.final:
        _require_commit_of_its_own(candidates, registry, commit)
    found = Promotion(
        commit=commit,
        unpromoted=tuple(unpromoted),
        notes=tuple(notes),
        allowed=rules.allowed,
        standing=tuple(standing),
    )
    return found.with_tags(tags)


def plan_assignment(
    state: ArtifactState,
    version: RegisteredVersion,
    stages: Sequence[str],
    *,
    now: int,
    rules: Rules = _USUAL,
    trailers: Sequence[tuple[str, str]] = (),
) -> Promotion:
    """Plan the assignment of a version that there is; ``now`` is the instant (Unix time).

    Raises PromotionError for a withdrawn version, or where the order of the stages forbids it.
    """
    label = f"{state.name}@v{version.version}"
    if not version.active:
        raise PromotionError(
            f"{label} was withdrawn.", hint=f"`modelci registry show {state.name}` lists the rest."
        )
    named = _assignments(state, version.commit, str(version.version), stages, rules)
    seconds = max(now, state.newest_seconds + 1)
    held = Unpromoted(artifact=state.name, reason=f"v{version.version} holds {', '.join(stages)}")
    found = Promotion(
        commit=version.commit,
        unpromoted=() if named else (held,),
        allowed=rules.allowed,
        standing=tuple(_standing(state, version, stages)),
    )
    return found.with_tags(_plan(named, commit=version.commit, seconds=seconds, trailers=trailers))


def lift(promotion: Promotion, objections: Sequence[Objection]) -> Promotion:
    """Note on the tags that these objections, which were lifted, would have kept them away."""

    def noted(tag: PlannedTag) -> PlannedTag:
        rules = (one.rule for one in objections if one.artifact in {None, tag.artifact})
        return replace(tag, allowed_rules=in_order((*tag.allowed_rules, *rules)))

    return promotion.with_tags(map(noted, promotion.tags))


def keep_allowance(promotion: Promotion, *, by: str) -> Promotion:
    """Write into the tags for which rules were lifted: which, why, and ``by`` whom."""

    def kept(tag: PlannedTag) -> PlannedTag:
        if promotion.allowed is None or not tag.allowed_rules:
            return tag
        said = allowance(promotion.allowed, by, tag.allowed_rules)
        return replace(tag, trailers=(*tag.trailers, *said))

    return promotion.with_tags(map(kept, promotion.tags))


def _standing(
    state: ArtifactState, version: RegisteredVersion | None, stages: Sequence[str]
) -> Iterator[str]:
    """Yield the tags by which the version holds those of the stages that it holds."""
    if version is None or state.deprecated:
        return
    own = (version.commit, version.version)
    for stage in dict.fromkeys(stages):
        holder = state.stages.get(stage)
        if holder is not None and (holder.commit, holder.version) == own:
            yield holder.tag


def greatest_bump(asked: Sequence[str]) -> Part | None:
    """Return the greatest part that commits ask for; what is none counts for nothing."""
    wanted = {one.strip().lower() for one in asked}
    return next((part for part in reversed(_PARTS) if part in wanted), None)


def is_part(text: str) -> bool:
    """Whether ``text`` names a part of a version."""
    return text.strip().lower() in _PARTS


def next_version(state: ArtifactState, rules: Rules, bump: Part | None = None) -> Version:
    """Return the version that a new one of this artifact gets.

    Raises UsageError for a pre-release's name that would stand before the newest one.
    """
    if rules.pre is not None and _WORD.fullmatch(rules.pre) is None:
        raise UsageError(
            f"{rules.pre!r} cannot name a pre-release.", hint="A word, such as rc, beta or alpha."
        )
    # Withdrawn versions count too: a name that was once used is never used again.
    newest = state.versions[0].version if state.versions else None
    release = newest.bump(rules.bump or bump or "patch") if newest else FIRST_VERSION
    if rules.pre is None:
        return release
    found = release._replace(pre=f"{rules.pre}.{_next_number(newest, release, rules.pre)}")
    if newest is not None and found <= newest:
        raise UsageError(
            f"v{found} would stand before v{newest}, the newest version of {state.name}.",
            hint=f"Name a pre-release that stands after {newest.pre}, or give --bump.",
        )
    return found


def _next_number(newest: Version | None, release: Version, word: str) -> int:
    found = _PRE_RELEASE.fullmatch(newest.pre) if newest else None
    is_next = newest is not None and newest._replace(pre="", build="") == release
    return int(found["number"]) + 1 if found and is_next and found["word"] == word else 1


class _Named(NamedTuple):
    """A tag, its subject, and the rules that were lifted for it."""

    tag: TagName
    subject: str
    lifted: tuple[Liftable, ...] = ()


def _plan(
    named: Sequence[_Named], *, commit: str, seconds: int, trailers: Sequence[tuple[str, str]]
) -> Iterator[PlannedTag]:
    # An artifact's tags are one decision: each says all of it.
    lifted = in_order(rule for one in named for rule in one.lifted)
    for one in named:
        yield PlannedTag(
            name=str(one.tag),
            artifact=one.tag.artifact,
            commit=commit,
            seconds=seconds,
            subject=one.subject,
            trailers=tuple(trailers),
            allowed_rules=lifted,
        )


def _name_tags(
    candidate: Candidate, state: ArtifactState, commit: str, rules: Rules
) -> list[_Named] | str:
    """Return the artifact's missing tags with their subjects, or why there are none."""
    here = state.version_at(commit)
    taken_back = tuple(_taken_back(candidate, state, here))
    reason = _reason_against(candidate, state, here, rules, taken_back)
    if reason is not None:
        return reason
    version = here.version if here else next_version(state, rules, candidate.bump)
    named: list[_Named] = []
    if here is None:
        register = TagName(artifact=state.name, action=Action.REGISTER, version=version)
        named.append(_Named(register, f"Register {state.name} v{version}"))
    earlier = candidate.assigned if here else frozenset()
    passed = earlier | (frozenset() if rules.allowed else candidate.held.keys())
    wanted = tuple(one for one in candidate.assign if one not in passed)
    named.extend(_assignments(state, commit, str(version), wanted, rules, held=candidate.held))
    lifted = tuple(one.rule for one in taken_back)
    return [one._replace(lifted=(*one.lifted, *lifted)) for one in named] or _nothing_to_do(
        candidate, state, version, commit
    )


def _require_commit_of_its_own(
    candidates: Sequence[Candidate], registry: Mapping[str, ArtifactState], commit: str
) -> None:
    for name in (one.artifact.name for one in candidates if one.artifact.name in registry):
        here = registry[name].version_at(commit)
        if here is not None and here.version.pre:
            raise PromotionError(
                f"{name} v{here.version} is of this commit, which can bear no second version.",
                hint="`git commit --allow-empty`, push and report on it; then --final there.",
            )


def _holds_met(candidate: Candidate, rules: Rules) -> Iterator[str]:
    """Say of the wanted stages that are left out because they are on hold."""
    for stage in candidate.assign if rules.allowed is None else ():
        if stage in candidate.held and stage not in candidate.assigned:
            yield f"{candidate.held[stage]}; `modelci release-hold` lets it go"


def _taken_back(
    candidate: Candidate, state: ArtifactState, here: RegisteredVersion | None
) -> Iterator[Objection]:
    """Yield what was said against the artifact, or these bytes of it, by tags."""
    if state.deprecated:
        yield Objection(
            rule=Liftable.DEPRECATED,
            message=f"{state.name} is deprecated",
            hint="--allow REASON promotes it nevertheless",
        )
    if here is None and candidate.withdrawn is not None and candidate.last_hash != candidate.hash:
        yield Objection(
            rule=Liftable.WITHDRAWN,
            message=f"these bytes were withdrawn as {candidate.withdrawn}",
            hint="--allow REASON registers them",
        )


def _reason_against(
    candidate: Candidate,
    state: ArtifactState,
    here: RegisteredVersion | None,
    rules: Rules,
    taken_back: Sequence[Objection],
) -> str | None:
    """Return why this artifact is left as it is, if it is."""
    if candidate.hash is None:
        path = candidate.artifact.path
        return f"{path} is in no dvc.lock and no .dvc file: run the pipeline, or `dvc add` it"
    if taken_back and rules.allowed is None:
        return f"{taken_back[0].message}; {taken_back[0].hint}"
    if here is not None:
        return _reason_against_version(here.version, state, rules)
    latest = state.latest
    if latest is not None and candidate.last_hash == candidate.hash:
        return None if rules.final and latest.version.pre else f"unchanged since v{latest.version}"
    return None


def _reason_against_version(here: Version, state: ArtifactState, rules: Rules) -> str | None:
    """Return why the version that this commit bears already gets no stages, if it does not."""
    if rules.final and here.pre:
        return f"v{here} is of this commit, which can bear no second version"
    if state.latest is not None and here < state.latest.version:
        return f"v{here} is here, v{state.latest.version} is newer: that would be a rollback"
    return None


def _nothing_to_do(
    candidate: Candidate, state: ArtifactState, version: Version, commit: str
) -> str:
    for stage in candidate.assign:
        holder = state.stages.get(stage)
        if holder is None or holder.commit != commit:
            if stage in candidate.held:
                return f"{candidate.held[stage]}; `modelci release-hold` lets it go"
            now = f"{holder.label} holds it now" if holder else "was taken from it"
            return (
                f"v{version} had {stage} before, {now}: "
                f"`modelci promote {state.name}@v{version} --assign {stage}` gives it back"
            )
    return f"v{version} is already promoted from this commit"


def _assignments(
    state: ArtifactState,
    commit: str,
    version: str,
    stages: Sequence[str],
    rules: Rules,
    *,
    held: Collection[str] = (),
) -> list[_Named]:
    """Return the assignments that are missing, those of earlier stages first.

    A stage among the ``held`` ones is wanted in spite of that.
    """
    # What a commit held before it bore a version says nothing of the version.
    holders = {
        stage: (one.commit if one.version else "", one.label) for stage, one in state.stages.items()
    }
    named: list[_Named] = []
    for stage in _in_order(stages, rules.order):
        if holders.get(stage, ("", ""))[0] == commit:
            continue
        too_early = _too_early(f"{state.name}@v{version}", commit, stage, holders, rules.order)
        lifted = [one.rule for one in settle(too_early, rules.allowed)]
        lifted += [Liftable.HOLD] if stage in held else []
        counter = state.counter + len(named) + 1
        tag = TagName(artifact=state.name, action=Action.ASSIGN, stage=stage, counter=counter)
        named.append(_Named(tag, f"Assign {stage} to {state.name} v{version}", tuple(lifted)))
        holders[stage] = commit, f"v{version}"
    return named


def _in_order(stages: Sequence[str], order: Sequence[str]) -> list[str]:
    places = {stage: place for place, stage in enumerate(order)}
    return sorted(dict.fromkeys(stages), key=lambda stage: places.get(stage, len(places)))


def _too_early(
    version: str,
    commit: str,
    stage: str,
    holders: Mapping[str, tuple[str, str]],
    order: Sequence[str],
) -> Iterator[Objection]:
    """Object to a version that the stage before this one does not hold."""
    if stage not in order or stage == order[0]:
        return
    before = order[order.index(stage) - 1]
    holder = holders.get(before)
    if holder is not None and holder[0] == commit:
        return
    held = f"{holder[1]} holds {before}" if holder else f"nothing holds {before}"
    yield Objection(
        rule=Liftable.STAGE_ORDER,
        message=f"{version} cannot go to {stage}: {held}, and {stage} accepts only what {before} "
        "holds.",
        hint=f"`modelci promote {version} --assign {before}` first; or --allow REASON.",
    )


def _own_trailers(candidate: Candidate, state: ArtifactState) -> Iterator[tuple[str, str]]:
    if state.latest:
        yield "Modelci-Previous", state.latest.tag
    yield "Modelci-Path", candidate.artifact.path
    yield "Modelci-Hash", candidate.hash or ""
