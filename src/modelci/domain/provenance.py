"""Where a version comes from, and whether what is there agrees with what was said of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from modelci.domain.changes import Scalar, TrackedFile
from modelci.domain.gates import Threshold
from modelci.domain.metrics import MetricKey, MetricValue
from modelci.domain.snapshot import Snapshot

TREE = "tree:"
"""What a folder's digest begins with in a tag."""

Digests = Mapping[str, str]
"""Hexadecimal digests by in-toto's names of algorithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBytes:
    """One file of a version; ``recorded`` is what DVC (or Git) says, ``found`` what its bytes give.

    Both are digests of the algorithm ``hash_name``. Without ``found`` nobody has the bytes here.
    ``source`` is where they were looked for.
    """

    path: str
    recorded: str | None
    hash_name: str = "md5"
    found: str | None = None
    sha256: str | None = None
    size: int | None = None
    source: str | None = field(default=None, compare=False)

    @property
    def is_right(self) -> bool:
        """Whether the bytes are those that were recorded."""
        return self.recorded is not None and self.found == self.recorded

    @property
    def refusal(self) -> str | None:
        """Why the bytes are not to be used, in a sentence without its full stop."""
        if self.is_right:
            return None
        where = f" at {self.source}" if self.source else ""
        if self.recorded is None:
            return f"{self.path}: dvc.lock names no such file"
        if self.found is None:
            return f"{self.path}: there are no bytes of {self.hash_name} {self.recorded}{where}"
        return (
            f"{self.path}: the bytes{where} are not those that dvc.lock names: {self.hash_name} "
            f"{self.found}, not {self.recorded}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a version was made of, and by whom; every mapping is by path from the top.

    ``subjects`` are its files, ``locks`` Git's blobs of the lock files, ``inputs`` the data that no
    stage writes, ``byproducts`` what else came of the run. ``builder`` is a URI, ``invocation`` the
    run's page, ``started`` UTC in ISO 8601.
    """

    tag: str
    artifact: str
    path: str
    commit: str
    builder: str
    repository: str | None = None
    subjects: Mapping[str, Digests] = field(default_factory=dict)
    locks: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Digests] = field(default_factory=dict)
    params: Mapping[str, Scalar] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    byproducts: Mapping[str, Digests] = field(default_factory=dict)
    version: str = ""
    invocation: str | None = None
    started: str | None = None


class CheckState(StrEnum):
    """What came of one check of a version."""

    OK = "ok"
    FAILED = "failed"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; ``detail`` says why it fails or could not be checked."""

    subject: str
    state: CheckState
    detail: str = ""
    expected: str | None = None
    found: str | None = None


class OutputState(StrEnum):
    """How an output of a run made again compares with the version's."""

    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """An output of the version's pipeline, made once more."""

    path: str
    state: OutputState
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """A metric of the version, and what it came to once more."""

    key: MetricKey
    expected: MetricValue | None
    found: MetricValue | None
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What a run made again came to; ``tolerance`` is what metrics may differ by."""

    tolerance: str
    outputs: tuple[OutputComparison, ...]
    metrics: tuple[MetricComparison, ...]
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCheck:
    """What was found of a version; ``ok`` where nothing contradicts what was said of it."""

    tag: str
    artifact: str
    commit: str
    path: str
    findings: tuple[Finding, ...]
    ok: bool
    reproduction: Reproduction | None = None


def digests_of(hash_: str | None, hash_name: str) -> Digests:
    """Return DVC's hash as in-toto names digests; of a folder it is the digest of its list."""
    if not hash_:
        return {}
    names = {"md5-dos2unix": "dvc_md5_dos2unix"}
    name = names.get(hash_name, hash_name)
    if hash_.endswith(".dir"):
        return {f"dvc_{name.removeprefix('dvc_')}_dir": hash_.removesuffix(".dir")}
    return {name: hash_}


def digest_files(path: str, files: Sequence[FileBytes]) -> str | None:
    """Return the sha256 of what lies at ``path``, as tags keep it; None where any byte is missing.

    A file's own; a folder's is ``tree:`` and the sha256 of a list of its files, a line each as
    ``sha256sum`` prints it, ordered by their paths from the folder as bytes (docs/promotion.md has
    the command that says the same).
    """
    digests = {file.path: file.sha256 for file in files}
    if path in digests:
        return digests[path] if len(digests) == 1 else None
    if not digests or None in digests.values():
        return None
    lines = {name[len(path) + 1 :].encode(): f"{digest}  " for name, digest in digests.items()}
    text = b"".join(_as_sha256sum(digest.encode(), name) for name, digest in sorted(lines.items()))
    return f"{TREE}{sha256(text).hexdigest()}"


def _as_sha256sum(digest: bytes, name: bytes) -> bytes:
    escaped = name.replace(b"\\", rb"\\").replace(b"\n", rb"\n").replace(b"\r", rb"\r")
    return (b"\\" if escaped != name else b"") + digest + escaped + b"\n"


def check_digest(path: str, files: Sequence[FileBytes], said: str | None) -> Finding:
    """Compare the sha256 that the tag's message holds with that of the bytes."""
    found = digest_files(path, files)
    if said is not None and found is None:
        return _unchecked("tag and sha256", "its bytes are not here", said)
    return _compare("tag and sha256", said, found, "the tag's message says no sha256")


def find_tracked(snapshot: Snapshot, path: str) -> TrackedFile | None:
    """Return what DVC tracks at ``path``, or the tracked folder that it lies in."""
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((snapshot.tracked[one] for one in above if one in snapshot.tracked), None)


def split_tracked(
    snapshot: Snapshot, own: TrackedFile | None
) -> tuple[tuple[TrackedFile, ...], tuple[TrackedFile, ...]]:
    """Return the inputs (what no stage writes), and the other outputs of the pipeline."""
    written = {path for stage in snapshot.stages for path in stage.outs}
    rest = [file for _, file in sorted(snapshot.tracked.items()) if file != own]
    return (
        tuple(file for file in rest if file.path not in written),
        tuple(file for file in rest if file.path in written),
    )


def check_lock(snapshot: Snapshot, path: str, said: str | None) -> Finding:
    """Compare the hash that the tag's message holds with the commit's ``dvc.lock``."""
    own = find_tracked(snapshot, path)
    found = f"{own.hash_name}:{own.hash}" if own and own.hash else None
    return _compare("tag and dvc.lock", said, found, "the tag's message says no hash")


def check_provenance(
    said: Provenance, snapshot: Snapshot, *, tag: str, commit: str
) -> tuple[Finding, ...]:
    """Compare a provenance with the tag, the commit and its files."""
    own = find_tracked(snapshot, said.path)
    inputs, _ = split_tracked(snapshot, own)
    known = {file.path: digests_of(file.hash, file.hash_name) for file in inputs}
    params = {str(key): value for key, value in snapshot.params.items()}
    return (
        _compare("provenance: tag", said.tag, tag),
        _compare("provenance: commit", said.commit, commit),
        *_compare_all("provenance: lock file", said.locks, snapshot.locks),
        *_compare_all("provenance: input", _flat(said.inputs), _flat(known)),
        *_compare_all("provenance: parameter", _texts(said.params), _texts(params)),
    )


def check_files(files: Sequence[FileBytes], said: Provenance | None) -> Iterator[Finding]:
    """Compare the bytes with what DVC recorded, and with the provenance's own digests."""
    for file in files:
        yield _check_recorded(file)
        if said is not None:
            yield from _check_subject(file, said.subjects.get(file.path))
    if said is not None:
        for path in sorted(set(said.subjects) - {file.path for file in files}):
            yield Finding(
                subject=f"{path}: provenance",
                state=CheckState.FAILED,
                detail="the provenance names a file that the version does not have",
            )


def _check_recorded(file: FileBytes) -> Finding:
    subject = f"{file.path}: {file.hash_name}"
    if file.found is None:
        return _unchecked(subject, "its bytes are not here", file.recorded)
    return _compare(subject, file.recorded, file.found, "nothing is recorded of it")


def _check_subject(file: FileBytes, said: Digests | None) -> Iterator[Finding]:
    if said is None:
        yield Finding(
            subject=f"{file.path}: provenance",
            state=CheckState.FAILED,
            detail="the provenance does not name this file",
        )
        return
    recorded = digests_of(file.recorded, file.hash_name)
    for name, value in sorted(said.items()):
        subject = f"{file.path}: provenance {name}"
        if name == "sha256":
            yield (
                _compare(subject, value, file.sha256)
                if file.sha256
                else _unchecked(subject, "its bytes are not here", value)
            )
        elif name in recorded:
            yield _compare(subject, value, recorded[name])
        else:
            yield _unchecked(subject, "no such digest is known here", value)
    if "sha256" not in said:
        yield _unchecked(f"{file.path}: provenance sha256", "the provenance has none", None)


def compare_outputs(said: Snapshot, found: Snapshot) -> tuple[OutputComparison, ...]:
    """Compare the outputs of the version's stages with those of a run made again."""
    written = sorted({path for stage in said.stages for path in stage.outs})
    return tuple(
        _compare_output(path, said.tracked.get(path), found.tracked.get(path)) for path in written
    )


def _compare_output(
    path: str, said: TrackedFile | None, found: TrackedFile | None
) -> OutputComparison:
    expected, now = (file.hash if file else None for file in (said, found))
    same = OutputState.SAME if expected == now else OutputState.DIFFERS
    state = same if now is not None else OutputState.MISSING
    return OutputComparison(path=path, state=state, expected=expected, found=now)


def compare_metrics(
    said: Mapping[MetricKey, MetricValue],
    found: Mapping[MetricKey, MetricValue],
    tolerance: Threshold,
) -> tuple[MetricComparison, ...]:
    """Compare the metrics, by file and name; one that is only on one side is not reproduced."""
    keys = sorted({**said, **found}, key=lambda key: (key.path, key.name))
    return tuple(
        MetricComparison(
            key=key,
            expected=said.get(key),
            found=found.get(key),
            ok=_agree(said.get(key), found.get(key), tolerance),
        )
        for key in keys
    )


def _agree(said: MetricValue | None, found: MetricValue | None, tolerance: Threshold) -> bool:
    if said == found:
        return True
    if not isinstance(said, float) or not isinstance(found, float):
        return False
    return abs(found - said) <= tolerance.against(said)


def conclude(
    outputs: tuple[OutputComparison, ...],
    metrics: tuple[MetricComparison, ...],
    tolerance: Threshold,
) -> Reproduction:
    """Say whether a version was reproduced: its metrics agree, or, without any, its bytes do."""
    there = all(one.state is not OutputState.MISSING for one in outputs)
    same = all(one.state is OutputState.SAME for one in outputs)
    ok = there and (all(one.ok for one in metrics) if metrics else same)
    return Reproduction(tolerance=str(tolerance), outputs=outputs, metrics=metrics, ok=ok)


def nothing_fails(findings: Iterable[Finding]) -> bool:
    """Whether no finding contradicts what was said."""
    return all(one.state is not CheckState.FAILED for one in findings)


def _compare(subject: str, said: str | None, found: str | None, without: str = "") -> Finding:
    if said is None:
        return _unchecked(subject, without, None)
    state = CheckState.OK if said == found else CheckState.FAILED
    detail = "" if state is CheckState.OK else "they differ"
    return Finding(subject=subject, state=state, detail=detail, expected=said, found=found)


def _compare_all(what: str, said: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what differs, or one finding for all that agree."""
    keys = sorted({*said, *found})
    wrong = [key for key in keys if said.get(key) != found.get(key)]
    if not wrong and keys:
        yield Finding(subject=f"{what}s ({len(keys):,})", state=CheckState.OK)
    for key in wrong:
        yield Finding(
            subject=f"{what} {key}",
            state=CheckState.FAILED,
            detail="they differ",
            expected=said.get(key),
            found=found.get(key),
        )


def _unchecked(subject: str, why: str, expected: str | None) -> Finding:
    return Finding(subject=subject, state=CheckState.UNCHECKED, detail=why, expected=expected)


def _flat(digests: Mapping[str, Digests]) -> dict[str, str]:
    return {f"{path} {name}": value for path, one in digests.items() for name, value in one.items()}


def _texts(values: Mapping[str, Scalar]) -> dict[str, str]:
    return {key: repr(value) for key, value in values.items()}
