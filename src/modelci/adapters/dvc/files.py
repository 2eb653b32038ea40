"""The files of one revision: which of them are DVC's, and their bytes, read in few goes."""

import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from modelci.adapters.dvc.paths import join, parents
from modelci.ports import FileTree

_IGNORE_FILE = ".dvcignore"
_DVC = ".dvc"
_MAX_LINKS = 8
_MAX_LINK = 1024


class Files:
    """A FileTree that remembers what it read; a file that does not exist reads as None."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self._sorted = sorted(tree.paths())
        self.paths = frozenset(self._sorted)
        self._read: dict[str, bytes | None] = {}

    def prefetch(self, paths: Iterable[str]) -> None:
        """Read in one go what has not been read yet."""
        wanted = sorted({path for path in paths if path not in self._read})
        if wanted:
            found = self._tree.read(wanted)
            self._read.update((path, found.get(path)) for path in wanted)

    def get(self, path: str) -> bytes | None:
        """Return the bytes of a file: of the work tree also of one that Git ignores."""
        if path not in self._read:
            self.prefetch((path,))
        return self._read[path]

    def peek(self, path: str) -> bytes | None:
        """Return the bytes of a file if they have been read already."""
        return self._read.get(path)

    def blob_id(self, path: str) -> str | None:
        """Return Git's id of a file's contents."""
        return self._tree.blob_id(path)

    def under(self, folder: str) -> Sequence[str]:
        """Return the files below a folder."""
        if folder == ".":
            return self._sorted
        prefix = f"{folder}/"
        start = bisect_left(self._sorted, prefix)
        # "0" is the character after "/".
        return self._sorted[start : bisect_left(self._sorted, f"{folder}0", start)]

    def follow(self, path: str) -> str | None:
        """Return what ``path`` is once links above it are followed; None where they lead astray.

        Git keeps a link as a file that holds where it leads, so what lies below a file is reached
        through a link (or lies in a submodule).
        """
        for _ in range(_MAX_LINKS):
            link = next((above for above in parents(path) if above in self.paths), None)
            if link is None:
                return path
            target = self.link_target(link)
            if target is None:
                return None
            path = posixpath.normpath(f"{target}/{path[len(link) + 1 :]}")
        return None

    def end_of(self, path: str) -> str | None:
        """Return where a file that is a link leads in the end; None where it is no link."""
        end = None
        for _ in range(_MAX_LINKS):
            target = self.link_target(path)
            if target is None or target == path:
                return end
            path = end = target
        return None

    def link_target(self, path: str) -> str | None:
        """Return the file or folder that ``path`` leads to if it is a link."""
        data = self.get(path)
        if not data or len(data) > _MAX_LINK or b"\n" in data or b"\0" in data:
            return None
        target = posixpath.normpath(join(posixpath.dirname(path), data.decode(errors="replace")))
        return target if target in self.paths or self.under(target) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which files of a revision are DVC's. ``roots`` are the folders of its DVC projects."""

    projects: tuple[str, ...]
    locks: tuple[str, ...]
    sources: tuple[str, ...]
    roots: tuple[str, ...]
    skipped: tuple[str, ...]
    ignored: "Ignored"

    def root_of(self, path: str) -> str:
        """Return the folder of the DVC project that ``path`` belongs to ("" is the top)."""
        return next((above for above in parents(path) if above in self.roots), "")


def find_layout(files: Files) -> Layout:
    """Find DVC's files as DVC itself would from the top of the repository.

    A folder with a ``.dvc`` of its own is another project, which DVC does not look into. Only
    where the top is none itself (``dvc init --subdir``) are the projects below it read.
    """
    named = [path for path in files.paths if _is_dvc_name(posixpath.basename(path))]
    nested = {path.split("/.dvc/")[0] for path in files.paths if "/.dvc/" in path}
    has_top = bool(files.under(_DVC))
    ignored = Ignored(files, [path for path in named if path.endswith(_IGNORE_FILE)])
    found = {"projects": [], "locks": [], "sources": []}  # type: dict[str, list[str]]
    skipped = set()
    for path in sorted(named, key=lambda path: (path.count("/"), path)):
        above = parents(path)
        if _DVC in path.split("/")[:-1] or ignored.hides(path):
            continue
        other = next((folder for folder in above if folder in nested), None)
        if (has_top and other) or (nested and not has_top and not other):
            skipped.add(other or path)
        elif path.endswith("dvc.yaml"):
            found["projects"].append(path)
        elif path.endswith("dvc.lock"):
            found["locks"].append(path)
        elif path.endswith(".dvc"):
            found["sources"].append(path)
    return Layout(
        projects=tuple(found["projects"]),
        locks=tuple(found["locks"]),
        sources=tuple(found["sources"]),
        roots=() if has_top else tuple(nested),
        skipped=tuple(sorted(skipped)),
        ignored=ignored,
    )


class Ignored:
    """The patterns of ``.dvcignore`` files; their library is loaded only where there are any."""

    def __init__(self, files: Files, paths: Sequence[str]) -> None:
        self._specs: dict[str, Any] = {}
        files.prefetch(paths)
        for path in paths:
            lines = (files.get(path) or b"").decode(errors="replace").splitlines()
            lines = [line.strip() for line in lines if line.strip()]
            if any(not line.startswith("#") for line in lines):
                from pathspec import GitIgnoreSpec  # noqa: PLC0415 - 20 to 80 ms, seldom needed

                self._specs[posixpath.dirname(path)] = GitIgnoreSpec.from_lines(lines)

    def hides(self, path: str) -> bool:
        """Whether DVC does not see ``path``: the nearest file that has a say decides."""
        if not self._specs:
            return False
        for folder in (*parents(path), ""):
            spec = self._specs.get(folder)
            verdict = spec.check_file(path[len(folder) :].lstrip("/")).include if spec else None
            if verdict is not None:
                return bool(verdict)
        return False


def submodules(data: bytes | None) -> tuple[str, ...]:
    """Return the folders that ``.gitmodules`` names: what lies there is not in this revision."""
    return tuple(
        found.decode(errors="replace").strip()
        for found in re.findall(rb"^\s*path\s*=\s*(.+)$", data or b"", re.MULTILINE)
    )


def _is_dvc_name(name: str) -> bool:
    return name in {"dvc.yaml", "dvc.lock", _IGNORE_FILE} or (
        name.endswith(".dvc") and name != _DVC
    )
