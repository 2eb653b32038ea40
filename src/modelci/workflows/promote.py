"""``modelci promote``: turn a judged commit into versions and stages, by tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from modelci.config.model import PromoteConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.metrics import MetricDelta
from modelci.domain.promotion import Candidate, PlannedTag, Promotion, plan_promotion
from modelci.domain.registry import ArtifactState, fold_registry
from modelci.domain.report import Report
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import is_artifact_name, is_stage_name
from modelci.domain.versions import Part
from modelci.errors import ConfigError, ForgeError, PromotionError
from modelci.ports import Commit, Forge, Git, Progress, SnapshotReader
from modelci.workflows.revisions import (
    RESULTS_SUBJECT,
    is_results,
    last_promoted,
    promoted_artifacts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a promotion decides from."""

    commit: Commit
    snapshot: Snapshot
    registry: Mapping[str, ArtifactState]
    last_hashes: Mapping[str, str | None]
    remote: str | None


def promote(
    *,
    git: Git,
    reader: SnapshotReader,
    settings: PromoteConfig,
    report: Report | None,
    progress: Progress,
    bump: Part = "patch",
    results: Path | None = None,
    branch: str | None = None,
    forge: Forge | None = None,
    default_branch: str | None = None,
    any_branch: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Register and assign what the judged commit changed; with ``dry_run`` only say what.

    ``results`` is the bundle of a commit that the run job made; ``branch`` is moved to it. A
    commit that is not on the default branch is refused, unless ``any_branch``. Raises
    PromotionError where the gates or the remote say no; then nothing is tagged.
    """
    gathered = _gather(git, reader, settings, results)
    report = _require_verdict(report, gathered)
    if not any_branch:
        _require_merged(git, default_branch)
    _require_newest_base(report, gathered)
    promotion = plan_promotion(
        _candidates(gathered, settings),
        gathered.registry,
        commit=gathered.commit.sha,
        committed_seconds=gathered.commit.seconds,
        bump=bump,
        trailers=_trailers(report),
    )
    promotion = replace(promotion, remote=gathered.remote, notes=_notes(gathered))
    if dry_run:
        return promotion
    return _act(
        git,
        promotion,
        gathered,
        branch=branch,
        forge=forge,
        releases=settings.releases,
        progress=progress,
    )


def _gather(
    git: Git, reader: SnapshotReader, settings: PromoteConfig, results: Path | None
) -> Gathered:
    base = git.head()
    if base is None:
        raise ConfigError(
            "There is no commit yet.", hint="`git add` and `git commit` what is to be promoted."
        )
    commit = _results_commit(git, reader, base, results) if results else base
    snapshot = reader.read(git.tree(commit.sha))
    artifacts = [one.name for one in chosen_artifacts(snapshot, settings)]
    remote = git.remote()
    registry = {state.name: state for state in fold_registry(git.tags(artifacts, remote=remote))}
    return Gathered(
        commit=commit,
        snapshot=snapshot,
        registry=registry,
        last_hashes={name: _last_hash(git, reader, registry.get(name)) for name in artifacts},
        remote=remote,
    )


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


def _notes(gathered: Gathered) -> tuple[str, ...]:
    if gathered.snapshot.artifacts:
        return ()
    return ("No dvc.yaml declares `artifacts:`; `modelci doctor` shows how it is done.",)


def commit_results(git: Git, snapshot: Snapshot) -> str | None:
    """Commit what a run wrote into Git's files, if that differs; return the commit's sha."""
    head = git.resolve("HEAD")
    changed = [file.path for file in git.changed_files(head.sha, None)]
    written = result_paths(changed, snapshot)
    if not written:
        return None
    return git.commit_paths(written, RESULTS_SUBJECT)


def _results_commit(git: Git, reader: SnapshotReader, base: Commit, results: Path) -> Commit:
    """Take the run job's commit, if all it changes is what a pipeline may write."""
    commit = git.resolve(git.unbundle(results))
    if commit.sha != base.sha and commit.parents != (base.sha,):
        raise PromotionError(
            f"{results} was made on top of {''.join(commit.parents)[:7] or 'nothing'}, "
            f"not of {base.sha[:7]}.",
            hint="Run the pipeline on the commit that is promoted.",
        )
    snapshot = reader.read(git.tree(commit.sha))
    changed = [file.path for file in git.changed_files(base.sha, commit.sha)]
    foreign = sorted(set(changed) - set(result_paths(changed, snapshot)))
    if foreign:
        raise PromotionError(
            f"{results} changes {', '.join(foreign[:3])}, which no stage writes; it is refused."
        )
    return commit


def result_paths(paths: Sequence[str], snapshot: Snapshot) -> tuple[str, ...]:
    """Return those ``paths`` that a run writes into Git: lock files, metrics, plots, ignores."""
    written = [path for path, file in snapshot.tracked.items() if file.in_git]
    ignores = {f"{path.rpartition('/')[0]}/.gitignore".lstrip("/") for path in snapshot.tracked}
    return tuple(
        path
        for path in paths
        if path in snapshot.locks
        or path in ignores
        or any(path == out or path.startswith(f"{out}/") for out in written)
    )


def _require_verdict(report: Report | None, gathered: Gathered) -> Report:
    """Refuse to tag what was not tested: the report must be of this commit and this lock."""
    if report is None:
        raise PromotionError(
            "There is no verdict for this commit.",
            hint="`modelci report` writes one; name it with --report.",
        )
    commit = gathered.commit.sha
    if report.head.sha != commit or report.head.dirty:
        tested = f"{(report.head.sha or 'nothing')[:7]}{' with changes' * report.head.dirty}"
        raise PromotionError(
            f"The report is of {tested}, not of {commit[:7]}, which would be tagged.",
            hint="Commit everything, then `modelci report` again on this commit.",
        )
    if dict(report.locks or {}) != dict(gathered.snapshot.locks):
        raise PromotionError("The report is of another dvc.lock than this commit has.")
    if gathered.snapshot.stale:
        name, reasons = next(iter(sorted(gathered.snapshot.stale.items())))
        raise PromotionError(
            f"dvc.lock is out of date for stage {name}: {'; '.join(reasons)}.",
            hint="`modelci run --push`, commit dvc.lock and the metrics, and promote that commit.",
        )
    if not report.is_ok:
        blocking = sorted({result.gate.metric for result in report.gates if result.blocks})
        reason = f"gates block it ({', '.join(blocking)})" if blocking else "the pipeline failed"
        raise PromotionError(f"Not promoted: {reason}.", hint="`modelci gate` shows which.")
    return report


def _require_newest_base(report: Report, gathered: Gathered) -> None:
    """Refuse a verdict that compares with anything but what was promoted last."""
    version = last_promoted(gathered.registry.values(), gathered.commit)
    base = report.base.sha if report.base else None
    if version is not None and base != version.commit:
        raise PromotionError(
            f"The report compares with {(base or 'nothing')[:7]}, not with {version.tag}, "
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
                hint=f"Declared: {', '.join(known) or 'none'}. Add it under `artifacts:`.",
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


def _candidates(gathered: Gathered, settings: PromoteConfig) -> list[Candidate]:
    return [
        Candidate(
            artifact=artifact,
            hash=_hash(gathered.snapshot, artifact.path),
            last_hash=gathered.last_hashes.get(artifact.name),
            assign=settings.assign,
        )
        for artifact in chosen_artifacts(gathered.snapshot, settings)
    ]


def _hash(snapshot: Snapshot, path: str) -> str | None:
    """Return the hash of a tracked path, or of the tracked folder that it lies in."""
    above = (str(folder) for folder in PurePosixPath(path).parents)
    tracked = next(
        (snapshot.tracked[one] for one in (path, *above) if one in snapshot.tracked), None
    )
    return f"{tracked.hash_name}:{tracked.hash}" if tracked and tracked.hash else None


def _last_hash(git: Git, reader: SnapshotReader, state: ArtifactState | None) -> str | None:
    """Return the latest version's hash: from its tag's trailer, else from its ``dvc.lock``."""
    if state is None or state.latest is None:
        return None
    for line in state.latest.message.splitlines():
        if line.startswith("Modelci-Hash: "):
            return line.removeprefix("Modelci-Hash: ").strip()
    if not git.has(state.latest.commit):
        return None
    snapshot = reader.read(git.tree(state.latest.commit))
    path = next((one.path for one in snapshot.artifacts if one.name == state.name), None)
    return _hash(snapshot, path) if path else None


def _trailers(report: Report) -> tuple[tuple[str, str], ...]:
    judged = {result.key for result in report.gates if result.key}
    metrics = [delta for delta in report.metrics if delta.key in judged and delta.head is not None]
    return (
        *(("Modelci-Metric", _metric(delta)) for delta in metrics[:20]),
        *((("Modelci-Run", report.run_url),) if report.run_url else ()),
        ("Modelci-Version", report.version),
    )


def _metric(delta: MetricDelta) -> str:
    name = str(delta.key).replace("\n", " ").replace("\r", " ")
    return f"{name}={delta.head}"


def _act(
    git: Git,
    promotion: Promotion,
    gathered: Gathered,
    *,
    branch: str | None,
    forge: Forge | None,
    releases: bool,
    progress: Progress,
) -> Promotion:
    commit = gathered.commit
    brings_results = is_results(commit) and promotion.remote is not None
    if brings_results and branch and not git.is_on_branch(commit.sha, branch):
        git.push(promotion.tags, remote=promotion.remote, commit_to=(commit.sha, branch))
    elif promotion.tags:
        git.push(promotion.tags, remote=promotion.remote)
    where = promotion.remote or "this clone (there is no remote)"
    notes = []
    for tag in promotion.tags:
        progress.note(f"{tag.name} → {where}")
        try:
            _record(forge, tag, releases=releases)
        except ForgeError as error:
            # The tags are what counts, and they are there.
            notes.append(f"{tag.name} is tagged, but the forge was not told: {error}")
            progress.warn(notes[-1])
    return replace(promotion, done=True, notes=(*promotion.notes, *notes))


def _record(forge: Forge | None, tag: PlannedTag, *, releases: bool) -> None:
    """Tell the forge of a tag; a version may be a release, an assignment is none."""
    if forge is None:
        return
    forge.record_tag(tag.name, commit=tag.commit, message=tag.message)
    if releases and "@" in tag.name:
        forge.publish_release(tag.name, title=tag.name, body=tag.message)
