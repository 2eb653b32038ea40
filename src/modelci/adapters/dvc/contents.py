"""The bytes and values behind a path, wherever they lie: in Git, on disk, or in DVC's cache."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from modelci.adapters.dvc.cache import Cache
from modelci.adapters.dvc.files import Files, Ignored
from modelci.adapters.dvc.paths import locate, parents
from modelci.adapters.dvc.pyparams import parse_python
from modelci.domain.changes import TrackedFile
from modelci.errors import ConfigError
from modelci.formats import parse

Fetch = Callable[[Sequence[TrackedFile]], None]
"""Brings tracked files, or of folders the lists of their files, into DVC's cache."""

_NOT_DATA = frozenset({".gitignore", ".gitattributes", ".gitkeep", ".dvcignore"})


class Parser:
    """Parses each file once, however many stages name it."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def parse(self, path: str, data: bytes) -> Any:
        """Return a file's values, or raise ConfigError with file and line."""
        if path not in self._known:
            is_python = PurePosixPath(path).suffix.lower() == ".py"
            try:
                self._known[path] = parse_python(data, path) if is_python else parse(path, data)
            except ConfigError as error:
                self._known[path] = error
        found = self._known[path]
        if isinstance(found, ConfigError):
            raise found
        return found


class SharedParser(Parser):
    """Parses each content once, in whichever of many revisions it stands."""

    def __init__(self) -> None:
        super().__init__()
        self._by_content: dict[tuple[str, bytes], Any] = {}

    def parse(self, path: str, data: bytes) -> Any:
        """Return a file's values, or raise ConfigError with file and line."""
        key = (path, data)
        if key in self._by_content:
            self._known = {path: self._by_content[key]}
        else:
            self._known = {}
        try:
            return super().parse(path, data)
        finally:
            self._by_content[key] = self._known[path]


class Contents:
    """Files by path; those that DVC tracks come from its cache unless they lie on disk.

    ``lacking`` collects what was asked for and is not in the cache: files, and folders whose list
    of files is missing.
    """

    def __init__(
        self,
        files: Files,
        tracked: Mapping[str, TrackedFile],
        cache_of: Callable[[str], Cache],
        ignored: Ignored,
    ) -> None:
        self._files = files
        self._tracked = tracked
        self._sorted = sorted(tracked)
        self._cache_of = cache_of
        self._ignored = ignored
        self._listings: dict[str, Mapping[str, str] | None] = {}
        self._objects: dict[tuple[str, str], bytes | None] = {}
        self.lacking: dict[str, TrackedFile] = {}

    def expand(self, path: str) -> list[str]:
        """Return the files that ``path`` means: itself, or all below it."""
        if path in self._files.paths:
            return [path]
        in_git = [
            file
            for file in self._files.under(path)
            if PurePosixPath(file).name not in _NOT_DATA and not self._ignored.hides(file)
        ]
        owner = self.owner(f"{path}/")
        if owner is not None:
            members = [f"{owner.path}/{name}" for name in self.listing(owner) or {}]
            below = [file for file in members if file.startswith(f"{path}/")]
            return below or [path]
        below = [file for name in self.tracked_under(path) for file in self.expand(name)]
        return list(dict.fromkeys([*in_git, *below])) or [path]

    def get(self, path: str) -> bytes | None:
        """Return a file's bytes, or None; what lies on disk or in Git wins over the cache."""
        tracked = self._tracked.get(path)
        if tracked is not None and _is_folder(tracked):
            return None
        data = self._files.get(self._files.end_of(path) or path)
        if data is not None:
            return data
        if tracked is not None:
            return self._object(tracked)
        owner = self.owner(path)
        if owner is None:
            return None
        listing = self.listing(owner) or {}
        hash_ = listing.get(path[len(owner.path) + 1 :])
        return self._object(replace(owner, path=path, hash=hash_, bytes=None, files=None))

    def owner(self, path: str) -> TrackedFile | None:
        """Return the folder in DVC's cache that ``path`` lies in (or is, if it ends in a slash)."""
        for above in parents(path):
            found = self._tracked.get(above)
            if found is not None and _is_folder(found) and not found.in_git:
                return found
        return None

    def listing(self, folder: TrackedFile) -> Mapping[str, str] | None:
        """Return the hashes of a tracked folder's files, or None where the cache lacks them."""
        if folder.path not in self._listings:
            cache = self._cache_of(folder.path)
            found = cache.read_listing(folder.hash or "", folder.hash_name)
            self._listings[folder.path] = (
                None
                if found is None
                else {name: value for name, value in found.items() if locate("", name).path == name}
            )
        listing = self._listings[folder.path]
        if listing is None:
            self.lacking[folder.path] = folder
        return listing

    def tracked_under(self, folder: str) -> list[str]:
        """Return the tracked paths below a folder."""
        start = bisect_left(self._sorted, f"{folder}/")
        return self._sorted[start : bisect_left(self._sorted, f"{folder}0", start)]

    def pull(self, wanted: Callable[[], Iterable[str]], fetch: Fetch) -> None:
        """Fetch what the cache lacks: the lists of folders first, then the files that they name."""
        for _ in range(2):
            for path in wanted():
                self.get(path)
            if not self.lacking:
                return
            fetched = tuple(self.lacking.values())
            self.forget_lacking()
            fetch(fetched)

    def forget_lacking(self) -> None:
        """Look again for what the cache did not have."""
        self.lacking.clear()
        self._listings = {path: found for path, found in self._listings.items() if found}
        self._objects = {key: found for key, found in self._objects.items() if found is not None}

    def _object(self, file: TrackedFile) -> bytes | None:
        if file.in_git or file.hash is None:
            return None
        key = (file.hash_name, file.hash)
        if key not in self._objects:
            self._objects[key] = self._cache_of(file.path).read(file.hash, file.hash_name)
        if self._objects[key] is None:
            self.lacking[file.path] = file
        return self._objects[key]


def _is_folder(tracked: TrackedFile) -> bool:
    return tracked.hash is not None and tracked.hash.endswith(".dir")
