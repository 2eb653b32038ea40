"""Model files: which may be loaded, by the project's settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from modelci.config.model import Config, SafetyConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.evaluation import Mode
from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Severity, Subject, Threshold
from modelci.domain.modelfiles import FileScan, Scan, Trust
from modelci.domain.snapshot import Snapshot
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


def judge_models(
    snapshot: Snapshot,
    tree: FileTree,
    judging: Config,
    scanner: Callable[[], ModelScanner],
    *,
    pull: bool,
) -> Findings:
    """Scan each declared model of a revision by ``judging``'s settings: an unsafe one fails.

    A model whose bytes are not to be had here is a note.
    """
    models = [one for one in snapshot.artifacts if (one.type or "").lower() == _MODEL]
    if not judging.safety.scan or not models:
        return Findings()
    results, notes = [], []
    for artifact in models:
        found = _scan(artifact, tree, judging, scanner(), pull=pull)
        if isinstance(found, str):
            notes.append(found)
        elif not all(one.is_safe for one in found):
            results.append(_refuse(artifact, found))
    return Findings(
        gates=tuple(results),
        notes=tuple(notes),
        names=frozenset(_gate(artifact).metric for artifact in models),
    )


def _scan(
    artifact: Artifact, tree: FileTree, judging: Config, scanner: ModelScanner, *, pull: bool
) -> tuple[FileScan, ...] | str:
    settings = judging.models.get(artifact.name)
    try:
        return scanner.scan(
            tree,
            artifact.path,
            trust=trust_in(artifact.name, judging.safety),
            flavour=settings.flavour if settings else None,
            pull=pull,
        )
    except MissingDataError as error:
        return f"The model {artifact.name} was not scanned: {error} {error.hint or ''}".strip()


def _refuse(artifact: Artifact, files: Iterable[FileScan]) -> GateResult:
    return GateResult(
        gate=_gate(artifact),
        outcome=Outcome.FAILED,
        reason=_refused(files),
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


def _refused(files: Iterable[FileScan]) -> str:
    found = [
        f"{one.danger} {one.name}{f' ({one.detail})' if one.detail else ''}"
        for file in files
        for one in file.findings
    ]
    more = f" and {len(found) - _MOST_SHOWN:,} more" if len(found) > _MOST_SHOWN else ""
    return f"{'; '.join(found[:_MOST_SHOWN])}{more}: see `modelci scan`"


def artifacts_by_file(root: Path, snapshot: Snapshot) -> Mapping[Path, str]:
    """Return the names of the declared artifacts by where they lie on disk."""
    return {(root / one.path).resolve(): one.name for one in snapshot.artifacts}
