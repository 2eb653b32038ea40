"""What is to be served: a release's folder, or a model's file with its golden requests."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path

from modelci.documents import codec
from modelci.domain.deployment import Release
from modelci.domain.modelfiles import Trust
from modelci.errors import ConfigError, DeploymentError

_logger = logging.getLogger(__name__)

RELEASE_FILE = "release.json"
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model's file and what is known of it; ``sha256`` is what its bytes hash to.

    ``version`` is what people call it: a version, a short commit, or the start of its hash. Paths
    are texts, for it is sent to other processes.
    """

    artifact: str
    version: str
    release: str
    model: str
    sha256: str
    golden: str | None = None
    flavour: str | None = None
    trust: Trust = field(default_factory=Trust)


def open_release(folder: Path) -> Source:
    """Return what a release's folder holds, with every file's hash checked.

    Links are followed first: a folder that ``current`` names stays the one that it was.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise ConfigError(
            f"There is no folder {folder}.", hint="Name a release's folder, or a model's file."
        )
    release = codec.read(Release, folder / RELEASE_FILE)
    hashes = {file.path: file.sha256 for file in release.files}
    for path, expected in hashes.items():
        _check_hash(_inside(folder, path), expected, release.id)
    if release.model not in hashes:
        raise ConfigError(f"{folder / RELEASE_FILE} does not list the model, {release.model!r}.")
    return Source(
        artifact=release.artifact,
        version=release.version or release.commit[:7],
        release=release.id,
        model=str(_inside(folder, release.model)),
        sha256=hashes[release.model],
        golden=str(_inside(folder, release.golden)) if release.golden else None,
        flavour=release.flavour,
        trust=Trust(types=release.trusted_types, pickle=release.allow_pickle),
    )


def open_file(
    model: Path,
    *,
    artifact: str | None = None,
    version: str | None = None,
    golden: Path | None = None,
    flavour: str | None = None,
    trust: Trust | None = None,
) -> Source:
    """Return a model's file as a source; its name is the file's unless ``artifact`` says else."""
    sha256 = _hash(model)
    name = artifact or model.name.split(".", 1)[0]
    label = version or sha256[:_SHOWN]
    return Source(
        artifact=name,
        version=label,
        release=label if label == sha256[:_SHOWN] else f"{label}-{sha256[:_SHOWN]}",
        model=str(model),
        sha256=sha256,
        golden=None if golden is None else str(golden),
        flavour=flavour,
        trust=trust or Trust(),
    )


def tell_switch(source: Source) -> None:
    """Log what answers now."""
    _logger.info("%s %s answers now (release %s)", source.artifact, source.version, source.release)


def _inside(folder: Path, path: str) -> Path:
    found = (folder / path).resolve()
    if not found.is_relative_to(folder):
        raise ConfigError(f"{folder / RELEASE_FILE} names {path!r}, which lies outside of it.")
    return found


def _check_hash(path: Path, expected: str, release: str) -> None:
    found = _hash(path)
    if found != expected:
        raise DeploymentError(
            f"{path} is not the file of release {release}: its SHA-256 is {found[:_SHOWN]}…, "
            f"and was {expected[:_SHOWN]}….",
            hint="Deploy the release again; `modelci deploy` replaces what was damaged.",
        )


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.",
            hint="Check the path. What DVC keeps is brought here by `dvc pull`.",
        ) from error
