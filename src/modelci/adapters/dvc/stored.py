"""Reads and brings the bytes behind what DVC tracks, and hashes every one of them.

DVC itself takes most remotes' word for what they send (``remote.*.verify`` is off by default), and
knows md5 alone.
"""

import posixpath
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from modelci.adapters.dvc.cache import MAX_BYTES, Cache, CacheAt, is_hash, parse_listing
from modelci.adapters.dvc.files import Files, find_layout
from modelci.adapters.dvc.hashing import hash_bytes, hash_file, hash_listing
from modelci.adapters.dvc.paths import locate
from modelci.adapters.dvc.remote import Pause, RemoteObjects, pause_briefly
from modelci.adapters.dvc.snapshot import ProjectSettings
from modelci.domain.changes import TrackedFile
from modelci.domain.provenance import FileBytes
from modelci.errors import PipelineError
from modelci.ports import FileTree

FetchInto = Callable[[Sequence[TrackedFile], Path], None]
"""Brings the bytes of tracked files from the DVC remote into a cache folder."""

_FOLDER = ".dir"
_JOBS = 8
_SCRATCH = ".modelci-"


class DvcBytes:
    """The ``StoredBytes`` and ``ReleaseBytes`` of the repository whose top is ``root``.

    ``remote`` names the DVC remote to read, instead of the default one.
    """

    def __init__(
        self,
        root: Path,
        *,
        remote: str | None = None,
        config_folders: Sequence[Path] | None = None,
        pause: Pause = pause_briefly,
    ) -> None:
        self._root = root
        self._remote = remote
        self._config_folders = config_folders
        self._pause = pause
        self._remotes: dict[str, RemoteObjects] = {}

    def read(
        self, tree: FileTree, file: TrackedFile, path: str, *, pull: bool
    ) -> tuple[FileBytes, ...]:
        """Return the files of ``path``, which is ``file`` or lies in it, with what they hash to.

        With ``pull`` the bytes are those that the DVC remote has now, whatever the cache holds.
        """
        cache, remote = self._places(tree, file)
        with tempfile.TemporaryDirectory(prefix="modelci-") as name:
            scratch = Path(name)
            found = _find(tree, file, path, [remote if pull else cache], scratch)
            if isinstance(found, FileBytes):
                return (found,)
            return _each(lambda one: _look(one.places[0], one.file, _part(scratch)), found)

    def fetch(
        self, tree: FileTree, file: TrackedFile, path: str, into: Path
    ) -> tuple[FileBytes, ...]:
        """Write the files at ``path``, which is ``file`` or lies in it, below ``into``.

        A file lies there by its name, a folder's files in a folder of its name. The bytes are
        Git's, or the cache's where it has the right ones, else the DVC remote's. Each file is
        written whole or not at all, what is there already with the right bytes stays, and what is
        refused is not there afterwards: its FileBytes says why. One at a time brings into a folder.
        Raises PipelineError where the remote does not answer or denies access, or a folder's list
        names a file outside of it.
        """
        above = posixpath.dirname(path)
        places = self._places(tree, file)
        try:
            into.mkdir(parents=True, exist_ok=True)
            for left in into.glob(f"{_SCRATCH}*"):  # by one that was killed
                shutil.rmtree(left)
            # Beside what it is for: a file moves into its place at once, and whole.
            with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=into) as name:
                scratch = Path(name)
                found = _find(tree, file, path, places, scratch)
                if isinstance(found, FileBytes):
                    return (found,)
                return _each(
                    lambda one: _bring(one, _target(into, one.file.path, above), _part(scratch)),
                    found,
                )
        except OSError as error:
            raise PipelineError(
                f"{path} cannot be written below {into}: {error}.",
                hint="Is there room, may this user write there, and is nothing else in its place?",
            ) from error

    def _places(self, tree: FileTree, file: TrackedFile) -> "tuple[_Cached, RemoteObjects]":
        """Return the cache and the remote of the DVC project that a file belongs to."""
        layout = find_layout(Files(tree))
        settings = ProjectSettings(self._root, layout, self._config_folders)
        project = layout.root_of(file.path)
        if project not in self._remotes:
            self._remotes[project] = RemoteObjects(
                self._root / project, name=self._remote, pause=self._pause
            )
        return _Cached(settings.cache_of(file.path)), self._remotes[project]


class _Place(Protocol):
    """Where objects lie by hash."""

    def place(self, hash_: str, hash_name: str) -> str:
        """Return where an object should lie, for messages."""

    def find(self, hash_: str, hash_name: str, scratch: Path) -> Path | None:
        """Return where an object's bytes lie now, in ``scratch`` if they had to be brought.

        Nobody has looked yet whether they are the right ones.
        """


@dataclass(frozen=True, slots=True)
class _Cached:
    """The objects of DVC's cache, which anything may have changed."""

    cache: Cache

    def place(self, hash_: str, hash_name: str) -> str:
        return str(self.cache.place(hash_, hash_name))

    def find(self, hash_: str, hash_name: str, scratch: Path) -> Path | None:  # noqa: ARG002
        place = self.cache.place(hash_, hash_name)
        return place if place is not None and place.is_file() else None


@dataclass(frozen=True, slots=True)
class _InGit:
    """One file as Git has it, whatever hash it is asked for."""

    data: bytes | None

    def place(self, hash_: str, hash_name: str) -> str:  # noqa: ARG002
        return "Git"

    def find(self, hash_: str, hash_name: str, scratch: Path) -> Path | None:  # noqa: ARG002
        if self.data is None:
            return None
        scratch.write_bytes(self.data)
        return scratch


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file, and where to look for it, one after the other."""

    file: TrackedFile
    places: Sequence[_Place]


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


def _find(
    tree: FileTree, file: TrackedFile, path: str, places: Sequence[_Place], scratch: Path
) -> list[_Wanted] | FileBytes:
    """Return the files at ``path``, or what is wrong with the list of the folder it is in."""
    if file.in_git:
        found = _in_git(tree, file)
    elif _is_folder(file):
        found = _listed(file, places, scratch)
    else:
        found = [_Wanted(file, places)]
    if isinstance(found, FileBytes):
        return found
    inside = [one for one in found if f"{one.file.path}/".startswith(f"{path}/")]
    return inside or FileBytes(path=path, recorded=None, hash_name=file.hash_name)


def _in_git(tree: FileTree, file: TrackedFile) -> list[_Wanted] | FileBytes:
    if not _is_folder(file):
        return [_Wanted(file, [_InGit(tree.read([file.path]).get(file.path))])]
    inside = [path for path in tree.paths() if path.startswith(f"{file.path}/")]
    found = dict(sorted(tree.read(inside).items()))
    hashes = {path: hash_bytes(data, file.hash_name) or "" for path, data in found.items()}
    names = {path[len(file.path) + 1 :]: hash_ for path, hash_ in hashes.items()}
    listing = hash_listing(names, file.hash_name)
    if listing != file.hash:
        return FileBytes(
            path=file.path,
            recorded=_digest(file),
            hash_name=file.hash_name,
            found=(listing or "").removesuffix(_FOLDER) or None,
            source="Git",
        )
    return [
        _Wanted(_member(file, path, hashes[path]), [_InGit(data)]) for path, data in found.items()
    ]


def _listed(
    folder: TrackedFile, places: Sequence[_Place], scratch: Path
) -> list[_Wanted] | FileBytes:
    """Return a folder's files by the first right list that there is, or the last wrong one."""
    part = _part(scratch)
    for place in places:
        found = _look(place, folder, part, take=True)
        if found.is_right:
            break
    else:
        return found
    is_bounded = (found.size or 0) <= MAX_BYTES
    names = parse_listing(part.read_bytes()) if is_bounded else None
    if names is None:
        raise PipelineError(
            f"What should list the files in {folder.path} is no list ({found.source})."
        )
    for name, hash_ in names.items():
        if not (_lies_below(name) and is_hash(hash_) and not hash_.endswith(_FOLDER)):
            raise PipelineError(
                f"The list of the files in {folder.path} names {name!r} ({hash_!r}), which cannot "
                "lie there: nothing of it is fetched.",
                hint=f"It is {found.source}, and whoever wrote it meant harm: find out who.",
            )
    return [
        _Wanted(_member(folder, f"{folder.path}/{name}", hash_), places)
        for name, hash_ in sorted(names.items())
    ]


def _lies_below(name: str) -> bool:
    """Whether a path counted from a folder is written plainly, and lies in it."""
    return name != "." and locate("", name).path == name


def _is_folder(file: TrackedFile) -> bool:
    return (file.hash or "").endswith(_FOLDER)


def _member(folder: TrackedFile, path: str, hash_: str) -> TrackedFile:
    return replace(folder, path=path, hash=hash_, bytes=None, files=None)


def _digest(file: TrackedFile) -> str | None:
    return None if file.hash is None else file.hash.removesuffix(_FOLDER)


def _part(scratch: Path) -> Path:
    return scratch / secrets.token_hex(8)


def _look(place: _Place, file: TrackedFile, part: Path, *, take: bool = False) -> FileBytes:
    """Say what a file's bytes are in one place; with ``take`` a copy of them is in ``part``."""
    hash_ = file.hash or ""
    lies = place.find(hash_, file.hash_name, part) if is_hash(hash_) else None
    if take and lies is not None and lies != part:
        lies = Path(shutil.copyfile(lies, part))
    return _report(file, lies, place.place(hash_, file.hash_name))


def _report(file: TrackedFile, lies: Path | None, source: str) -> FileBytes:
    hashes = hash_file(lies, file.hash_name) if lies is not None else None
    return FileBytes(
        path=file.path,
        recorded=_digest(file),
        hash_name=file.hash_name,
        found=hashes.found if hashes else None,
        sha256=hashes.sha256 if hashes else None,
        size=hashes.size if hashes else None,
        source=source,
    )


def _bring(wanted: _Wanted, target: Path, part: Path) -> FileBytes:
    """Let a file lie at ``target`` if its bytes are the right ones, and nothing otherwise."""
    if target.is_file() and not target.is_symlink():
        found = _report(wanted.file, target, str(target))
        if found.is_right:
            return found
    for place in wanted.places:
        found = _look(place, wanted.file, part, take=True)
        if found.is_right:
            part.replace(target)
            return found
    target.unlink(missing_ok=True)
    return found


def _target(into: Path, path: str, above: str) -> Path:
    """Return where a file is to lie, in a folder that is there."""
    target = into / (path[len(above) + 1 :] if above else path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(into.resolve()):
        raise PipelineError(f"{target.parent} leads out of {into}: nothing is written there.")
    return target


def _each(act: Callable[[_Wanted], FileBytes], wanted: Sequence[_Wanted]) -> tuple[FileBytes, ...]:
    """Do it for all of them, several at a time; the first error ends it."""
    if len(wanted) == 1:
        return (act(wanted[0]),)
    pool = ThreadPoolExecutor(_JOBS)
    try:
        return tuple(pool.map(act, wanted))
    finally:
        pool.shutdown(cancel_futures=True)
