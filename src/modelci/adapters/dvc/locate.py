"""Finds one file of a revision, in Git, on disk or in DVC's cache, and the hash of its bytes."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelci.adapters.dvc.cache import Cache
from modelci.adapters.dvc.contents import Contents, Fetch, Parser
from modelci.adapters.dvc.files import Files, find_layout
from modelci.adapters.dvc.hashing import MD5, hash_bytes
from modelci.adapters.dvc.paths import locate
from modelci.adapters.dvc.revision import load_revision
from modelci.adapters.dvc.snapshot import Notes, ProjectSettings, track
from modelci.domain.changes import TrackedFile
from modelci.domain.snapshot import NOT_CACHED
from modelci.errors import ModelCIError
from modelci.ports import FileTree, MissingDataError

_MAX_LINK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A file's bytes, or where they lie in the cache, checked against ``hash``."""

    path: str
    source: bytes | Path
    hash: str | None


class Locator:
    """Finds files by path; the arguments are ``DvcSnapshotReader``'s."""

    def __init__(
        self,
        root: Path,
        *,
        fetch: Fetch | None = None,
        config_folders: Sequence[Path] | None = None,
    ) -> None:
        self._root = root
        self._fetch = fetch
        self._config_folders = config_folders
        self._last: tuple[FileTree, _Revision] | None = None

    def find(self, tree: FileTree, path: str, *, pull: bool = False) -> Located:
        """Return the file at ``path`` (from the top of the repository).

        What lies on disk or in Git wins over the cache. Its hash is Git's id, for what DVC tracks
        DVC's. With ``pull`` the DVC remote is asked for what the cache lacks. Raises
        MissingDataError that says where it was looked for and what helps.
        """
        inside = locate("", path).path
        if inside is None:
            raise MissingDataError(
                f"{path} lies outside of the repository.",
                hint="Give the path of a file from the top of the repository.",
            )
        revision = self._open(tree)
        wanted = revision.plain(inside) or revision.tracked(inside)
        if isinstance(wanted, Located):
            return wanted
        found = wanted.look()
        if found is None and pull and self._fetch is not None:
            found = _pull(wanted, self._fetch)
        if found is None:
            raise wanted.error(pulled=pull)
        return found

    def find_all(self, tree: FileTree, path: str, *, pull: bool = False) -> tuple[Located, ...]:
        """Return the file at ``path``, or every file in it, by path; raises as ``find`` does."""
        inside = locate("", path).path
        fetch = self._fetch if pull else None
        names = (path,) if inside is None else self._open(tree).members(inside, fetch)
        return tuple(self.find(tree, name, pull=pull) for name in sorted(names))

    def _open(self, tree: FileTree) -> "_Revision":
        if self._last is None or self._last[0] is not tree:
            self._last = (tree, _Revision(self._root, tree, self._config_folders))
        return self._last[1]


class _Revision:
    """What DVC's files of one tree say of where bytes lie."""

    def __init__(self, root: Path, tree: FileTree, folders: Sequence[Path] | None) -> None:
        self._tree = tree
        self._files = Files(tree)
        layout = find_layout(self._files)
        settings = ProjectSettings(root, layout, folders)
        revision = load_revision(self._files, layout, Parser(), settings.of)
        self._cache_of = settings.cache_of
        self._tracked, _ = track(revision, Notes())
        self._contents = Contents(self._files, self._tracked, settings.cache_of, layout.ignored)

    def plain(self, path: str) -> Located | None:
        """Return a file that Git has, or that lies on disk."""
        end = self._files.follow(path)
        data = None if end is None else self._tree.read([end]).get(end)
        if end is None or data is None:
            return None
        if len(data) <= _MAX_LINK and b"\n" not in data:
            end = self._files.end_of(end) or end
            data = self._tree.read([end]).get(end, data)
        return Located(path=path, source=data, hash=self._hash(end, data))

    def members(self, path: str, fetch: Fetch | None) -> Sequence[str]:
        """Return the files that ``path`` means; MissingDataError where a folder has no list."""
        found = self._contents.expand(path)
        folder = self._contents.owner(f"{path}/")
        if folder is None or self._contents.listing(folder) is not None:
            return found
        if fetch is not None:
            _fetch(fetch, folder, path)
            self._contents.forget_lacking()
        if self._contents.listing(folder) is None:
            cache = self._cache_of(folder.path)
            raise _Wanted(path, folder, self._contents, cache).error(pulled=fetch is not None)
        return self._contents.expand(path)

    def tracked(self, path: str) -> "_Wanted":
        """Return what DVC's cache should have; MissingDataError where DVC tracks no such file."""
        own = self._tracked.get(path)
        owner = self._contents.owner(path)
        is_folder = own is not None and (own.hash or "").endswith(".dir")
        if is_folder or self._files.under(path) or self._contents.tracked_under(path):
            raise MissingDataError(
                f"{path} is a folder.", hint=f"Name a file in it, such as {path}/test.parquet."
            )
        wanted = own or owner
        if wanted is None or wanted.in_git or wanted.hash is None:
            raise MissingDataError(
                f"{path} is not in this revision: it is neither in Git nor recorded by DVC.",
                hint="Check the path, or run `dvc repro` (or `dvc add`) and commit what it writes.",
            )
        return _Wanted(path, wanted, self._contents, self._cache_of(wanted.path))

    def _hash(self, path: str, data: bytes) -> str | None:
        if path in self._files.paths:
            return self._files.blob_id(path)
        own = self._tracked.get(path) or self._contents.owner(path)
        return None if own is None else hash_bytes(data, own.hash_name)


@dataclass(slots=True)
class _Wanted:
    """A file that DVC tracks, by itself or in the folder ``owner``."""

    path: str
    owner: TrackedFile
    _contents: Contents
    _cache: Cache

    def look(self) -> Located | None:
        """Return the file if the cache has all of it; MissingDataError if its folder lacks it."""
        wanted = self.member()
        if wanted is None:
            return None
        file = self._cache.place(wanted.hash or "", wanted.hash_name)
        if file is None or _hash_file(file, wanted.hash_name) != wanted.hash:
            return None
        return Located(path=self.path, source=file, hash=wanted.hash)

    def member(self) -> TrackedFile | None:
        """Return the file by itself, with its own hash; None where its folder's list is missing."""
        if self.path == self.owner.path:
            return self.owner
        self._contents.forget_lacking()
        listing = self._contents.listing(self.owner)
        if listing is None:
            return None
        name = self.path[len(self.owner.path) + 1 :]
        if name not in listing:
            raise MissingDataError(
                f"{self.path} is not in this revision: {self.owner.path} has no such file.",
                hint="Check the path: it counts from the top of the repository.",
            )
        return replace(self.owner, path=self.path, hash=listing[name], bytes=None, files=None)

    def error(self, *, pulled: bool) -> MissingDataError:
        """Say that the cache lacks the file."""
        name = shlex.quote(self.owner.path)
        return MissingDataError(
            f"{self.path} is {NOT_CACHED}{', nor on the remote' * pulled}.",
            hint=f"Push it from where it was made: `dvc push {name}`."
            if pulled
            else f"Run `dvc fetch {name}`, or pass --pull.",
        )


def _pull(wanted: _Wanted, fetch: Fetch) -> Located | None:
    """Fetch the list of the file's folder if that is missing, and then the file alone."""
    if wanted.member() is None:
        _fetch(fetch, wanted.owner, wanted.path)
    found, member = wanted.look(), wanted.member()
    if found is None and member is not None:
        _fetch(fetch, member, wanted.path)
    return found or wanted.look()


def _fetch(fetch: Fetch, file: TrackedFile, path: str) -> None:
    try:
        fetch((file,))
    except MissingDataError:
        raise
    except ModelCIError as error:
        raise MissingDataError(
            f"{path} is {NOT_CACHED}, and the DVC remote gave nothing: {error}",
            hint=error.hint,
        ) from error


def _hash_file(file: Path, name: str) -> str | None:
    try:
        with file.open("rb") as stream:
            if name != MD5:
                return hash_bytes(stream.read(), name)
            return hashlib.file_digest(stream, _md5).hexdigest()
    except OSError:
        return None


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
