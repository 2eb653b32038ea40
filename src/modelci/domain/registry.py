"""The registry as a fold over tags: which versions there are, and which holds a stage.

The rules are those of GTO 1.10.1, also in one and the same second: only annotated tags count, the
tagger's instant orders them (ties by the ref's name), an assignment belongs to the version
registered on its target commit, and the newest assignment among active versions holds the stage.
A tag that breaks the rules is left out and named; it never hides the rest.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from modelci.domain.tags import Action, TagName
from modelci.domain.versions import Version


class Rule(StrEnum):
    """What a registry's tag has to keep to; GTO gives up wholly where it does not."""

    LIGHTWEIGHT = "lightweight"
    NO_TAGGER = "no-tagger"
    NO_COMMIT = "no-commit"
    NESTED = "tag-of-a-tag"
    RENAMED = "renamed"
    UNREADABLE = "unreadable"
    CREATED = "created"
    TWO_VERSIONS = "two-versions"


class Doubt(StrEnum):
    """Why an answer deserves a second look."""

    TIE = "tie"
    IGNORED = "ignored"
    MOVED = "moved"
    DVC = "dvc-differs"
    FUTURE = "future"
    SKEW = "clock-skew"
    STAGE = "unknown-stage"
    TYPE = "unknown-type"


class Holder(StrEnum):
    """Which of the active versions that were assigned to a stage holds it."""

    NEWEST = "newest"
    SEMVER = "semver"


# `modelci registry` answers in the time that making a few frozen dataclasses takes (0.6 ms each),
# and there may be tens of thousands of tags: a tuple is made five times as fast.
class TagProblem(NamedTuple):
    """A tag that breaks a rule, and what to do about it."""

    ref: str
    rule: Rule
    message: str


class TagWarning(NamedTuple):
    """A doubt about an answer, of a ``stage`` where it concerns one."""

    doubt: Doubt
    message: str
    stage: str | None = None


class TagRecord(NamedTuple):
    """A tag: ``seconds`` is the tagger's instant (Unix time), ``flaw`` the rule that it breaks.

    ``name`` is what the ref says; of a renamed tag ``message`` is what its object says.
    """

    name: TagName
    ref: str
    commit: str
    seconds: int
    tagger: str = ""
    message: str = ""
    email: str = ""
    flaw: Rule | None = None

    @property
    def tag(self) -> str:
        """The ref's short name."""
        return self.ref.partition("/tags/")[2] or str(self.name)


class Assignment(NamedTuple):
    """A version that holds a stage; a commit that was never registered has no ``version``."""

    stage: str
    version: Version | None
    commit: str
    tag: str
    seconds: int
    tagger: str = ""
    message: str = ""

    @property
    def label(self) -> str:
        """The version as people write it, or the short commit."""
        return f"v{self.version}" if self.version else self.commit[:7]


class RegisteredVersion(NamedTuple):
    """A registered version; an inactive one was deregistered."""

    version: Version
    commit: str
    tag: str
    seconds: int
    active: bool
    tagger: str = ""
    message: str = ""


class ArtifactState(NamedTuple):
    """One artifact of the registry; ``versions`` newest first, by semantic version."""

    name: str
    versions: tuple[RegisteredVersion, ...] = ()
    stages: Mapping[str, Assignment] = MappingProxyType({})
    deprecated: bool = False
    counter: int = 0
    newest_seconds: int = 0
    problems: tuple[TagProblem, ...] = ()
    warnings: tuple[TagWarning, ...] = ()

    @property
    def latest(self) -> RegisteredVersion | None:
        """The greatest active version."""
        return next((version for version in self.versions if version.active), None)

    def version_at(self, commit: str) -> RegisteredVersion | None:
        """Return the active version registered on ``commit``."""
        return next((one for one in self.versions if one.active and one.commit == commit), None)


def fold_registry(
    tags: Iterable[TagRecord], *, holder: Holder = Holder.NEWEST
) -> tuple[ArtifactState, ...]:
    """Return the state of every artifact that an annotated tag names, by name."""
    return tuple(
        _fold_artifact(name, group, holder)
        for name, group in sorted(_by_artifact(tags).items())
        if any(tag.flaw is not Rule.LIGHTWEIGHT for tag in group)
    )


def _by_artifact(tags: Iterable[TagRecord]) -> dict[str, list[TagRecord]]:
    groups: defaultdict[str, list[TagRecord]] = defaultdict(list)
    for tag in tags:
        groups[tag.name.artifact].append(tag)
    return groups


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


def find_version(state: ArtifactState, wanted: str) -> RegisteredVersion | None:
    """Return the version itself, also a deregistered one; or the greatest active that begins so."""
    if wanted == "latest":
        return state.latest
    exact = next((one for one in state.versions if f"v{one.version}" == wanted), None)
    within = (one for one in state.versions if one.active and not one.version.pre)
    return exact or next(
        (one for one in within if f"v{one.version}".startswith(f"{wanted}.")), None
    )


class _Line:
    """A version on a commit, as its tags go by; ``place`` is the order in which lines began."""

    __slots__ = ("place", "registration", "withdrawn")

    def __init__(self, place: int) -> None:
        self.place = place
        self.registration: TagRecord | None = None
        self.withdrawn = -1

    @property
    def is_active(self) -> bool:
        # In one and the same second the withdrawal wins.
        return self.registration is not None and self.withdrawn < self.registration.seconds


class Event(NamedTuple):
    """What a tag did; ``version`` is the one registered on its commit, None where none is."""

    tag: TagRecord
    version: Version | None


def list_events(tags: Iterable[TagRecord]) -> tuple[Event, ...]:
    """Return what happened, the newest first, in GTO's order within a second; no flawed tags."""
    sound = [tag for tag in tags if tag.flaw is None]
    lines: dict[str, _Lines] = {}
    for name, group in _by_artifact(sound).items():
        group.sort(key=_INSTANT)
        lines[name] = _fold_versions(group)
    known = {name: _by_commit(found) for name, found in lines.items()}
    sound.sort(key=lambda tag: (tag.seconds, _PRIORITY[tag.name.action], tag.ref), reverse=True)
    return tuple(Event(tag=tag, version=_version_of(tag, known)) for tag in sound)


_PRIORITY = {
    action: place
    for place, action in enumerate(
        (Action.DEPRECATE, Action.REGISTER, Action.DEREGISTER, Action.ASSIGN, Action.UNASSIGN)
    )
}


def _version_of(
    tag: TagRecord, known: Mapping[str, Mapping[str, "tuple[Version, _Line]"]]
) -> Version | None:
    if tag.name.stage is None:
        return tag.name.version
    found = known[tag.name.artifact].get(tag.commit)
    return found[0] if found else None


class _Contender(NamedTuple):
    """A standing assignment, and what GTO sorts it by."""

    tag: TagRecord
    stage: str
    version: Version | None
    registered: int
    place: int

    def win(self) -> Assignment:
        tag = self.tag
        return Assignment(
            stage=self.stage,
            version=self.version,
            commit=tag.commit,
            tag=tag.tag,
            seconds=tag.seconds,
            tagger=tag.tagger,
            message=tag.message,
        )


_INSTANT = attrgetter("seconds", "ref")
_Lines = dict[tuple[Version, str], _Line]


def _fold_artifact(name: str, group: list[TagRecord], holder: Holder) -> ArtifactState:
    tags = [tag for tag in group if tag.flaw is None]
    tags.sort(key=_INSTANT)
    lines = _fold_versions(tags)
    contenders, ignored = _fold_stages(tags, lines)
    stages, ties = _hold(contenders, holder)
    versions = _in_order(lines)
    deprecated = _is_deprecated(tags)
    problems = (*_flaws(group), *_ambiguous(tags, lines))
    return ArtifactState(
        name=name,
        versions=versions,
        stages=stages,
        deprecated=deprecated,
        # Also a tag that does not count has taken its name.
        counter=max((tag.name.counter or 0 for tag in group), default=0),
        newest_seconds=tags[-1].seconds if tags else 0,
        problems=problems,
        warnings=(
            *ties,
            *ignored,
            *_moved(lines),
            *_dvc_differs(tags, versions, stages, deprecated=deprecated),
        ),
    )


def _fold_versions(tags: list[TagRecord]) -> _Lines:
    lines: _Lines = {}
    for tag in tags:
        version = tag.name.version
        if version is None:
            continue
        line = lines.setdefault((version, tag.commit), _Line(len(lines)))
        if tag.name.action is Action.REGISTER:
            line.registration = tag
        else:
            line.withdrawn = tag.seconds
    return lines


def _in_order(lines: _Lines) -> tuple[RegisteredVersion, ...]:
    """Return the versions newest first; of versions that differ in builds alone the later first."""
    known = [(version, line) for (version, _), line in lines.items()]
    known.sort(key=lambda one: (one[0].order, one[1].place), reverse=True)
    return tuple(
        RegisteredVersion(
            version, tag.commit, tag.tag, tag.seconds, line.is_active, tag.tagger, tag.message
        )
        for version, line in known
        if (tag := line.registration) is not None
    )


def _fold_stages(
    tags: list[TagRecord], lines: _Lines
) -> tuple[dict[str, list[_Contender]], list[TagWarning]]:
    """Return the standing assignments of each stage, and a word on what GTO passes over."""
    assigned: dict[tuple[str, str], tuple[int, TagRecord]] = {}
    unassigned: dict[tuple[str, str], TagRecord] = {}
    for place, tag in enumerate(tags, len(lines)):
        stage = tag.name.stage
        if stage is None:
            continue
        if tag.name.action is Action.ASSIGN:
            assigned[tag.commit, stage] = place, tag
        else:
            unassigned[tag.commit, stage] = tag
    on_commit = _by_commit(lines)
    found: defaultdict[str, list[_Contender]] = defaultdict(list)
    ignored = []
    for (commit, stage), (place, tag) in assigned.items():
        version, line = on_commit.get(commit, (None, None))
        undone = unassigned.get((commit, stage)) if unassigned else None
        if line is None and undone is not None:
            ignored.append(_passed_over(undone))
        # In one and the same second the unassignment wins.
        elif line and (not line.is_active or (undone and undone.seconds >= tag.seconds)):
            continue
        registered = line.registration.seconds if line and line.registration else tag.seconds
        first = line.place if line else place
        found[stage].append(_Contender(tag, stage, version, registered, first))
    return found, ignored


def _by_commit(lines: _Lines) -> dict[str, tuple[Version, _Line]]:
    """Return what is registered on each commit; of several the greatest active one."""
    found: dict[str, tuple[Version, _Line]] = {}
    for (version, commit), line in lines.items():
        other = found.get(commit)
        if other is None or _rank(other) <= _rank((version, line)):
            found[commit] = version, line
    return found


def _rank(one: tuple[Version, _Line]) -> tuple[bool, tuple[object, ...]]:
    version, line = one
    return line.is_active, version.order


def _passed_over(undone: TagRecord) -> TagWarning:
    return TagWarning(
        doubt=Doubt.IGNORED,
        stage=undone.name.stage,
        message=f"{undone.tag} counts for nothing: no version is registered on its commit, so "
        "the assignment stands",
    )


def _hold(
    contenders: dict[str, list[_Contender]], holder: Holder
) -> tuple[dict[str, Assignment], list[TagWarning]]:
    stages, warnings = {}, []
    for stage, found in sorted(contenders.items()):
        found.sort(key=_by_version if holder is Holder.SEMVER else _by_time, reverse=True)
        first = stages[stage] = found[0].win()
        rival = found[1].tag if len(found) > 1 else None
        if rival and holder is Holder.NEWEST and rival.seconds == first.seconds:
            message = (
                f"{first.tag} and {rival.tag} are of one second: the version registered first, "
                f"{first.label}, holds {stage}"
            )
            warnings.append(TagWarning(doubt=Doubt.TIE, stage=stage, message=message))
    return stages, warnings


def _by_time(one: _Contender) -> tuple[int, int, int]:
    # Of assignments in one second GTO lets the version that was registered first hold the stage.
    return one.tag.seconds, -one.registered, -one.place


def _by_version(one: _Contender) -> tuple[bool, tuple[object, ...], int]:
    order = one.version.order if one.version else (one.tag.commit,)
    return one.version is not None, order, one.place


def _is_deprecated(tags: list[TagRecord]) -> bool:
    """Whether a deprecation is the last word; in one second any other word wins."""
    newest = tags[-1].seconds if tags else 0
    last = [tag.name.action for tag in tags if tag.seconds == newest]
    return bool(last) and all(action is Action.DEPRECATE for action in last)


_SAYS = {
    Rule.NO_TAGGER: "it has no tagger with a date, and GTO reads no registry that holds it",
    Rule.NO_COMMIT: "it tags a tree or a file, not a commit, and GTO reads no registry with it",
    Rule.NESTED: "it tags another tag instead of a commit",
    Rule.UNREADABLE: "Git cannot read its object",
    Rule.CREATED: "GTO's grammar has the form, and GTO gives up on it",
}


def _flaws(group: list[TagRecord]) -> Iterator[TagProblem]:
    for tag in group:
        if tag.flaw is None:
            continue
        if tag.flaw is Rule.RENAMED:
            message = (
                f"its object has another name, {tag.message or 'none'}: it was copied or renamed, "
                "and does not count"
            )
            yield TagProblem(ref=tag.tag, rule=tag.flaw, message=message)
        elif tag.flaw is not Rule.LIGHTWEIGHT:
            yield TagProblem(ref=tag.tag, rule=tag.flaw, message=_SAYS[tag.flaw])


def _ambiguous(tags: list[TagRecord], lines: _Lines) -> Iterator[TagProblem]:
    """Yield commits with two versions and an assignment, which could mean either."""
    if len({commit for _, commit in lines}) == len(lines):
        return
    on_commit: defaultdict[str, list[tuple[Version, _Line]]] = defaultdict(list)
    for (version, commit), line in lines.items():
        on_commit[commit].append((version, line))
    assigned = {tag.commit: tag for tag in tags if tag.name.stage is not None}
    for commit, found in on_commit.items():
        if len(found) > 1 and commit in assigned:
            labels = " and ".join(f"v{version}" for version, _ in found)
            yield TagProblem(
                ref=assigned[commit].tag,
                rule=Rule.TWO_VERSIONS,
                message=f"{labels} are registered on its commit {commit[:7]}: which of them is "
                "meant is for GTO no question to answer; the greatest active one is shown",
            )


def _moved(lines: _Lines) -> Iterator[TagWarning]:
    if len({version for version, _ in lines}) == len(lines):
        return
    commits: defaultdict[Version, list[str]] = defaultdict(list)
    for (version, commit), line in lines.items():
        if line.registration is not None:
            commits[version].append(commit[:7])
    for version, found in commits.items():
        if len(found) > 1:
            message = f"v{version} is registered on several commits: {', '.join(found)}"
            yield TagWarning(doubt=Doubt.MOVED, message=message)


def _dvc_differs(
    tags: list[TagRecord],
    versions: tuple[RegisteredVersion, ...],
    stages: Mapping[str, Assignment],
    *,
    deprecated: bool,
) -> Iterator[TagWarning]:
    """Yield where DVC's own resolver, which knows no withdrawal of any kind, answers otherwise."""
    if deprecated:
        yield TagWarning(doubt=Doubt.DVC, message="DVC does not know that it is deprecated")
    named: dict[str, TagRecord] = {}
    greatest, top = None, tuple[object, ...]()
    for tag in tags:
        if tag.name.stage is not None:
            named[tag.name.stage] = tag
        elif tag.name.version is not None and (order := tag.name.version.order) >= top:
            greatest, top = tag, order
    latest = next((one for one in versions if one.active), None)
    if greatest is not None and greatest.commit != (latest.commit if latest else None):
        message = f"DVC takes {greatest.tag} for the latest version: it ignores deregistrations"
        yield TagWarning(doubt=Doubt.DVC, message=message)
    for stage, tag in sorted(named.items()):
        holder = stages.get(stage)
        if holder is None or holder.commit != tag.commit:
            message = (
                f"DVC takes the commit of {tag.tag} for {stage}, not {holder.label}"
                if holder
                else f"DVC still finds the commit of {tag.tag} in {stage}"
            )
            yield TagWarning(doubt=Doubt.DVC, stage=stage, message=message)
