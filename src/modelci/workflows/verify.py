"""``modelci verify``: whether a version is what its tag, its provenance and DVC say that it is."""

from collections.abc import Callable, Iterator, Sequence

from modelci.domain.gates import Threshold
from modelci.domain.holds import trailers
from modelci.domain.provenance import (
    CheckState,
    FileBytes,
    Finding,
    Provenance,
    Reproduction,
    VersionCheck,
    check_digest,
    check_files,
    check_lock,
    check_provenance,
    compare_metrics,
    compare_outputs,
    conclude,
    nothing_fails,
    split_tracked,
)
from modelci.domain.registry import ArtifactState, RegisteredVersion, find_version, fold_registry
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import Query
from modelci.errors import ModelCIError, UsageError
from modelci.ports import Git, Progress, Reproducer, SnapshotReader, StoredBytes
from modelci.workflows.provenance import find_artifact, read_files

HASH, SHA256 = "Modelci-Hash", "Modelci-Sha256"
_FORMS = "NAME@v1.2.0, NAME@latest or NAME#stage"

ReadProvenance = Callable[[str], Provenance]
"""Takes a tag's name and returns the provenance that its release has."""

AboutSignature = Callable[[str, Sequence[FileBytes], str], Finding | None]
"""Takes a version's tag, its files and the artifact's path; None where nobody signs bytes."""


def verify_version(
    name: str,
    *,
    git: Git,
    reader: SnapshotReader,
    stored: StoredBytes,
    progress: Progress,
    provenance: ReadProvenance | None = None,
    signature: AboutSignature | None = None,
    remote: bool = False,
    pull: bool = False,
    reproducer: Reproducer | None = None,
    tolerance: Threshold | None = None,
) -> VersionCheck:
    """Check a version's tag, provenance, bytes and their signature.

    With a ``reproducer`` its pipeline is run again. With ``remote`` the tag is the Git remote's,
    with ``pull`` the bytes are the DVC remote's, not the cache's. Raises UsageError for a version
    that does not exist or a commit that is not here.
    """
    state, version = find_version_named(git, name, remote=remote)
    artifact = state.name
    commit = version.commit
    bring_commit(git, version)
    tree = git.tree(commit)
    snapshot = reader.read(tree)
    path = find_artifact(snapshot, artifact).path
    said = provenance(version.tag) if provenance else None
    kept = trailers(version.message)
    progress.note(f"Reading the bytes of {path}")
    with progress.busy(f"Reading {path}"):
        files = read_files(tree, snapshot, path, stored, pull=pull)
    findings = [
        Finding(subject="tag", state=CheckState.OK, found=commit),
        check_lock(snapshot, path, kept.get(HASH)),
        check_digest(path, files, kept.get(SHA256)),
        *_about_use(state, version),
        *_about_provenance(said, snapshot, version),
        *check_files(files, said),
    ]
    signed = signature(version.tag, files, path) if signature else None
    findings += [signed] if signed else []
    if pull:
        findings = [require_fetched(finding) for finding in findings]
    again = None
    if reproducer is not None:
        limit = tolerance or Threshold(value=0.0)
        again = reproduce(
            reader.read(tree, pull=True), commit, reproducer, tolerance=limit, progress=progress
        )
    return VersionCheck(
        tag=version.tag,
        artifact=artifact,
        commit=commit,
        path=path,
        findings=tuple(findings),
        reproduction=again,
        ok=nothing_fails(findings) and (again is None or again.ok),
    )


def find_version_named(
    git: Git, name: str, *, remote: bool
) -> tuple[ArtifactState, RegisteredVersion]:
    """Return the artifact's state and the version that is meant.

    A tag that breaks the registry's rules, as one whose object bears another name, is none.
    """
    query = Query.parse(name)
    if query is None or (query.version is None and query.stage is None):
        raise UsageError(f"{name!r} names no version.", hint=f"Give {_FORMS}.")
    states = fold_registry(git.tags([query.artifact], remote=git.remote() if remote else None))
    state = next((one for one in states if one.name == query.artifact), None)
    version = None
    if state is not None and query.stage is not None:
        holder = state.stages.get(query.stage)
        version = state.version_at(holder.commit) if holder else None
    elif state is not None and query.version is not None:
        version = find_version(state, query.version)
    if state is None or version is None:
        raise UsageError(
            f"There is no version {name}.",
            hint="`modelci registry` lists them; `git fetch --tags` or --remote brings the "
            "remote's.",
        )
    return state, version


def bring_commit(git: Git, version: RegisteredVersion) -> None:
    """Fetch a version's commit where it is not here; UsageError where it cannot be had."""
    if git.has(version.commit):
        return
    try:
        git.fetch([version.commit], depth=1 if git.is_shallow() else None)
    except ModelCIError as error:
        raise UsageError(
            f"The commit {version.commit[:7]} of {version.tag} is not here: {error}",
            hint=f"git fetch origin tag '{version.tag}'",
        ) from error


def _about_use(state: ArtifactState, version: RegisteredVersion) -> Iterator[Finding]:
    """Warn of what nobody should use; a withdrawn version is what it was nevertheless."""
    if not version.active:
        yield _warning(f"{version.tag} was withdrawn (deregistered)")
    if state.deprecated:
        yield _warning(f"{state.name} is deprecated")


def _warning(detail: str) -> Finding:
    return Finding(
        subject="registry", state=CheckState.UNCHECKED, detail=f"warning: {detail}, do not use it"
    )


def _about_provenance(
    said: Provenance | None, snapshot: Snapshot, version: RegisteredVersion
) -> tuple[Finding, ...]:
    if said is None:
        why = "none was given: --provenance FILE, or --remote for the release's"
        return (Finding(subject="provenance", state=CheckState.UNCHECKED, detail=why),)
    return check_provenance(said, snapshot, tag=version.tag, commit=version.commit)


def require_fetched(finding: Finding) -> Finding:
    """Fail what the DVC remote was asked for and did not give."""
    if finding.state is CheckState.UNCHECKED and finding.detail == "its bytes are not here":
        return Finding(
            subject=finding.subject,
            state=CheckState.FAILED,
            detail="the DVC remote does not have these bytes",
            expected=finding.expected,
        )
    return finding


def reproduce(
    kept: Snapshot,
    commit: str,
    reproducer: Reproducer,
    *,
    tolerance: Threshold,
    progress: Progress,
) -> Reproduction:
    """Run the pipeline of a commit again and compare with what is ``kept`` of it."""
    inputs, _ = split_tracked(kept, None)
    again = reproducer.run(commit, inputs, progress=progress)
    metrics = compare_metrics(kept.metrics, again.metrics, tolerance)
    return conclude(compare_outputs(kept, again), metrics, tolerance)
