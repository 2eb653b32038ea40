"""Says where a version comes from, out of Git, DVC's files and the report that it was judged by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from modelci.domain.artifacts import Artifact
from modelci.domain.changes import TrackedFile
from modelci.domain.provenance import (
    Digests,
    FileBytes,
    Provenance,
    digests_of,
    find_tracked,
    split_tracked,
)
from modelci.domain.report import Report
from modelci.domain.snapshot import Snapshot
from modelci.domain.wording import meant
from modelci.errors import ConfigError, PipelineError
from modelci.ports import FileTree, StoredBytes

_BUILDERS = {
    "github": "https://github.com/actions/runner",
    "gitlab": "https://gitlab.com/gitlab-org/gitlab-runner",
    "gitea": "https://gitea.com/gitea/act_runner",
}
_BY_HAND = "urn:modelci:by-hand"
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Who runs us: the CI system's ``provider``, and modelci's ``version``."""

    provider: str | None
    version: str

    @property
    def id(self) -> str:
        """Return the URI of the kind of runner; which one it was, its run's page says."""
        return _BUILDERS.get(self.provider or "", _BY_HAND)


def find_artifact(snapshot: Snapshot, name: str) -> Artifact:
    """Return what ``dvc.yaml`` declares under that name."""
    found = next((one for one in snapshot.artifacts if one.name == name), None)
    if found is None:
        known = [one.name for one in snapshot.artifacts]
        raise ConfigError(
            f"dvc.yaml of that commit declares no artifact {name!r}.",
            hint=f"{meant(name, known)}Declared: {', '.join(known) or 'none'}.",
        )
    return found


def read_files(
    tree: FileTree, snapshot: Snapshot, path: str, stored: StoredBytes, *, pull: bool
) -> tuple[FileBytes, ...]:
    """Return the files at an artifact's path with what their bytes hash to.

    What DVC does not track is read from Git.
    """
    own = find_tracked(snapshot, path)
    if own is not None:
        return stored.read(tree, own, path, pull=pull)
    data = tree.read([path]).get(path)
    found = None if data is None else sha256(data).hexdigest()
    return (FileBytes(path=path, recorded=found, hash_name="sha256", found=found, sha256=found),)


def make_provenance(
    *,
    tree: FileTree,
    snapshot: Snapshot,
    stored: StoredBytes,
    tag: str,
    commit: str,
    artifact: Artifact,
    report: Report | None,
    report_file: bytes | None,
    repository: str | None,
    builder: Builder,
) -> Provenance:
    """Return a version's provenance; the same version and report always give the same.

    Where the model's bytes are neither in the cache nor to be had from the DVC remote, DVC's hash
    stands alone: sha256 takes the bytes.
    """
    own = find_tracked(snapshot, artifact.path)
    files = find_bytes(tree, snapshot, artifact.path, stored).files
    inputs, others = split_tracked(snapshot, own)
    return Provenance(
        tag=tag,
        artifact=artifact.name,
        path=artifact.path,
        commit=commit,
        repository=_CREDENTIALS.sub("", repository) if repository else None,
        subjects={one.path: _subject(one) for one in files},
        locks=dict(snapshot.locks),
        inputs=_digests(inputs),
        params={str(key): value for key, value in snapshot.params.items()},
        stages=tuple(stage.name for stage in snapshot.stages),
        byproducts={
            **_digests(others),
            **({"report.json": {"sha256": sha256(report_file).hexdigest()}} if report_file else {}),
        },
        builder=builder.id,
        version=builder.version,
        invocation=report.run_url if report else None,
        started=report.run.started if report and report.run else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBytes:
    """An artifact's files; ``trouble`` is why the DVC remote was of no help, if it was asked."""

    files: tuple[FileBytes, ...]
    trouble: str | None = None


def find_bytes(tree: FileTree, snapshot: Snapshot, path: str, stored: StoredBytes) -> FoundBytes:
    """Read an artifact's files, from the DVC remote where the cache has not the right ones.

    Where neither has, wrong bytes tell more than none.
    """
    files = read_files(tree, snapshot, path, stored, pull=False)
    if all(one.is_right for one in files):
        return FoundBytes(files=files)
    try:
        pulled = read_files(tree, snapshot, path, stored, pull=True)
    except (PipelineError, ConfigError) as error:
        # The job that tags need not have the remote's credentials.
        return FoundBytes(files=files, trouble=str(error))
    if all(one.is_right for one in pulled) or _any_wrong(pulled) or not _any_wrong(files):
        return FoundBytes(files=pulled)
    return FoundBytes(files=files)


def _any_wrong(files: tuple[FileBytes, ...]) -> bool:
    return any(one.found is not None and not one.is_right for one in files)


def _subject(file: FileBytes) -> Digests:
    if file.found is not None and file.found != file.recorded:
        raise ConfigError(
            f"The bytes of {file.path} are not those that dvc.lock records: {file.found}, not "
            f"{file.recorded}.",
            hint="Somebody changed them in DVC's cache or remote: find out who, remove them there, "
            "and `dvc pull` or `dvc push` the honest ones.",
        )
    sha = {"sha256": file.sha256} if file.sha256 else {}
    return {**digests_of(file.recorded, file.hash_name), **sha}


def _digests(files: tuple[TrackedFile, ...]) -> Mapping[str, Digests]:
    found = {file.path: digests_of(file.hash, file.hash_name) for file in files}
    return {path: one for path, one in found.items() if one}
