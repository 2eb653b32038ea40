"""Loads a model's file once its scan says that this runs no code which came with it."""

from pathlib import Path

from modelci.domain.golden import Golden
from modelci.domain.modelfiles import FileScan, ScanFinding, Trust, advice
from modelci.modelfiles.files import ModelFileError, read_model
from modelci.modelfiles.flavours import find_flavour
from modelci.modelfiles.predictor import Predictor
from modelci.modelfiles.scan import scan_file

_MOST_SHOWN = 5


def load_model(
    path: Path, *, trust: Trust, flavour: str | None = None, golden: Golden | None = None
) -> Predictor:
    """Return what answers for the model at ``path``.

    ``flavour`` says how to load it where its format does not; ``golden`` knows its inputs' types.
    The file is read once: what was scanned is what is loaded. Raises ModelFileError for one that
    is unsafe, broken, or made by another version.
    """
    file = read_model(path)
    asked = flavour or (golden.flavour if golden else None)
    scan = scan_file(file, trust=trust, flavour=asked)
    if not scan.is_safe:
        raise refusal(scan)
    return find_flavour(scan.format, asked).load(file, scan, trust, golden)


def refusal(scan: FileScan, *, has_flags: bool = False) -> ModelFileError:
    """Return the error that says why a file is not loaded, and what to do about it.

    ``has_flags``: the command at hand takes --trust and --allow-pickle.
    """
    shown = [_text(one) for one in scan.findings[:_MOST_SHOWN]]
    if len(scan.findings) > _MOST_SHOWN:
        shown.append(f"and {len(scan.findings) - _MOST_SHOWN} more")
    return ModelFileError(
        f"{scan.path} may not be loaded: {'; '.join(shown)}.",
        hint=advice(scan.findings, has_flags=has_flags),
    )


def _text(one: ScanFinding) -> str:
    what = f"{one.danger} {one.name}"
    return f"{what} ({one.detail})" if one.detail else what
