"""The bytes behind what DVC tracks: those of a cache, and those of a remote that may not answer."""

# ruff: noqa: ARG002

from dataclasses import dataclass, field
from hashlib import sha256

from modelci.domain.changes import TrackedFile
from modelci.domain.provenance import FileBytes
from modelci.errors import ModelCIError
from modelci.ports import FileTree


def right(path: str, hash_: str, data: bytes = b"model") -> FileBytes:
    """Return a file whose bytes are those that were recorded."""
    digest = sha256(data).hexdigest()
    return FileBytes(path=path, recorded=hash_, found=hash_, sha256=digest, size=len(data))


@dataclass(kw_only=True)
class FakeStored:
    """``kept`` is what the remote has, or why it does not answer; ``asked`` says who was asked."""

    cached: tuple[FileBytes, ...] = ()
    kept: tuple[FileBytes, ...] | ModelCIError = ()
    asked: list[str] = field(default_factory=list)

    def read(
        self, tree: FileTree, file: TrackedFile, path: str, *, pull: bool
    ) -> tuple[FileBytes, ...]:
        self.asked.append("remote" if pull else "cache")
        found = self.kept if pull else self.cached
        if isinstance(found, ModelCIError):
            raise found
        return found or (FileBytes(path=path, recorded=file.hash),)
