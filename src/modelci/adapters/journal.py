"""Where past windows' results are kept: a ref of its own in Git, or a folder.

The ref, ``refs/modelci/monitor/NAME``, is a chain of commits of which each adds (or replaces) one
window's file, so that its newest tree holds them all. It is pushed with a lease: where another run
was first, its commit is fetched and built on. Branches, tags and the work tree are not touched.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from modelci.adapters.git import GitRepository
from modelci.errors import ConfigError, ForgeError
from modelci.ports import Journal

REFS = "refs/modelci/monitor/"
MAX_ENTRY_BYTES = 8 * 1024**2
"""Whoever can push may have put it there: larger entries are not read."""

MOST_ENTRIES = 120
_SUFFIX = ".json"
_TRIES = 6


def file_name(name: str) -> str:
    """Return what a file or folder of that name is called on every system; no two are the same."""
    return quote(name, safe=" #@")


class _Entry(NamedTuple):
    name: str
    oid: str
    size: int


class GitJournal:
    """A journal at a ref of ``remote``, or (None) of this clone alone."""

    def __init__(self, git: GitRepository, name: str, *, remote: str | None) -> None:
        self._git = git
        self._ref = REFS + name.replace(":", "=", 1)
        self._remote = remote

    @property
    def place(self) -> str:
        """The ref, and whose it is."""
        return f"{self._ref} {f'of {self._remote}' if self._remote else 'of this clone'}"

    def read(self) -> Mapping[str, bytes]:
        """Return the entries by their names; of very many the last ones by name."""
        tip = self._fetch()
        entries = [] if tip is None else self._list(tip)
        kept = [one for one in entries if one.size <= MAX_ENTRY_BYTES][-MOST_ENTRIES:]
        blobs = self._git.blobs([one.oid for one in kept])
        return {one.name: data for one, data in zip(kept, blobs, strict=True)}

    def write(self, name: str, data: bytes, *, message: str, seconds: int) -> bool:
        """Add an entry, or replace the one of that name; False where it is there as it is.

        Raises ForgeError where the remote takes nothing.
        """
        oid = self._git.write_blob(data)
        for _ in range(_TRIES):
            tip = self._fetch()
            entries = [] if tip is None else self._list(tip)
            if any(one.name == name and one.oid == oid for one in entries):
                return False
            files = {one.name: one.oid for one in entries} | {name: oid}
            commit = self._git.commit_top(
                {f"{quote(key, safe=' ')}{_SUFFIX}": one for key, one in files.items()},
                parent=tip,
                message=message,
                seconds=seconds,
            )
            if self._git.move_ref(self._ref, commit, expected=tip, remote=self._remote):
                return True
        raise ForgeError(
            f"{self.place} moved {_TRIES} times while this was written to it.",
            hint="Does another job watch the same model all the time? Run it again.",
        )

    def _fetch(self) -> str | None:
        if self._remote is not None:
            self._git.mirror_refs(REFS, remote=self._remote)
        return self._git.read_ref(self._ref)

    def _list(self, tip: str) -> list[_Entry]:
        found = [
            _Entry(unquote(path.removesuffix(_SUFFIX)), oid, size)
            for path, oid, size in self._git.list_top(tip)
            if path.endswith(_SUFFIX)
        ]
        return sorted(found)


class FolderJournal:
    """A journal in a folder: a file for each entry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def read(self) -> Mapping[str, bytes]:
        """Return the entries by their names; of very many the last ones by name."""
        try:
            files = sorted(self._folder.glob(f"*{_SUFFIX}"))[-MOST_ENTRIES:]
            small = [one for one in files if one.stat().st_size <= MAX_ENTRY_BYTES]
            return {unquote(one.name.removesuffix(_SUFFIX)): one.read_bytes() for one in small}
        except OSError as error:
            raise ConfigError(
                f"The history in {self._folder} cannot be read: {error.strerror}.",
                hint="`monitor.history` names the folder; `history: git` keeps it in Git.",
            ) from error

    def write(self, name: str, data: bytes, *, message: str, seconds: int) -> bool:
        """Add an entry, or replace the one of that name; False where it is there as it is."""
        del message, seconds
        file = self._folder / f"{quote(name, safe=' ')}{_SUFFIX}"
        try:
            if file.is_file() and file.read_bytes() == data:
                return False
            self._folder.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{file.name}.part")
            part.write_bytes(data)
            part.replace(file)
        except OSError as error:
            raise ConfigError(
                f"The history in {self._folder} cannot be written: {error.strerror}.",
                hint="`monitor.history` names the folder; `history: none` keeps nothing.",
            ) from error
        return True


class ReadOnlyJournal:
    """A journal that is read and not written: the job that follows remembers what is new."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def place(self) -> str:
        """The journal's."""
        return self._journal.place

    def read(self) -> Mapping[str, bytes]:
        """Return its entries."""
        return self._journal.read()

    def write(self, name: str, data: bytes, *, message: str, seconds: int) -> bool:
        """Write nothing."""
        del name, data, message, seconds
        return False
