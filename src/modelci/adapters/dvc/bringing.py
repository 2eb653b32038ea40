"""Brings a file of any revision onto this disk: from the checkout, DVC's cache, or Git."""

import hashlib
from pathlib import Path

from modelci.adapters.dvc.locate import Locator
from modelci.ports import FileTree


class FileBringer:
    """Says where a file lies; what only Git has is written below ``folder``, by its hash."""

    def __init__(self, locator: Locator, root: Path, folder: Path, *, pull: bool) -> None:
        self._locator = locator
        self._root = root
        self._folder = folder
        self._pull = pull

    def __call__(self, tree: FileTree, path: str) -> Path:
        """Return a path with the bytes that ``path`` has in ``tree``, or raise MissingDataError."""
        found = self._locator.find(tree, path, pull=self._pull).source
        if isinstance(found, Path):
            return found
        here = self._root / path
        if here.is_file() and here.read_bytes() == found:
            return here
        kept = self._folder / hashlib.sha256(found).hexdigest()[:16] / Path(path).name
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f".{kept.name}.part")
        part.write_bytes(found)
        part.replace(kept)
        return kept


class NamedBringer:
    """Brings files under their own names: in DVC's cache they have none, nor an ending."""

    def __init__(self, bring: FileBringer, folder: Path) -> None:
        self._bring = bring
        self._folder = folder

    def __call__(self, tree: FileTree, path: str) -> Path:
        """Return a path that ends as ``path`` does, or raise MissingDataError."""
        found = self._bring(tree, path)
        if found.name == Path(path).name:
            return found
        link = self._folder / hashlib.sha256(str(found).encode()).hexdigest()[:16] / Path(path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(found.absolute())
        return link
