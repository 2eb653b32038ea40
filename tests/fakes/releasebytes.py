"""Bytes by hash in memory: a DVC remote that may lack, or have changed, what is asked for."""
# ruff: noqa: ARG002

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath

from modelci.domain.changes import TrackedFile
from modelci.domain.provenance import FileBytes
from modelci.errors import PipelineError
from modelci.ports import FileTree


@dataclass(kw_only=True)
class FakeBytes:
    """What is fetched has its hash for its content, but for what ``stored`` says of a hash.

    None: the remote lacks it. ``asked`` are the paths that were fetched.
    """

    stored: dict[str, bytes | None] = field(default_factory=dict)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def fetch(
        self, tree: FileTree, file: TrackedFile, path: str, into: Path
    ) -> tuple[FileBytes, ...]:
        if self.away:
            raise PipelineError("The DVC remote does not answer.", hint="Is it there?")
        self.asked.append(path)
        assert file.hash is not None
        data = self.stored.get(file.hash, file.hash.encode())
        if data is None:
            return (FileBytes(path=path, recorded=file.hash),)
        found = file.hash if data == file.hash.encode() else "other"
        if found == file.hash:
            (into / PurePosixPath(path).name).write_bytes(data)
        return (
            FileBytes(
                path=path,
                recorded=file.hash,
                found=found,
                sha256=sha256(data).hexdigest(),
                size=len(data),
            ),
        )
