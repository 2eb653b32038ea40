"""Model files: which may be loaded, by the project's settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from modelci.config.load import FILE
from modelci.config.model import Config, SafetyConfig
from modelci.domain.artifacts import Artifact, did_you_mean
from modelci.domain.evaluation import Mode
from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Severity, Subject, Threshold
from modelci.domain.modelfiles import Danger, FileScan, Scan, ScanFinding, Trust
from modelci.domain.snapshot import Snapshot
from modelci.errors import UsageError
from modelci.modelfiles.scan import scan_path
from modelci.ports import FileTree, MissingDataError, ModelScanner
from modelci.workflows.findings import Findings

_MODEL = "model"
_MOST_SHOWN = 3


def trust_in(artifact: str | None, safety: SafetyConfig) -> Trust:
    """Return what may be loaded of an artifact, or (None) of a file that is none."""
    return Trust(types=safety.trusted_types, pickle=artifact in safety.allow_pickle)


def scan_files(paths: Sequence[Path], *, trust_of: Callable[[Path], Trust]) -> Scan:
    """Scan files, and every file of folders, on disk; raises ModelFileError."""
    return Scan(files=tuple(one for path in paths for one in scan_path(path, trust=trust_of(path))))


def declared_models(snapshot: Snapshot) -> tuple[Artifact, ...]:
    """Return the artifacts that are declared to be models, whose files are scanned."""
    return tuple(one for one in snapshot.artifacts if (one.type or "").lower() == _MODEL)


def scan_declared(
    artifact: Artifact,
    tree: FileTree,
    config: Config,
    scanner: ModelScanner,
    *,
    pull: bool = False,
    extra: Trust | None = None,
) -> tuple[FileScan, ...]:
    """Scan an artifact's files by the settings of ``config``, and ``extra`` beyond them.

    Raises MissingDataError where the bytes are not to be had here.
    """
    settings, trust = config.models.get(artifact.name), trust_in(artifact.name, config.safety)
    if extra is not None:
        trust = Trust(types=(*trust.types, *extra.types), pickle=trust.pickle or extra.pickle)
    return scanner.scan(
        tree,
        artifact.path,
        trust=trust,
        flavour=settings.flavour if settings else None,
        pull=pull,
    )


def judge_models(
    snapshot: Snapshot,
    tree: FileTree,
    judging: Config,
    scanner: Callable[[], ModelScanner],
    *,
    pull: bool,
    proposed: Config | None = None,
) -> Findings:
    """Scan each declared model of a revision by ``judging``'s settings: an unsafe one fails.

    A model whose bytes are not to be had here is a note. ``proposed`` are the revision's own
    settings, where they are others: a model that they would allow is told so.
    """
    models = declared_models(snapshot)
    if not judging.safety.scan or not models:
        return Findings()
    results, notes = [], []
    for artifact in models:
        try:
            found = scan_declared(artifact, tree, judging, scanner(), pull=pull)
        except MissingDataError as error:
            notes.append(_unscanned(artifact, error))
            continue
        if not all(one.is_safe for one in found):
            allowed = _would_allow(proposed, judging, artifact, tree, scanner(), pull=pull)
            results.append(_refuse(artifact, found, allowed=allowed))
    return Findings(
        gates=tuple(results),
        notes=tuple(notes),
        names=frozenset(_gate(artifact).metric for artifact in models),
    )


def _unscanned(artifact: Artifact, error: MissingDataError) -> str:
    return f"The model {artifact.name} was not scanned: {error} {error.hint or ''}".strip()


def _would_allow(
    proposed: Config | None,
    judging: Config,
    artifact: Artifact,
    tree: FileTree,
    scanner: ModelScanner,
    *,
    pull: bool,
) -> bool:
    if proposed is None or (proposed.safety, proposed.models) == (judging.safety, judging.models):
        return False
    if not proposed.safety.scan:
        return True
    found = scan_declared(artifact, tree, proposed, scanner, pull=pull)
    return all(one.is_safe for one in found)


def _refuse(artifact: Artifact, files: Iterable[FileScan], *, allowed: bool) -> GateResult:
    theirs = (
        f" (the head's {FILE} would allow it: that counts once it is merged, on its own)"
        if allowed
        else ""
    )
    return GateResult(
        gate=_gate(artifact),
        outcome=Outcome.FAILED,
        reason=f"{_refused(artifact.name, files)}{theirs}",
        subject=Subject.SAFETY,
        mode=Mode.POINT,
    )


def _gate(artifact: Artifact) -> Gate:
    return Gate(
        metric=f"{artifact.path}: safe to load",
        rule=Rule.MAX,
        threshold=Threshold(value=0.0),
        severity=Severity.BLOCK,
    )


def _refused(name: str, files: Iterable[FileScan]) -> str:
    findings = [one for file in files for one in file.findings]
    way = f": save it with skops, or allow it on the base branch by `safety.allow_pickle: [{name}]`"
    return f"{explain(findings, way)}: see `modelci scan`"


def explain(findings: Sequence[ScanFinding], way: str = "") -> str:
    """Return what is refused of a file, in short; ``way`` is what to do about a pickle."""
    others = [one for one in findings if one.danger is not Danger.PICKLE_NOT_ALLOWED]
    found = [f"{one.danger} {one.name}{f' ({one.detail})' if one.detail else ''}" for one in others]
    if len(others) < len(findings):
        found.insert(0, f"is a pickle{way}")
    more = f" and {len(found) - _MOST_SHOWN:,} more" if len(found) > _MOST_SHOWN else ""
    return f"{'; '.join(found[:_MOST_SHOWN])}{more}"


def artifacts_by_file(root: Path, snapshot: Snapshot) -> Mapping[Path, str]:
    """Return the names of the declared artifacts by where they lie on disk."""
    return {(root / one.path).resolve(): one.name for one in snapshot.artifacts}


def choose_models(snapshot: Snapshot, name: str | None) -> tuple[Artifact, ...]:
    """Return the artifact of that name, or (None) all that are declared to be models.

    Raises UsageError where there is none.
    """
    if name is None:
        found = declared_models(snapshot)
        if not found:
            raise UsageError(
                "No dvc.yaml declares an artifact of type: model.",
                hint="Name files: `modelci scan FILE`.",
            )
        return found
    known = {one.name: one for one in snapshot.artifacts}
    if name not in known:
        raise UsageError(
            f"{name!r} is neither a file nor an artifact of dvc.yaml.",
            hint=did_you_mean(name, known),
        )
    return (known[name],)
