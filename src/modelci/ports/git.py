"""The repository: its files at a revision, its commits, tags and refs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelci.domain.changes import FileChange
from modelci.domain.notes import LoggedCommit
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import TagRecord
from modelci.domain.signatures import Signature


class FileTree(Protocol):
    """The files of one revision, or of the work tree, by path from the top of the repository."""

    def paths(self) -> Sequence[str]:
        """Return every path (of the work tree: tracked, and untracked but not ignored)."""

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the contents of those ``paths`` that exist, all in one go."""

    def blob_id(self, path: str) -> str | None:
        """Return Git's id for the contents of ``path``."""


Blobs = Mapping[str, Sequence[bytes]]
"""Contents by the folder of refs that they are to be kept in."""

NO_BLOBS: Blobs = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit; ``parents`` as the object names them, also where a shallow clone lacks them."""

    sha: str
    parents: tuple[str, ...]
    seconds: int
    subject: str


class Git(Protocol):
    """One Git repository; shas are full.

    Every method raises UsageError, ConfigError or ForgeError with the setting that helps.
    """

    @property
    def root(self) -> Path:
        """The top of the work tree."""

    def resolve(self, revision: str) -> Commit:
        """Return the commit that a name means (a tag is followed to its commit)."""

    def head(self) -> Commit | None:
        """Return the commit checked out, or None before the first."""

    def is_shallow(self) -> bool:
        """Whether history is cut."""

    def has(self, sha: str) -> bool:
        """Whether the commit's own object is here."""

    def is_dirty(self) -> bool:
        """Whether tracked files differ from HEAD, or new files are not ignored."""

    def branch(self) -> str | None:
        """Return the branch checked out, or None when detached."""

    def default_branch(self, configured: str | None = None) -> tuple[str, str] | None:
        """Return the default branch's name and the ref to read it by."""

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None where none is known here."""

    def remote(self) -> str | None:
        """Return the name of the remote that this branch follows, else ``origin``, else any."""

    def remote_url(self) -> str | None:
        """Return the URL of ``remote()``."""

    def fetch(self, refspecs: Sequence[str], *, depth: int | None = None) -> None:
        """Fetch from ``remote()`` without tags; ``depth`` deepens a shallow clone to it."""

    def deepen(self, by: int | None) -> None:
        """Fetch ``by`` more commits of what is shallow, or (None) all of them."""

    def tree(self, sha: str) -> FileTree:
        """Return the files of a commit."""

    def work_tree(self) -> FileTree:
        """Return the files as they lie on disk."""

    def changed_files(self, base: str, head: str | None) -> tuple[FileChange, ...]:
        """Return the files that differ between two commits, or a commit and the work tree."""

    def tags(
        self,
        artifacts: Sequence[str] | None = None,
        *,
        remote: str | None = None,
        messages: bool = True,
    ) -> tuple[TagRecord, ...]:
        """Return the registry's tags: local ones, or ``remote``'s, fetched now.

        Those that break a rule come with their ``flaw``; without ``messages`` it takes half the
        memory.
        """

    def tag_ids(self, artifacts: Sequence[str] | None = None, *, remote: str) -> Mapping[str, str]:
        """Return the ids of the remote's tag objects by short name; nothing is fetched.

        Of all tags, or those that may be of these artifacts.
        """

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        """Return when those of the commits that are here were made, in Unix seconds."""

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        """Create the tags, all or none: on ``remote`` by one atomic push, else only here.

        ``commit_to`` (sha, branch) moves the branch to the commit in the same push, and ``blobs``
        are kept in it too, as ``keep`` does. Raises TagTakenError where another tag has a name,
        PromotionError where the remote says no.
        """

    def keep(self, blobs: Blobs, *, remote: str | None) -> tuple[str, ...]:
        """Keep contents at refs of their own: on ``remote`` and here, or (None) only here.

        By folder of refs (``refs/modelci/…/``): below it the ref bears the blob's own id, so that
        none is ever moved. Returns the refs. Raises PromotionError where the remote says no.
        """

    def kept(self, under: str, *, remote: str | None) -> Mapping[str, bytes]:
        """Return what is kept in a folder of refs, by ref: ``remote``'s, fetched now, or here.

        That works in a shallow clone. Whoever can push may have put it there: at most 32 of them
        are read, and none of more than 1 MiB.
        """

    def remotes(self) -> tuple[str, ...]:
        """Return the names of all remotes."""

    def with_remote(self, name: str | None) -> "Git":
        """Return the same repository with ``name`` (None: as it is) for its ``remote()``."""

    def tagger(self) -> str:
        """Return who tags here, as ``Name <address>``."""

    def trailers(self, key: str, *, since: str | None, until: str) -> tuple[str, ...]:
        """Return the values of a trailer in the commits after ``since`` (or all) up to ``until``.

        Of a shallow clone those that are here.
        """

    @property
    def signs_tags(self) -> bool:
        """Whether the tags that ``push`` makes are signed."""

    def verify_tags(
        self, refs: Sequence[str], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Return what the tags at these refs are signed with, and what Git makes of it.

        ``allowed_signers`` is the text of an SSH allowed-signers file; None: Git's own.
        """

    def try_signing(
        self, tags: Sequence[PlannedTag], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Make the objects that ``push`` takes for these tags, and say what ``verify_tags`` would.

        No ref is made and nothing pushed. Raises ConfigError where Git cannot sign.
        """

    def commits_since(self, since: str, until: str, *, limit: int) -> tuple[LoggedCommit, ...]:
        """Return the commits after ``since`` up to ``until``, the newest first, at most so many.

        Of a shallow clone those that are here.
        """

    def first_parents(self, ref: str, *, limit: int) -> tuple[Commit, ...]:
        """Return the last ``limit`` commits of a branch itself, the newest first.

        Of a shallow clone those that are here.
        """

    def is_on_branch(self, sha: str, branch: str) -> bool:
        """Whether the remote's ``branch``, fetched now, holds the commit."""

    def remote_branch(self, branch: str) -> str | None:
        """Return the commit of ``remote()``'s branch, fetched now; None where it has none."""

    def push_branch(self, branch: str, sha: str, *, expected: str | None) -> None:
        """Let ``remote()``'s branch name a commit, whose history it need not continue.

        ``expected`` is what it names until then (None: there is no such branch); where it does
        not, BranchMovedError is raised and nothing changed.
        """

    def commit_paths(self, paths: Sequence[str], message: str) -> str:
        """Commit those paths of the work tree on top of HEAD, move HEAD there, return its sha."""

    def bundle(self, path: Path, *, sha: str, since: str) -> None:
        """Write the commits after ``since`` up to ``sha`` to a bundle file."""

    def unbundle(self, path: Path) -> str:
        """Fetch a bundle's commit and return its sha."""


class Journal(Protocol):
    """What is remembered of the windows of a watched model: documents by the windows' names."""

    @property
    def place(self) -> str:
        """Where it is, in messages."""

    def read(self) -> Mapping[str, bytes]:
        """Return the entries by name, fetched now; of very many the last ones by name.

        Whoever can push may have written them: none is larger than some megabytes.
        """

    def write(self, name: str, data: bytes, *, message: str, seconds: int) -> bool:
        """Add an entry, or replace the one of that name; False where it is there as it is.

        What others write at the same time stays. Raises ForgeError where it cannot be kept.
        """
