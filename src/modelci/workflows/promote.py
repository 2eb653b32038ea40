"""``modelci promote``: turn a judged commit into versions and stages, by tags."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePosixPath

from modelci.config.model import PromoteConfig, RegistryConfig
from modelci.domain.allowance import Liftable, Objection, settle
from modelci.domain.artifacts import Artifact, did_you_mean
from modelci.domain.changes import TrackedFile
from modelci.domain.holds import find_holds, trailers
from modelci.domain.metrics import MetricDelta
from modelci.domain.notes import short_notes
from modelci.domain.promotion import (
    Candidate,
    PlannedTag,
    Promotion,
    Rules,
    greatest_bump,
    is_part,
    lift,
    plan_promotion,
)
from modelci.domain.registry import ArtifactState, RegisteredVersion, fold_registry
from modelci.domain.report import Report
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import Action, is_artifact_name, is_stage_name
from modelci.domain.wording import meant
from modelci.errors import ConfigError, ForgeError, ModelCIError, PromotionError, UsageError
from modelci.ports import (
    NO_BLOBS,
    Blobs,
    Commit,
    Forge,
    Git,
    Pipeline,
    Progress,
    SnapshotReader,
    StoredBytes,
)
from modelci.workflows.pushing import Pause, Tags, Task, pause_briefly
from modelci.workflows.registrar import Registrar
from modelci.workflows.results import results_commit
from modelci.workflows.revisions import (
    is_results,
    last_promoted,
    promoted_artifacts,
)
from modelci.workflows.stored import Seal

Labels = Callable[[str], tuple[str, ...]]
"""Tells the labels of the merged pull requests that a commit belongs to."""

SignPlanned = Callable[[Sequence[PlannedTag]], Blobs]
"""Takes planned tags and returns what is pushed with them: signatures of the versions' bytes."""


def sign_nothing(_planned: Sequence[PlannedTag]) -> Blobs:
    """Leave bytes unsigned."""
    return NO_BLOBS


BUMP = "Modelci-Bump"
LABEL = "modelci:"
PATH, HASH = "Modelci-Path", "Modelci-Hash"
VERDICT = "Modelci-Verdict"

_USUAL = Rules()
_ANYBODY = RegistryConfig()
_STEPS = (50, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """The commit to promote, and what it holds."""

    commit: Commit
    snapshot: Snapshot
    artifacts: tuple[Artifact, ...]
    remote: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered(Checkout):
    """What a promotion decides from: the commit, and the tags as they are."""

    registry: Mapping[str, ArtifactState]
    tags: Tags
    hashes: Mapping[str, Mapping[str, str | None]]


def promote(
    *,
    git: Git,
    reader: SnapshotReader,
    settings: PromoteConfig,
    report: Report | None,
    progress: Progress,
    pipeline: Callable[[], Pipeline] | None = None,
    stored: Callable[[], StoredBytes] | None = None,
    only: Collection[str] = (),
    rules: Rules = _USUAL,
    allowed_by: str | None = None,
    results: Path | None = None,
    branch: str | None = None,
    forge: Forge | None = None,
    labels: Labels | None = None,
    default_branch: str | None = None,
    any_branch: bool = False,
    on_github: bool = False,
    registry: RegistryConfig = _ANYBODY,
    sign: SignPlanned = sign_nothing,
    dry_run: bool = False,
    pause: Pause = pause_briefly,
) -> Promotion:
    """Register and assign what the judged commit changed; with ``dry_run`` only say what.

    ``only`` limits it to some of the artifacts. ``results`` is the bundle of a commit that the run
    job made; ``branch`` is moved to it. A commit that is not on the default branch is refused,
    unless ``any_branch``. ``pipeline`` is asked whether the bytes are kept, ``stored`` what they
    hash to, and ``labels``, where there is a new version, what the merge is labelled with.
    ``rules.allowed`` lifts gates, the stages' order, holds, withdrawals and missing bytes, never
    that what is tagged was tested; ``allowed_by`` is who says so. ``sign`` signs the bytes of new
    versions, before anything is tagged. Raises PromotionError where the gates or the remote say no;
    then nothing is tagged.
    """
    require_listed(settings.assign, settings.stages)
    git = git.with_remote(settings.remote)
    rules = replace(rules, order=settings.stages, allowed=reason_for(rules.allowed))
    checkout = _look_at(git, reader, settings, results)
    _require_known(only, checkout)
    report = _require_verdict(report, checkout)
    blocked = settle(_blocked(report), rules.allowed)
    if not any_branch:
        _require_merged(git, default_branch)
    said = _trailers(report)
    wishes = _Wishes(checkout.commit, labels)
    seal = Seal(git.tree(checkout.commit.sha), checkout.snapshot, stored)

    def plan(tags: Tags) -> Promotion:
        states = {one.name: one for one in fold_registry(tags, holder=registry.holder)}
        gathered = _gather(git, reader, checkout, tags, states)
        stale = settle(_stale_base(report, gathered), rules.allowed)
        asked = {} if rules.bump else _ask_commits(git, gathered, progress, wishes)
        found = plan_promotion(
            [
                one
                for one in _candidates(gathered, settings, asked)
                if not only or one.artifact.name in only
            ],
            gathered.registry,
            commit=checkout.commit.sha,
            committed_seconds=checkout.commit.seconds,
            rules=rules,
            trailers=said,
        )
        found = lift(found, (*blocked, *stale))
        found = replace(found, tags=tuple(_noted(tag, report) for tag in found.tags))
        require_free(found, tags)
        notes = (*found.notes, *_notes(git, checkout), *_odd_bumps(asked), *wishes.notes)
        return replace(found, remote=checkout.remote, notes=notes)

    def judge(found: Promotion, tags: Tags) -> Promotion:
        sign(found.tags)  # what cannot be signed is not tagged; the push asks for the same again
        return registrar.judge(seal.put(found), tags, _planned_files(checkout, found))

    registrar = Registrar(
        git=git,
        settings=settings,
        registry=registry,
        progress=progress,
        by=allowed_by or git.tagger(),
        pipeline=pipeline,
        forge=forge,
        default_branch=default_branch,
        on_github=on_github,
        pause=pause,
    )
    task = Task(
        read=lambda: _read_tags(git, checkout),
        plan=plan,
        judge=judge,
        commit_to=lambda: _brought(git, checkout, branch),
        beside=sign,
    )
    return registrar.put_through(task, dry_run=dry_run)


def foresee(
    *,
    git: Git,
    reader: SnapshotReader,
    settings: PromoteConfig,
    registry: RegistryConfig = _ANYBODY,
    labels: tuple[str, ...] = (),
    progress: Progress,
) -> tuple[str, ...]:
    """Say what a merge of the work tree would promote, by the remote's tags as they are now.

    ``labels`` are the pull request's, which the merge will ask for. Nothing where no artifact is
    declared, or the remote does not let us read its tags.
    """
    git = git.with_remote(settings.remote)
    commit = git.head()
    snapshot = reader.read(git.work_tree())
    if commit is None or not snapshot.artifacts:
        return ()
    checkout = Checkout(
        commit=commit,
        snapshot=snapshot,
        artifacts=chosen_artifacts(snapshot, settings),
        remote=git.remote(),
    )
    try:
        tags = _read_tags(git, checkout)
        states = {one.name: one for one in fold_registry(tags, holder=registry.holder)}
        gathered = _gather(git, reader, checkout, tags, states)
        asked = _ask_commits(git, gathered, progress, _Wishes(commit, lambda _: labels))
    except ForgeError as error:
        progress.note(f"What a merge would promote is not known: {error}")
        return ()
    found = plan_promotion(
        list(_candidates(gathered, settings, asked)),
        gathered.registry,
        commit=commit.sha,
        committed_seconds=commit.seconds,
        rules=Rules(order=settings.stages),
    )
    return (
        *(tag.subject for tag in found.tags),
        *(f"{one.artifact}: {one.reason}" for one in found.unpromoted),
    )


def require_listed(wanted: Sequence[str], stages: Sequence[str]) -> None:
    """Refuse a stage that ``promote.stages``, where it is set, does not list: its tag would stay.

    No reason lifts it: a slip of the pen is not meant.
    """
    for stage in wanted:
        if stages and stage not in stages:
            known = {one.lower(): one for one in stages}
            near = get_close_matches(stage.lower(), known, n=1)
            meant = f"Did you mean {known[near[0]]}? " if near else ""
            raise UsageError(
                f"{stage!r} is none of the stages of promote.stages.",
                hint=f"{meant}There are {', '.join(stages)}; a new one is added to promote.stages.",
            )


def _require_known(only: Collection[str], checkout: Checkout) -> None:
    names = [one.name for one in checkout.artifacts]
    for name in only:
        if name not in names:
            raise UsageError(
                f"No artifact {name!r} is promoted here.",
                hint=f"{meant(name, names)}There are {', '.join(names) or 'none'} "
                "(`artifacts:` of dvc.yaml, promote.artifacts).",
            )


def _read_tags(git: Git, checkout: Checkout) -> Tags:
    names = [one.name for one in checkout.artifacts]
    return git.tags(names, remote=checkout.remote) if names else ()


def _noted(tag: PlannedTag, report: Report) -> PlannedTag:
    """Let a version's tag say in short what it brings."""
    return replace(tag, notes=short_notes(report)) if "@" in tag.name else tag


def reason_for(allowed: str | None) -> str | None:
    """Return why a rule is lifted; UsageError where it is asked for without a reason."""
    if allowed is not None and not allowed.strip():
        raise UsageError("--allow needs a reason.", hint="It stays in the tag: say why.")
    return allowed


def _look_at(
    git: Git, reader: SnapshotReader, settings: PromoteConfig, results: Path | None
) -> Checkout:
    base = git.head()
    if base is None:
        raise ConfigError(
            "There is no commit yet.", hint="`git add` and `git commit` what is to be promoted."
        )
    commit = results_commit(git, reader, base, results) if results else base
    snapshot = reader.read(git.tree(commit.sha))
    return Checkout(
        commit=commit,
        snapshot=snapshot,
        artifacts=chosen_artifacts(snapshot, settings),
        remote=git.remote(),
    )


def _gather(
    git: Git,
    reader: SnapshotReader,
    checkout: Checkout,
    tags: Tags,
    registry: Mapping[str, ArtifactState],
) -> Gathered:
    names = [one.name for one in checkout.artifacts]
    return Gathered(
        commit=checkout.commit,
        snapshot=checkout.snapshot,
        artifacts=checkout.artifacts,
        remote=checkout.remote,
        registry=registry,
        tags=tags,
        hashes={
            name: dict(_hashes(git, reader, registry[name])) for name in names if name in registry
        },
    )


def _hashes(
    git: Git, reader: SnapshotReader, state: ArtifactState
) -> Iterator[tuple[str, str | None]]:
    """Yield the bytes of the latest and of withdrawn versions by tag, of others where they say."""
    for version in state.versions:
        said = trailers(version.message).get(HASH)
        if said is None and (version == state.latest or not version.active):
            said = _hash_in_commit(git, reader, state.name, version)
        yield version.tag, said


def _hash_in_commit(
    git: Git, reader: SnapshotReader, name: str, version: RegisteredVersion
) -> str | None:
    """Return the hash of a version whose tag does not say it: from its ``dvc.lock``."""
    if not git.has(version.commit):
        return None
    snapshot = reader.read(git.tree(version.commit))
    path = next((one.path for one in snapshot.artifacts if one.name == name), None)
    return _hash(snapshot, path) if path else None


class _Wishes:
    """What the labels of a merge ask for (``modelci:minor``); asked for once, and if need be."""

    def __init__(self, commit: Commit, ask: Labels | None) -> None:
        # The commit of results was pushed; its parent was merged.
        self._sha = commit.parents[0] if is_results(commit) else commit.sha
        self._ask = ask
        self.notes: tuple[str, ...] = ()

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The parts of the version; where nobody tells, none and a note."""
        try:
            found = self._ask(self._sha) if self._ask else ()
        except ModelCIError as error:
            why = f"{error} {error.hint or ''}".strip()
            self.notes = (f"Labels of the pull request ({LABEL}minor …) are not known: {why}",)
            return ()
        words = [one[len(LABEL) :] for one in found if one.lower().startswith(LABEL)]
        return tuple(one for one in words if is_part(one))


def _ask_commits(
    git: Git, gathered: Gathered, progress: Progress, wishes: _Wishes
) -> Mapping[str, tuple[str, ...]]:
    """Return per artifact what the commits since its latest version, and the labels, ask for."""
    found = {}
    for artifact in gathered.artifacts:
        state = gathered.registry.get(artifact.name)
        if state is None or state.latest is None or state.version_at(gathered.commit.sha):
            continue
        known = gathered.hashes[artifact.name].get(state.latest.tag)
        if known is not None and known == _hash(gathered.snapshot, artifact.path):
            continue
        found[artifact.name] = wishes.parts
        if _reaches(git, state.latest.commit, gathered.commit.sha, progress):
            found[artifact.name] += git.trailers(
                BUMP, since=state.latest.commit, until=gathered.commit.sha
            )
    return found


def _reaches(git: Git, since: str, until: str, progress: Progress) -> bool:
    """Whether the history between the commits can be read; a shallow clone fetches some more."""
    if not git.has(since):
        return False
    for step in _STEPS:
        if not git.is_shallow() or git.merge_base(since, until) == since:
            break
        progress.note(f"Fetching {step} commits to find what they ask for ({BUMP})")
        try:
            git.deepen(step)
        except ForgeError:
            break  # their wishes are no condition
    return True


def _odd_bumps(asked: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    odd = dict.fromkeys(one for values in asked.values() for one in values if not is_part(one))
    return tuple(f"{BUMP}: {one[:40]} means nothing: major, minor or patch do." for one in odd)


def require_free(promotion: Promotion, tags: Tags) -> None:
    """Refuse a name that a tag of no good has, which the registry does not read."""
    taken = {tag.tag: tag for tag in tags}
    for tag in promotion.tags:
        if tag.name in taken:
            flaw = taken[tag.name].flaw
            raise PromotionError(
                f"{tag.name} is in use by a tag that is none of the registry's"
                f"{f' ({flaw})' if flaw else ''}.",
                hint="`modelci doctor` says what is wrong with it; name another version (--bump).",
            )


def _brought(git: Git, checkout: Checkout, branch: str | None) -> tuple[str, str] | None:
    """Return the commit of results and the branch that is to have it, where it has not."""
    commit = checkout.commit
    if not is_results(commit) or checkout.remote is None or not branch:
        return None
    return None if git.is_on_branch(commit.sha, branch) else (commit.sha, branch)


def _planned_files(checkout: Checkout, promotion: Promotion) -> dict[str, TrackedFile]:
    planned = {tag.artifact for tag in promotion.tags}
    wanted = (one for one in checkout.artifacts if one.name in planned)
    found = ((one.name, _tracked(checkout.snapshot, one.path)) for one in wanted)
    return {name: file for name, file in found if file is not None}


def _require_merged(git: Git, configured: str | None) -> None:
    """Refuse a commit that the default branch does not have: it was never merged."""
    head, found = git.head(), git.default_branch(configured)
    if head is None or found is None:
        return
    name, ref = found
    # Results were committed here a moment ago, on top of the merge; the push brings them along.
    merged = head.parents[0] if is_results(head) and head.parents else head.sha
    is_there = (
        git.is_on_branch(merged, name) if git.remote() else git.merge_base(merged, ref) == merged
    )
    if not is_there:
        raise PromotionError(
            f"{merged[:7]} is not on {name}: only what is merged is promoted.",
            hint=f"Merge and push it to {name}; or give --any-branch.",
        )


def _notes(git: Git, checkout: Checkout) -> Iterator[str]:
    if not checkout.snapshot.artifacts:
        yield "No dvc.yaml declares `artifacts:`; `modelci doctor` shows how it is done."
    yield from remote_notes(git)


def remote_notes(git: Git) -> Iterator[str]:
    """Say which of several remotes is used."""
    others = [name for name in git.remotes() if name != git.remote()]
    if others:
        yield (
            f"Of the remotes {', '.join(git.remotes())} this is about {git.remote()} "
            "(--remote, promote.remote)."
        )


def _require_verdict(report: Report | None, checkout: Checkout) -> Report:
    """Refuse to tag what was not tested: the report must be of this commit and this lock."""
    if report is None:
        raise PromotionError(
            "There is no verdict for this commit.",
            hint="`modelci report` writes one; name it with --report.",
        )
    commit = checkout.commit.sha
    if report.head.sha != commit or report.head.dirty:
        tested = f"{(report.head.sha or 'nothing')[:7]}{' with changes' * report.head.dirty}"
        raise PromotionError(
            f"The report is of {tested}, not of {commit[:7]}, which would be tagged.",
            hint="Commit everything, then `modelci report` again on this commit.",
        )
    if dict(report.locks or {}) != dict(checkout.snapshot.locks):
        raise PromotionError("The report is of another dvc.lock than this commit has.")
    if checkout.snapshot.stale:
        name, reasons = next(iter(sorted(checkout.snapshot.stale.items())))
        raise PromotionError(
            f"dvc.lock is out of date for stage {name}: {'; '.join(reasons)}.",
            hint="`modelci run --push`, commit dvc.lock and the metrics, and promote that commit.",
        )
    if report.run is not None and not report.run.is_ok:
        raise PromotionError(
            "Not promoted: the pipeline failed.", hint="`modelci run` shows where it fails."
        )
    return report


def _blocked(report: Report) -> Iterator[Objection]:
    if not report.is_ok:
        blocking = sorted({result.gate.metric for result in report.gates if result.blocks})
        yield Objection(
            rule=Liftable.GATES,
            message=f"Not promoted: gates block it ({', '.join(blocking)}).",
            hint="`modelci gate` shows which; --allow REASON promotes it nevertheless.",
        )


def _stale_base(report: Report, gathered: Gathered) -> Iterator[Objection]:
    """Object to a verdict that compares with anything but what was promoted last."""
    version = last_promoted(gathered.registry.values(), gathered.commit)
    base = report.base.sha if report.base else None
    if version is not None and base != version.commit:
        yield Objection(
            rule=Liftable.NEWEST_BASE,
            message=f"The report compares with {(base or 'nothing')[:7]}, not with {version.tag}, "
            "what was promoted last: a model that was blocked could slip through.",
            hint=f"`git fetch origin tag '{version.tag}'`, then `modelci report` on the default "
            "branch.",
        )


def chosen_artifacts(snapshot: Snapshot, settings: PromoteConfig) -> tuple[Artifact, ...]:
    known = {artifact.name: artifact for artifact in snapshot.artifacts}
    wanted = promoted_artifacts(snapshot, settings)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"promote.artifacts names {name!r}, which no dvc.yaml declares.",
                hint=f"{did_you_mean(name, known)} Else add it under `artifacts:`.",
            )
        if not is_artifact_name(name):
            raise ConfigError(
                f"The artifact {name!r} cannot be named by a tag.",
                hint="Artifact and folder names: letters, digits, `-`, `_`, `/` and (folders) `.`.",
            )
    for stage in settings.assign:
        if not is_stage_name(stage):
            raise ConfigError(
                f"promote.assign: {stage!r} cannot be a stage's name.",
                hint="Stage names: letters, digits, `-`, `_` and `/`.",
            )
    return tuple(known[name] for name in wanted)


def _candidates(
    gathered: Gathered, settings: PromoteConfig, asked: Mapping[str, Sequence[str]]
) -> Iterator[Candidate]:
    holds = find_holds(gathered.tags)
    for artifact in gathered.artifacts:
        name = artifact.name
        hash_ = _hash(gathered.snapshot, artifact.path)
        state = gathered.registry.get(name, ArtifactState(name=name))
        hashes = gathered.hashes.get(name, {})
        yield Candidate(
            artifact=artifact,
            hash=hash_,
            last_hash=hashes.get(state.latest.tag) if state.latest else None,
            withdrawn=_withdrawn(state, hashes, hash_),
            assign=settings.assign,
            assigned=_assigned(gathered.tags, name, gathered.commit.sha),
            held={stage: hold.sentence for (one, stage), hold in holds.items() if one == name},
            bump=greatest_bump(asked.get(name, ())),
        )


def _withdrawn(
    state: ArtifactState, hashes: Mapping[str, str | None], hash_: str | None
) -> str | None:
    """Return the tag of a version that had these bytes and was taken back, if none has them now."""
    same = [one for one in state.versions if hash_ and hashes.get(one.tag) == hash_]
    return same[0].tag if same and not any(one.active for one in same) else None


def _assigned(tags: Tags, name: str, commit: str) -> frozenset[str]:
    own = (tag for tag in tags if tag.commit == commit and tag.name.artifact == name)
    return frozenset(
        tag.name.stage for tag in own if tag.name.stage and tag.name.action is Action.ASSIGN
    )


def _hash(snapshot: Snapshot, path: str) -> str | None:
    """Return the hash of a tracked path, or of the tracked folder that it lies in."""
    tracked = _tracked(snapshot, path)
    return f"{tracked.hash_name}:{tracked.hash}" if tracked and tracked.hash else None


def _tracked(snapshot: Snapshot, path: str) -> TrackedFile | None:
    above = (str(folder) for folder in PurePosixPath(path).parents)
    return next((snapshot.tracked[one] for one in (path, *above) if one in snapshot.tracked), None)


def _trailers(report: Report) -> tuple[tuple[str, str], ...]:
    judged = {result.key for result in report.gates if result.key}
    metrics = [delta for delta in report.metrics if delta.key in judged and delta.head is not None]
    return (
        *(("Modelci-Metric", _metric(delta)) for delta in metrics[:20]),
        *((("Modelci-Run", report.run_url),) if report.run_url else ()),
        ("Modelci-Version", report.version),
        (VERDICT, "passed" if report.is_ok else "blocked"),
    )


def _metric(delta: MetricDelta) -> str:
    name = str(delta.key).replace("\n", " ").replace("\r", " ")
    return f"{name}={delta.head}"
