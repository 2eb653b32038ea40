"""Releases of versions on the forge: notes, and files that prove what they say.

They follow the tags, which are what counts: a release that fails loses none, and the next run of
the same promotion completes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from modelci.config.model import Config
from modelci.domain.artifacts import Artifact
from modelci.domain.changes import diff_tracked, diff_values
from modelci.domain.metrics import diff_metrics
from modelci.domain.notes import ReleaseNotes, Since, find_authors, find_pulls
from modelci.domain.promotion import Promotion
from modelci.domain.provenance import Provenance, find_tracked
from modelci.domain.registry import ArtifactState, RegisteredVersion, TagRecord, fold_registry
from modelci.domain.report import Report
from modelci.domain.snapshot import Snapshot
from modelci.errors import ForgeError
from modelci.ports import Forge, Git, PostedRelease, Progress, SnapshotReader, StoredBytes
from modelci.workflows.provenance import Builder, find_artifact, make_provenance

PROVENANCE = "provenance.json"
CARD = "model-card.md"

_STEPS = (50, 500)  # commits that a shallow clone fetches to find who was merged
_MOST_COMMITS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Sets notes, card, page and statement, which the workflow knows only as values."""

    notes: Callable[[ReleaseNotes], str]
    card: Callable[[ReleaseNotes], str]
    page: Callable[[Report], str]
    report: Callable[[Report], bytes]
    provenance: Callable[[Provenance], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What notes are made from; ``snapshot`` is of the promoted commit."""

    git: Git
    reader: SnapshotReader
    snapshot: Snapshot
    report: Report
    config: Config
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A version to release, the state of its artifact, and the tags as they were before it."""

    registered: RegisteredVersion
    state: ArtifactState
    before: ArtifactState | None


def publish_releases(
    promotion: Promotion,
    report: Report,
    *,
    git: Git,
    reader: SnapshotReader,
    stored: StoredBytes,
    forge: Forge,
    press: Press,
    builder: Builder,
    config: Config,
    progress: Progress,
) -> tuple[PostedRelease, ...]:
    """Release every version that is registered on the promoted commit; complete what is not whole.

    Raises ForgeError for the first that fails, once all were tried; the tags stand.
    """
    names = [
        *(tag.artifact for tag in promotion.tags),
        *(one.artifact for one in promotion.unpromoted),
    ]
    versions = _versions(git, promotion, list(dict.fromkeys(names)))
    if not versions:
        return ()
    tree = git.tree(promotion.commit)
    snapshot = reader.read(tree)
    page, document = press.page(report).encode(), press.report(report)
    sources = Sources(
        git=git,
        reader=reader,
        snapshot=snapshot,
        report=report,
        config=config,
        progress=progress,
    )
    posted: list[PostedRelease] = []
    failures: list[ForgeError] = []
    for version in versions:
        artifact = find_artifact(snapshot, version.state.name)
        notes = make_notes(version.registered, artifact, before=version.before, sources=sources)
        made = make_provenance(
            tree=tree,
            snapshot=snapshot,
            stored=stored,
            tag=version.registered.tag,
            commit=promotion.commit,
            artifact=artifact,
            report=report,
            report_file=document,
            repository=git.remote_url(),
            builder=builder,
        )
        files = {
            "report.html": page,
            "report.json": document,
            **_locks(tree.read(list(snapshot.locks))),
            CARD: press.card(notes).encode(),
            PROVENANCE: press.provenance(made),
        }
        try:
            posted.append(_publish(forge, version, press.notes(notes), files))
        except ForgeError as error:
            failures.append(_explained(error, version.registered.tag))
            continue
        progress.note(f"{version.registered.tag} is released: {posted[-1].url}")
        for note in posted[-1].notes:
            progress.warn(note)
    if failures:
        raise failures[0]
    return tuple(posted)


def make_notes(
    version: RegisteredVersion,
    artifact: Artifact,
    *,
    before: ArtifactState | None,
    sources: Sources,
) -> ReleaseNotes:
    """Return what a version brings since the one that held the stage, or else the one before."""
    since = _since(before, sources.config.promote.assign)
    report = sources.report
    notes = ReleaseNotes(
        tag=version.tag,
        artifact=artifact.name,
        version=f"v{version.version}",
        commit=version.commit,
        since=since,
        gates=report.gates,
        evaluations=report.evaluations,
        metrics=report.metrics,
        model=find_tracked(sources.snapshot, artifact.path),
        card=sources.config.model_card,
        run_url=report.run_url,
    )
    if since is None:
        return notes
    notes = _compared(notes, since, sources)
    if not _reaches(sources.git, since.commit, version.commit, sources.progress):
        return replace(notes, notes=(*notes.notes, _NO_HISTORY))
    commits = sources.git.commits_since(since.commit, version.commit, limit=_MOST_COMMITS)
    return replace(notes, pulls=find_pulls(commits), authors=find_authors(commits))


_NO_HISTORY = "This clone's history is cut: who was merged since is not told (`fetch-depth: 0`)."
_NO_BASE = "What the version before held is not here: nothing is compared with it."


def _compared(notes: ReleaseNotes, since: Since, sources: Sources) -> ReleaseNotes:
    """Add what differs: as the report has it, if it compares with that version."""
    report, snapshot = sources.report, sources.snapshot
    if report.base is not None and report.base.sha == since.commit:
        return replace(notes, params=report.params, data=report.data)
    if not sources.git.has(since.commit):
        return replace(notes, metrics=(), notes=(*notes.notes, _NO_BASE))
    base = sources.reader.read(sources.git.tree(since.commit))
    return replace(
        notes,
        metrics=diff_metrics(base.metrics, snapshot.metrics, sources.config.metrics),
        params=diff_values(base.params, snapshot.params),
        data=diff_tracked(base.tracked, snapshot.tracked),
    )


def _since(before: ArtifactState | None, stages: Sequence[str]) -> Since | None:
    if before is None:
        return None
    for stage in reversed(stages):
        holder = before.stages.get(stage)
        held = before.version_at(holder.commit) if holder else None
        if held is not None:
            return Since(tag=held.tag, commit=held.commit, stage=stage)
    last = before.latest
    return Since(tag=last.tag, commit=last.commit) if last else None


def _versions(git: Git, promotion: Promotion, names: Sequence[str]) -> list[_Version]:
    """Return the versions that the promoted commit has, by the remote's tags."""
    if not names:
        return []
    tags = git.tags(names, remote=promotion.remote)
    found = []
    for state in fold_registry(tags):
        registered = state.version_at(promotion.commit)
        if registered is not None:
            found.append(
                _Version(
                    registered=registered, state=state, before=_before(tags, state, registered)
                )
            )
    return found


def _before(
    tags: Sequence[TagRecord], state: ArtifactState, version: RegisteredVersion
) -> ArtifactState | None:
    """Return the artifact's state before the version came: the same however often it is asked."""
    earlier = [
        tag
        for tag in tags
        if tag.name.artifact == state.name
        and tag.commit != version.commit
        and tag.seconds < version.seconds
    ]
    return next(iter(fold_registry(earlier)), None)


def _publish(
    forge: Forge, version: _Version, body: str, files: Mapping[str, bytes]
) -> PostedRelease:
    own = version.registered.version
    stable = [one.version for one in version.state.versions if one.active and not one.version.pre]
    return forge.publish_release(
        version.registered.tag,
        title=f"{version.state.name} v{own}",
        body=body,
        assets={name: data for name, data in files.items() if data},
        prerelease=bool(own.pre),
        latest=bool(stable) and own == max(stable),
    )


def _explained(error: ForgeError, tag: str) -> ForgeError:
    kind = type(error)
    return kind(
        f"{tag} is tagged, but its release is not whole: {error}",
        hint=f"{error.hint or ''} Then run `modelci promote` (or this job) again on the same "
        "commit: the tags stand, and it completes the release.".strip(),
    )


def _locks(read: Mapping[str, bytes]) -> dict[str, bytes]:
    """Name the lock files as files of a release: it has no folders."""
    return {path.replace("/", "."): data for path, data in sorted(read.items())}


def _reaches(git: Git, since: str, until: str, progress: Progress) -> bool:
    """Whether the history between the commits is here; a shallow clone fetches some more."""
    for step in (*_STEPS, None):
        if not git.is_shallow():
            return git.has(since)
        if git.has(since) and git.merge_base(since, until) == since:
            return True
        if step is None:
            return False
        progress.note(f"Fetching {step} commits for the release notes")
        try:
            git.deepen(step)
        except ForgeError:
            return False  # the notes say so
    return False
