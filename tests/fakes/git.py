"""Git in memory: a remote, and clones of it that may be shallow; held to the adapter's promises."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha1
from pathlib import Path

from modelci.domain.changes import FileChange
from modelci.domain.notes import LoggedCommit
from modelci.domain.pipeline import ChangeKind
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import TagRecord
from modelci.domain.signatures import Signature, Standing
from modelci.domain.tags import TagName
from modelci.errors import (
    BranchMovedError,
    ConfigError,
    ForgeError,
    PromotionError,
    TagTakenError,
    UsageError,
)
from modelci.ports import NO_BLOBS, Blobs, Commit

Files = Mapping[str, bytes]


def make_id(*parts: object) -> str:
    return sha1(repr(parts).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, kw_only=True)
class FakeCommit:
    commit: Commit
    files: Files
    body: str = ""


@dataclass(kw_only=True)
class FakeRemote:
    """What lies on the server; ``refuses`` is what its hook says, ``away`` that nobody answers."""

    commits: dict[str, FakeCommit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, PlannedTag] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    refuses: str | None = None
    away: bool = False

    def commit(
        self,
        files: Files,
        *,
        branch: str = "main",
        parents: Sequence[str] | None = None,
        subject: str = "A commit",
        seconds: int = 1_700_000_000,
        body: str = "",
    ) -> str:
        if parents is None:
            parents = [self.branches[branch]] if branch in self.branches else []
        sha = make_id(sorted(files.items()), tuple(parents), subject, seconds)
        found = Commit(sha=sha, parents=tuple(parents), seconds=seconds, subject=subject)
        self.commits[sha] = FakeCommit(commit=found, files=dict(files), body=body)
        self.branches[branch] = sha
        return sha

    def ancestors(self, sha: str, depth: int | None = None) -> Iterator[str]:
        """Yield a commit and what it descends from, nearest first, ``depth`` generations deep."""
        level, seen = [sha], set[str]()
        while level and depth != 0:
            depth = None if depth is None else depth - 1
            yield from (one for one in level if one not in seen)
            seen.update(level)
            level = [parent for one in level for parent in self.commits[one].commit.parents]
            level = [one for one in dict.fromkeys(level) if one not in seen]


@dataclass(kw_only=True)
class FakeTree:
    files: Files

    def paths(self) -> Sequence[str]:
        return tuple(self.files)

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        return {path: self.files[path] for path in paths if path in self.files}

    def blob_id(self, path: str) -> str | None:
        return make_id(self.files[path]) if path in self.files else None


class FakeGit:
    """A clone of ``origin`` with ``branch`` checked out (None: detached), or a lone repository."""

    def __init__(
        self,
        root: Path,
        origin: FakeRemote | None = None,
        *,
        at: str | None = None,
        branch: str | None = "main",
        depth: int | None = None,
    ) -> None:
        self.root = root
        self.origin = origin
        self.commits: dict[str, FakeCommit] = {}
        self.refs: dict[str, str] = {}
        self.tag_objects: dict[str, PlannedTag] = {}
        self.blobs: dict[str, bytes] = {}
        self.depth = depth
        self.log: list[str] = []
        self.asked: list[str | None] = []  # whose tags
        self.signs_tags = False
        self.signs_as = "anna@example.com"
        self.signers: dict[str, str] = {}
        self._branch = branch
        self._head = at
        self._bundled: str | None = None
        if origin is not None:
            self._head = at or origin.branches[branch or "main"]
            self._bring(self._head, depth)
            if depth is None:
                for name in origin.branches:
                    self.fetch([f"+refs/heads/{name}:refs/remotes/origin/{name}"])
                self.refs["refs/remotes/origin/HEAD"] = "main"
            elif branch:
                self.refs[f"refs/remotes/origin/{branch}"] = self._head
        self.files: dict[str, bytes] = dict(self.commits[self._head].files) if self._head else {}

    def _bring(self, sha: str, depth: int | None) -> None:
        remote = self._reach()
        if sha not in remote.commits:
            raise ForgeError(f"Git could not fetch {sha}: no such commit")
        for one in remote.ancestors(sha, depth):
            self.commits[one] = remote.commits[one]

    def _reach(self) -> FakeRemote:
        if self.origin is None:
            raise ForgeError("This repository has no remote.", hint="`git remote add origin URL`.")
        if self.origin.away:
            raise ForgeError("Git could not reach origin.")
        return self.origin

    def _find(self, name: str) -> str | None:
        if name in {"HEAD", self._branch}:
            return self._head
        known = (name, f"refs/heads/{name}", f"refs/remotes/{name}")
        if name in self.tag_objects:
            return self.tag_objects[name].commit
        sha = next((self.refs[ref] for ref in known if ref in self.refs), name)
        return sha if sha in self.commits else None

    def resolve(self, revision: str) -> Commit:
        sha = self._find(revision)
        if sha is None:
            raise UsageError(f"There is no revision {revision!r} here.", hint="`git fetch`")
        return self.commits[sha].commit

    def head(self) -> Commit | None:
        return self.commits[self._head].commit if self._head else None

    def has(self, sha: str) -> bool:
        return self._find(sha) is not None

    def is_shallow(self) -> bool:
        return any(
            parent not in self.commits
            for one in self.commits.values()
            for parent in one.commit.parents
        )

    def is_dirty(self) -> bool:
        committed = self.commits[self._head].files if self._head else {}
        return dict(committed) != self.files

    def branch(self) -> str | None:
        return self._branch

    def remote(self) -> str | None:
        return "origin" if self.origin is not None else None

    def remotes(self) -> tuple[str, ...]:
        return ("origin",) if self.origin is not None else ()

    def with_remote(self, name: str | None) -> "FakeGit":
        if name is not None and name not in self.remotes():
            raise UsageError(f"There is no remote {name!r}.")
        return self

    def tagger(self) -> str:
        return "Test Author <author@example.com>"

    def commits_since(self, since: str, until: str, *, limit: int) -> tuple[LoggedCommit, ...]:
        behind = set(self._reachable(since))
        new = [sha for sha in self._reachable(until) if sha not in behind]
        return tuple(
            LoggedCommit(
                sha=sha,
                parents=self.commits[sha].commit.parents,
                author="Test Author",
                subject=self.commits[sha].commit.subject,
                body=self.commits[sha].body,
            )
            for sha in new[:limit]
        )

    def trailers(self, key: str, *, since: str | None, until: str) -> tuple[str, ...]:
        behind = set(self._reachable(since)) if since else set()
        new = [sha for sha in self._reachable(until) if sha not in behind]
        lines = [line for sha in new for line in self.commits[sha].body.splitlines()]
        return tuple(line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:"))

    def remote_url(self) -> str | None:
        return "https://forge.example/acme/credit.git" if self.origin is not None else None

    def default_branch(self, configured: str | None = None) -> tuple[str, str] | None:
        head = self.refs.get("refs/remotes/origin/HEAD")
        names = [configured] if configured else [head] if head else ["main", "master"]
        for name in names:
            for ref in (f"refs/remotes/origin/{name}", f"refs/heads/{name}"):
                if ref in self.refs:
                    return name, ref
        return None

    def merge_base(self, one: str, other: str) -> str | None:
        first, second = (self._find(name) for name in (one, other))
        if first is None or second is None:
            return None
        behind = set(self._reachable(second))
        return next((sha for sha in self._reachable(first) if sha in behind), None)

    def first_parents(self, ref: str, *, limit: int) -> tuple[Commit, ...]:
        found: list[Commit] = []
        sha: str | None = self.resolve(ref).sha
        while sha in self.commits and len(found) < limit:
            found.append(self.commits[sha].commit)
            sha = next(iter(found[-1].parents), None)
        return tuple(found)

    def _reachable(self, sha: str) -> Iterator[str]:
        level, seen = [sha], set[str]()
        while level:
            here = [one for one in dict.fromkeys(level) if one in self.commits and one not in seen]
            yield from here
            seen.update(here)
            level = [parent for one in here for parent in self.commits[one].commit.parents]

    def fetch(self, refspecs: Sequence[str], *, depth: int | None = None) -> None:
        self.log.append(f"fetch {' '.join(refspecs)} depth={depth}")
        remote = self._reach()
        for refspec in refspecs:
            source, _, target = refspec.removeprefix("+").partition(":")
            name = "main" if source == "HEAD" else source.removeprefix("refs/heads/")
            sha = remote.branches.get(name, source)
            self._bring(sha, depth)
            if target:
                self.refs[target] = sha

    def deepen(self, by: int | None) -> None:
        self.log.append(f"deepen {by}")
        self._reach()
        edge = [
            parent
            for one in list(self.commits.values())
            for parent in one.commit.parents
            if parent not in self.commits
        ]
        for sha in edge:
            self._bring(sha, by)

    def tree(self, sha: str) -> FakeTree:
        return FakeTree(files=self.commits[sha].files)

    def work_tree(self) -> FakeTree:
        return FakeTree(files=dict(self.files))

    def changed_files(self, base: str, head: str | None) -> tuple[FileChange, ...]:
        before = self.commits[base].files
        after = self.commits[head].files if head else self.files
        return tuple(
            FileChange(path=path, kind=_kind(path, before, after))
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        )

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        return {sha: self.commits[sha].commit.seconds for sha in shas if sha in self.commits}

    def tags(
        self,
        artifacts: Sequence[str] | None = None,
        *,
        remote: str | None = None,
        messages: bool = True,  # noqa: ARG002
    ) -> tuple[TagRecord, ...]:
        self.asked.append(remote)
        found = self._reach().tags if remote else self.tag_objects
        for tag in found.values():
            if remote and tag.commit not in self.commits:
                self._bring(tag.commit, 1 if self.is_shallow() else None)
        records = (_record(tag) for _, tag in sorted(found.items()))
        return tuple(
            one for one in records if one and (artifacts is None or one.name.artifact in artifacts)
        )

    def tag_ids(
        self,
        artifacts: Sequence[str] | None = None,
        *,
        remote: str,  # noqa: ARG002
    ) -> Mapping[str, str]:
        wanted = None if artifacts is None else tuple(one.replace(":", "=", 1) for one in artifacts)
        return {
            name: make_id(tag)
            for name, tag in self._reach().tags.items()
            if wanted is None
            or name.startswith(tuple(f"{one}{mark}" for one in wanted for mark in "@#"))
        }

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        server = self._reach() if remote else None
        taken = server.tags if server else self.tag_objects
        clash = next((tag.name for tag in tags if taken.get(tag.name, tag) != tag), None)
        refusal = server.refuses if server else None
        if server and commit_to:
            behind = server.branches.get(commit_to[1])
            if behind and behind not in self._reachable(commit_to[0]):
                refusal = refusal or "non-fast-forward"
        if refusal:
            raise PromotionError(f"{remote} refused the push, nothing was tagged: {refusal}")
        if clash:
            raise TagTakenError(f"{remote} refused the push: {clash} already exists")
        found = {f"{under}{make_id(one)}": one for under, many in blobs.items() for one in many}
        self.blobs.update(found)
        if server:
            server.blobs.update(found)
        taken.update({tag.name: tag for tag in tags})
        self.tag_objects.update({tag.name: tag for tag in tags})
        if server and commit_to:
            server.commits.update({sha: self.commits[sha] for sha in self._reachable(commit_to[0])})
            server.branches[commit_to[1]] = commit_to[0]

    def keep(self, blobs: Blobs, *, remote: str | None) -> tuple[str, ...]:
        self.push([], remote=remote, blobs=blobs)
        return tuple(f"{under}{make_id(one)}" for under, many in blobs.items() for one in many)

    def kept(self, under: str, *, remote: str | None) -> Mapping[str, bytes]:
        if remote is not None:
            theirs = self._reach().blobs
            ours = {ref: data for ref, data in self.blobs.items() if not ref.startswith(under)}
            new = {ref: data for ref, data in theirs.items() if ref.startswith(under)}
            self.blobs = ours | new
        found = sorted(ref for ref in self.blobs if ref.startswith(under))
        return {ref: self.blobs[ref] for ref in found if len(self.blobs[ref]) <= 1 << 20}

    def verify_tags(
        self, refs: Sequence[str], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Find each tag good that ``signers`` has one for, if the list (one a line) has that."""
        known = None if allowed_signers is None else allowed_signers.decode().split()
        return tuple(self._signature(ref, known) for ref in refs)

    def try_signing(
        self, tags: Sequence[PlannedTag], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        known = None if allowed_signers is None else allowed_signers.decode().split()
        self.signers |= {tag.name: self.signs_as for tag in tags}
        return tuple(self._signature(f"refs/tags/{tag.name}", known) for tag in tags)

    def _signature(self, ref: str, known: Sequence[str] | None) -> Signature:
        name = ref.removeprefix("refs/tags/")
        signer = self.signers.get(name)
        if signer is None:
            return Signature(ref=ref, tag=name)
        if known is not None and signer not in known:
            return Signature(ref=ref, tag=name, kind="ssh", standing=Standing.UNKNOWN)
        return Signature(ref=ref, tag=name, kind="ssh", standing=Standing.GOOD, signer=signer)

    def is_on_branch(self, sha: str, branch: str) -> bool:
        ref = f"refs/remotes/origin/{branch}"
        self.fetch([f"+refs/heads/{branch}:{ref}"])
        return sha in self._reachable(self.refs[ref])

    def remote_branch(self, branch: str) -> str | None:
        server = self._reach()
        sha = server.branches.get(branch)
        if sha is not None and sha not in self.commits:
            self.fetch([f"+refs/heads/{branch}:refs/remotes/origin/{branch}"])
        return sha

    def push_branch(self, branch: str, sha: str, *, expected: str | None) -> None:
        server = self._reach()
        if server.branches.get(branch) != expected:
            raise BranchMovedError(f"{branch} of origin is not what it was a moment ago.")
        if server.refuses:
            raise ForgeError(f"Git could not push {branch} to origin: {server.refuses}")
        server.commits.update({one: self.commits[one] for one in self._reachable(sha)})
        server.branches[branch] = sha

    def commit_paths(self, paths: Sequence[str], message: str) -> str:
        head = self.resolve("HEAD")
        files = dict(self.commits[head.sha].files)
        for path in paths:
            files.pop(path, None)
            if path in self.files:
                files[path] = self.files[path]
        sha = make_id(sorted(files.items()), head.sha, message, head.seconds)
        made = replace(head, sha=sha, parents=(head.sha,), subject=message.split("\n", 1)[0])
        self.commits[sha] = FakeCommit(commit=made, files=files, body=message.partition("\n")[2])
        self._head = sha
        return sha

    def bundle(self, path: Path, *, sha: str, since: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = self.commits[sha]
        files = {name: data.decode() for name, data in found.files.items()}
        values = [found.commit.sha, found.commit.parents, found.commit.seconds]
        path.write_text(json.dumps([*values, found.commit.subject, files, since]))

    def unbundle(self, path: Path) -> str:
        try:
            sha, parents, seconds, subject, files, since = json.loads(path.read_bytes())
        except ValueError as error:
            raise ConfigError(f"{path} holds no results for this commit.") from error
        if since not in self.commits:
            raise ConfigError(f"{path} holds no results for this commit.")
        commit = Commit(sha=sha, parents=tuple(parents), seconds=seconds, subject=subject)
        blobs = {name: text.encode() for name, text in files.items()}
        self.commits[sha] = FakeCommit(commit=commit, files=blobs)
        return commit.sha


def _record(tag: PlannedTag) -> TagRecord | None:
    name = TagName.parse(tag.name)
    if name is None:
        return None
    return TagRecord(
        name=name,
        ref=f"refs/tags/{tag.name}",
        commit=tag.commit,
        seconds=tag.seconds,
        tagger="Test Author",
        message=tag.message,
    )


def _kind(path: str, before: Files, after: Files) -> ChangeKind:
    if path not in before:
        return ChangeKind.ADDED
    return ChangeKind.CHANGED if path in after else ChangeKind.DELETED
