"""Scans model files: what loading one would bring in, found out without loading it.

What reads a format is imported where a file has it: numpy takes longer than most files.
"""

from pathlib import Path

from modelci.domain.modelfiles import Danger, FileFormat, FileScan, Trust
from modelci.modelfiles import onnxfiles
from modelci.modelfiles.allowed import Allowed
from modelci.modelfiles.archives import unpack
from modelci.modelfiles.files import ModelFile, ModelFileError, read_model
from modelci.modelfiles.findings import Examined, RefusedError
from modelci.modelfiles.flavours import vouches
from modelci.modelfiles.formats import detect, explain_unknown

MAX_UNPACKED = 4 * 1024**3
"""What a file may unpack to, in bytes."""


def scan_path(
    path: Path, *, trust: Trust, name: str | None = None, flavour: str | None = None
) -> tuple[FileScan, ...]:
    """Scan a file, or every file of a folder; ``name`` is what to call it.

    A format that we do not know is left to a ``flavour`` that vouches for it.

    Raises ModelFileError for what cannot be read.
    """
    shown = name or path.as_posix()
    if not path.is_dir():
        return (scan_file(read_model(path), trust=trust, name=shown, flavour=flavour),)
    return tuple(
        scan_file(
            read_model(file),
            trust=trust,
            name=f"{shown}/{file.relative_to(path).as_posix()}",
            flavour=flavour,
        )
        for file in files_in(path)
    )


def files_in(folder: Path) -> tuple[Path, ...]:
    """Return the files below a folder, by path; ModelFileError where there are none."""
    found = tuple(sorted(file for file in folder.rglob("*") if not file.is_dir()))
    if not found:
        raise ModelFileError(f"{folder} holds no file.")
    return found


def scan_file(
    file: ModelFile,
    *,
    trust: Trust,
    name: str | None = None,
    flavour: str | None = None,
    max_unpacked: int = MAX_UNPACKED,
) -> FileScan:
    """Say what loading a file would bring in, and what of that is refused."""
    kind = detect(file.data)
    found = Examined()
    try:
        kind = _examine(kind, file.data, trust, found, max_unpacked)
        if kind is FileFormat.UNKNOWN and not vouches(flavour):
            danger, why = explain_unknown(file.data)
            found.refuse(danger, "file", why)
    except RefusedError as error:
        found.add(error.finding)
    return FileScan(
        path=name or file.path.as_posix(),
        format=kind,
        sha256=file.sha256,
        bytes=len(file.data),
        types=tuple(sorted(found.names)),
        findings=found.findings,
        made_with=found.made_with,
    )


def _examine(
    kind: FileFormat, data: bytes, trust: Trust, found: Examined, max_unpacked: int
) -> FileFormat:
    match kind:
        case FileFormat.SKOPS:
            from modelci.modelfiles import skopsfiles  # noqa: PLC0415

            found.take(skopsfiles.examine(data, trust.types, max_bytes=max_unpacked))
        case FileFormat.ONNX:
            found.take(onnxfiles.examine(data, trust.types))
        case FileFormat.PICKLE | FileFormat.JOBLIB:
            return _examine_pickle(kind, data, trust, found, max_unpacked)
        case FileFormat.NUMPY:
            _examine_numpy(data, trust, found, max_unpacked)
        case FileFormat.JSON | FileFormat.UNKNOWN:
            pass
    return kind


def _examine_pickle(
    kind: FileFormat, data: bytes, trust: Trust, found: Examined, max_unpacked: int
) -> FileFormat:
    if kind is FileFormat.JOBLIB:
        data = unpack(data, max_bytes=max_unpacked)
        if detect(data) is not FileFormat.PICKLE:
            return FileFormat.UNKNOWN
    from modelci.modelfiles import pickles  # noqa: PLC0415

    found.take(pickles.examine(data, Allowed(trust.types)))
    _forbid_pickle(trust, found)
    return FileFormat.JOBLIB if pickles.JOBLIB_ARRAY in found.names else kind


def _forbid_pickle(trust: Trust, found: Examined) -> None:
    if not trust.pickle:
        found.refuse(Danger.PICKLE_NOT_ALLOWED, "pickle", "no pickle is allowed for this model")


def _examine_numpy(data: bytes, trust: Trust, found: Examined, max_unpacked: int) -> None:
    from modelci.modelfiles.arrays import examine_array, examine_arrays  # noqa: PLC0415

    allowed = Allowed(trust.types)
    if data.startswith(b"PK"):
        has_pickles = examine_arrays(data, allowed, found, max_bytes=max_unpacked)
    else:
        has_pickles = examine_array(data, allowed, found)
    if has_pickles:
        _forbid_pickle(trust, found)
