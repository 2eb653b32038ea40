"""File trees for tests: in memory, and over a directory as ``git`` sees it."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class MemoryTree:
    """A FileTree of texts; counts how often it is asked to read."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {
            path: data.encode() if isinstance(data, str) else data for path, data in files.items()
        }
        self.reads = 0
        self.asked: set[str] = set()

    def paths(self) -> Sequence[str]:
        return list(self.files)

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        self.reads += 1
        self.asked.update(paths)
        return {path: self.files[path] for path in paths if path in self.files}

    def blob_id(self, path: str) -> str | None:
        return blob_id(self.files[path]) if path in self.files else None


class FolderTree:
    """The work tree of a Git repository: tracked files, and new ones that are not ignored."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def paths(self) -> Sequence[str]:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root,
            capture_output=True,
            check=True,
        ).stdout.decode()
        return [path for path in listed.split("\0") if (self.root / path).is_file()]

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        return {
            path: (self.root / path).read_bytes() for path in paths if (self.root / path).is_file()
        }

    def blob_id(self, path: str) -> str | None:
        file = self.root / path
        return blob_id(file.read_bytes()) if file.is_file() else None


class CommitTree:
    """The files of a commit."""

    def __init__(self, root: Path, revision: str = "HEAD") -> None:
        self.root = root
        self.revision = revision

    def paths(self) -> Sequence[str]:
        listed = self._git("ls-tree", "-r", "-z", "--name-only", self.revision).decode()
        return listed.split("\0")[:-1]

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        existing = set(self.paths())
        return {
            path: self._git("cat-file", "blob", f"{self.revision}:{path}")
            for path in paths
            if path in existing
        }

    def blob_id(self, path: str) -> str | None:
        return self._git("rev-parse", f"{self.revision}:{path}").decode().strip()

    def _git(self, *arguments: str) -> bytes:
        return subprocess.run(
            ["git", *arguments], cwd=self.root, capture_output=True, check=True
        ).stdout


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
