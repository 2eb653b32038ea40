"""Git's objects by one ``git cat-file --batch`` that stays: a process for each look costs more."""

import re
import subprocess
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple

from modelci.adapters.gitprocess import start
from modelci.errors import ConfigError

_AT_ONCE = 200  # names that fit into a pipe: Git answers before it has read all of more
_FILES = (b"100644", b"100755", b"100664", b"120000")
_FOLDERS = (b"40000", b"040000")  # some old tools wrote a zero before


class Object(NamedTuple):
    """An object's id and kind, and its bytes as Git keeps them."""

    oid: str
    kind: str
    data: bytes


class _Entry(NamedTuple):
    """What a folder holds: a file, or with ``is_folder`` another tree."""

    name: str
    oid: str
    is_folder: bool


class ObjectReader:
    """Reads the objects of the repository around ``folder``; its process ends with it.

    Threads may share it. Names are ids: what a ref means is asked of another process, since this
    one does not learn of history that is fetched into a shallow clone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._trees: Mapping[str, Sequence[_Entry]] = {}

    def read(self, names: Sequence[str]) -> Iterator[Object]:
        """Yield the objects in order; ConfigError where one is not here or cannot be read."""
        for at in range(0, len(names), _AT_ONCE):
            yield from self._exchange(names[at : at + _AT_ONCE])

    def files(self, commit: str) -> Mapping[str, str]:
        """Return the id of each file by its path, as ``git ls-tree -r`` lists them.

        Folders that the tree read last has too are not read again.
        """
        (root,) = self.read([f"{commit}^{{tree}}"])
        trees = {root.oid: _parse(root)}
        level = {root.oid}
        while level:
            level = {one.oid for oid in level for one in trees[oid] if one.is_folder} - trees.keys()
            trees |= {oid: self._trees[oid] for oid in level & self._trees.keys()}
            read = self.read(sorted(level - trees.keys()))
            trees |= {found.oid: _parse(found) for found in read}
        self._trees = trees
        return _flatten(root.oid, trees)

    def _exchange(self, names: Sequence[str]) -> list[Object]:
        if bad := next((name for name in names if "\n" in name), None):
            raise ConfigError(f"{bad!r} is no object of Git.")
        with self._lock:
            try:
                found = self._ask(self._running(), names)
            except BaseException:
                self._process = None  # what it still has to say is no answer to the next
                raise
        for one in found:
            if one.kind in {"missing", "ambiguous"}:
                raise ConfigError(
                    f"Git's object {one.oid} is {one.kind}.",
                    hint="`git fsck` shows what else is; clone the repository anew.",
                )
        return found

    def _ask(self, process: "subprocess.Popen[bytes]", names: Sequence[str]) -> list[Object]:
        assert process.stdin is not None  # noqa: S101 - asked for below
        assert process.stdout is not None  # noqa: S101 - likewise
        try:
            process.stdin.write("".join(f"{name}\n" for name in names).encode())
            process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error
        # All answers are taken, whatever they are: the next to ask must find none of them.
        return [self._answer(process.stdout) for _ in names]

    def _answer(self, stream: IO[bytes]) -> Object:
        head = stream.readline().decode(errors="replace").rstrip("\n")
        if not head:
            raise self._died()
        name, _, kind = head.rpartition(" ")
        if not kind.isdecimal():
            return Object(name, kind, b"")
        oid, kind, size = head.split(" ")
        data = stream.read(int(size) + 1)
        if len(data) <= int(size):
            raise self._died()
        return Object(oid, kind, data[:-1])

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
            self._process = start(
                self._folder,
                *("cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stderr=self._complaints,
            )
            weakref.finalize(self, _end, self._process, self._complaints)
        return self._process

    def _died(self) -> ConfigError:
        """Say why Git ended; the next to ask starts another."""
        process, complaints = self._process, self._complaints
        said = ""
        if process is not None and complaints is not None:
            process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip()
        reason = re.sub(r"^(fatal|error): ", "", said.splitlines()[-1]) if said else "no reason"
        return ConfigError(
            f"`git cat-file` failed: {reason}", hint="`git fsck` shows what is broken."
        )


def _end(process: "subprocess.Popen[bytes]", complaints: IO[bytes]) -> None:
    # Leaving closes its pipes, so that it ends, and waits; one that has died reads no more.
    with suppress(BrokenPipeError), process:
        complaints.close()


def _parse(tree: Object) -> Sequence[_Entry]:
    """Read a tree object: rows of a mode, a name, a NUL and the bytes of an id."""
    size = len(tree.oid) // 2
    found, data, at = [], tree.data, 0
    while at < len(data):
        end = data.index(b"\0", at)
        mode, name = data[at:end].split(b" ", 1)
        at = end + 1 + size
        if mode in _FILES or mode in _FOLDERS:
            oid = data[end + 1 : at].hex()
            found.append(_Entry(name.decode(errors="replace"), oid, mode in _FOLDERS))
    return found


def _flatten(root: str, trees: Mapping[str, Sequence[_Entry]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    open_folders = [
        ("", iter(trees[root]))
    ]  # no recursion: a tree may be as deep as its author likes
    while open_folders:
        above, entries = open_folders[-1]
        for name, oid, is_folder in entries:
            if is_folder:
                open_folders.append((f"{above}{name}/", iter(trees[oid])))
                break
            found[above + name] = oid
        else:
            open_folders.pop()
    return found
