"""Hashes the bytes behind what DVC tracks: from the cache, or fetched anew from the DVC remote.

DVC itself takes most remotes' word for what they send (``remote.*.verify`` is off by default), and
knows md5 alone. Here every byte is read.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from modelci.adapters.dvc.cache import Cache, CacheAt
from modelci.adapters.dvc.files import Files, find_layout
from modelci.adapters.dvc.hashing import MD5, hash_bytes
from modelci.adapters.dvc.snapshot import ProjectSettings
from modelci.domain.changes import TrackedFile
from modelci.domain.provenance import FileBytes
from modelci.ports import FileTree

FetchInto = Callable[[Sequence[TrackedFile], Path], None]
"""Brings the bytes of tracked files from the DVC remote into a cache folder."""

_CHUNK = 1 << 20
_FOLDER = ".dir"


class DvcBytes:
    """Reads what DVC tracks at a revision; ``root`` is the top of the repository."""

    def __init__(
        self,
        root: Path,
        *,
        fetch: FetchInto,
        config_folders: Sequence[Path] | None = None,
    ) -> None:
        self._root = root
        self._fetch = fetch
        self._config_folders = config_folders

    def read(
        self, tree: FileTree, file: TrackedFile, path: str, *, pull: bool
    ) -> tuple[FileBytes, ...]:
        """Return the files of ``path``, which is ``file`` or lies in it, with what they hash to.

        With ``pull`` the bytes are those that the DVC remote has now, whatever the cache holds.
        """
        if file.in_git:
            data = tree.read([file.path]).get(file.path)
            return (_of_bytes(file, data),)
        with self._cache(tree, file, pull=pull) as cache:
            found = _read(cache, file)
        inside = [one for one in found if one.path == path or one.path.startswith(f"{path}/")]
        return tuple(inside) or found

    @contextmanager
    def _cache(self, tree: FileTree, file: TrackedFile, *, pull: bool) -> Iterator[Cache]:
        if not pull:
            settings = ProjectSettings(self._root, find_layout(Files(tree)), self._config_folders)
            yield settings.cache_of(file.path)
            return
        with tempfile.TemporaryDirectory(prefix="modelci-") as name:
            bring((file,), Path(name), self._fetch)
            yield Cache(CacheAt(Path(name)))


def bring(files: Sequence[TrackedFile], cache: Path, fetch: FetchInto) -> None:
    """Fetch files into a cache folder; of a folder first its list, and then what that names."""
    fetch(files, cache)
    here = Cache(CacheAt(cache))
    members = [
        replace(file, path=f"{file.path}/{name}", hash=hash_)
        for file in files
        if (file.hash or "").endswith(_FOLDER)
        for name, hash_ in (here.read_listing(file.hash or "", file.hash_name) or {}).items()
    ]
    if members:
        fetch(members, cache)


def _read(cache: Cache, file: TrackedFile) -> tuple[FileBytes, ...]:
    own = _of_object(cache, file.path, file.hash, file.hash_name)
    if not (file.hash or "").endswith(_FOLDER) or own.found is None:
        return (own,)
    if f"{own.found}{_FOLDER}" != file.hash:
        return (own,)
    return tuple(
        _of_object(cache, f"{file.path}/{name}", hash_, file.hash_name)
        for name, hash_ in sorted(
            (cache.read_listing(file.hash or "", file.hash_name) or {}).items()
        )
    )


def _of_object(cache: Cache, path: str, hash_: str | None, hash_name: str) -> FileBytes:
    place = cache.place(hash_ or "", hash_name)
    try:
        found, sha256, size = _hash(place, hash_name) if place else (None, None, None)
    except OSError:
        found = sha256 = size = None
    return FileBytes(
        path=path,
        recorded=None if hash_ is None else hash_.removesuffix(_FOLDER),
        hash_name=hash_name,
        found=found,
        sha256=sha256,
        size=size,
    )


def _of_bytes(file: TrackedFile, data: bytes | None) -> FileBytes:
    return FileBytes(
        path=file.path,
        recorded=file.hash,
        hash_name=file.hash_name,
        found=None if data is None else hash_bytes(data, file.hash_name),
        sha256=None if data is None else hashlib.sha256(data).hexdigest(),
        size=None if data is None else len(data),
    )


def _hash(place: Path, hash_name: str) -> tuple[str | None, str, int]:
    if hash_name != MD5:
        data = place.read_bytes()
        return hash_bytes(data, hash_name), hashlib.sha256(data).hexdigest(), len(data)
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    with place.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
            size += len(chunk)
    return md5.hexdigest(), sha256.hexdigest(), size
