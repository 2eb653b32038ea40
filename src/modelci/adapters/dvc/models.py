"""Scans the models of a revision, wherever their bytes lie."""

from collections.abc import Sequence
from pathlib import Path

from modelci.adapters.dvc.contents import Fetch
from modelci.adapters.dvc.locate import Located, Locator
from modelci.domain.modelfiles import FileScan, Trust
from modelci.modelfiles.files import ModelFile, read_model
from modelci.modelfiles.scan import scan_file
from modelci.ports import FileTree


class DvcModelScanner:
    """The ``ModelScanner`` over Git, the disk and DVC's cache; as ``DvcSnapshotReader`` is made."""

    def __init__(
        self,
        root: Path,
        *,
        fetch: Fetch | None = None,
        config_folders: Sequence[Path] | None = None,
    ) -> None:
        self._locator = Locator(root, fetch=fetch, config_folders=config_folders)

    def scan(
        self, tree: FileTree, path: str, *, trust: Trust, flavour: str | None, pull: bool
    ) -> tuple[FileScan, ...]:
        """Return what was found of the file at ``path``, or of every file in it.

        Raises MissingDataError.
        """
        return tuple(
            scan_file(_read(one), trust=trust, name=one.path, flavour=flavour)
            for one in self._locator.find_all(tree, path, pull=pull)
        )


def _read(found: Located) -> ModelFile:
    if isinstance(found.source, Path):
        return read_model(found.source)
    return ModelFile(path=Path(found.path), data=found.source)
