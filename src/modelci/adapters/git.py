"""Git through GitPython's command layer: plumbing commands, parsed here, never its object walk.

What is read in masses, objects and tags, comes from processes of our own (``objects``, ``tags``).
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from modelci.adapters import pushes, signing, trace
from modelci.adapters.ci import git_environment
from modelci.adapters.gitprocess import Answer, ask, ended
from modelci.adapters.listing import LOCAL, Listing
from modelci.adapters.objects import ObjectReader
from modelci.adapters.tags import commit_times, read_records
from modelci.domain.changes import FileChange
from modelci.domain.notes import LoggedCommit
from modelci.domain.pipeline import ChangeKind
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import TagRecord
from modelci.domain.signatures import Signature
from modelci.errors import (
    BranchMovedError,
    ConfigError,
    ForgeDeniedError,
    ForgeError,
    TagTakenError,
    UsageError,
)
from modelci.ports import NO_BLOBS, Blobs, Commit

if TYPE_CHECKING:
    from git.cmd import Git

_RESULTS_REF = "refs/modelci/results"
_NO_NAMES = frozenset({"", ".", "..", ".git", "git~1"})
_BUNDLES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_REMOTE_TAGS = "refs/modelci/tags/"
_OURS = ("refs/tags/", "refs/modelci/")
_MOST_KEPT = 32
_MOST_KEPT_BYTES = 1 << 20
_DEEPER = 200
_NOBODY = "modelci <modelci@localhost>"


Sign = Callable[[], bool | None]
"""Whether to sign tags; None: as Git is configured."""


def _as_git_says() -> None:
    return None


class GitRepository:
    """The repository around a folder; keeps the promises of ``ports.Git``."""

    def __init__(self, root: Path, *, remote: str | None = None, sign: Sign = _as_git_says) -> None:
        self.root = root
        self._sign = sign
        self._objects = ObjectReader(root)
        self._preferred = remote

    @classmethod
    def discover(cls, start: Path, *, sign: Sign = _as_git_says) -> Self:
        """Return the repository that holds ``start``; ``sign`` is asked when tags are made."""
        answer = ask(start, "rev-parse", "--show-toplevel")
        if answer.code == 0:
            return cls(Path(_text(answer.out)), sign=sign)
        if "must be run in a work tree" in answer.err:
            raise ConfigError(
                f"{start} is in a Git repository without a work tree.",
                hint="Clone it (`git clone REPOSITORY FOLDER`), and work there.",
            )
        if "dubious ownership" in answer.err:
            raise ConfigError(
                f"Git does not trust {start}: another user owns it.",
                hint=f"git config --global --add safe.directory {start}",
            )
        raise ConfigError(
            f"{start} is not in a Git repository.", hint="`git init`, or change to your project."
        )

    # -- revisions -----------------------------------------------------------------------------

    def resolve(self, revision: str) -> Commit:
        """Return the commit that a name means."""
        if revision.startswith("-"):
            raise UsageError(f"{revision!r} is no revision.")
        answer = self._try("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if answer.code:
            raise UsageError(
                f"There is no revision {revision!r} here.",
                hint="In a shallow clone, fetch it first (actions/checkout: `fetch-depth: 0`)."
                if self.is_shallow()
                else "`git branch --all` and `git tag` list the names; `git fetch` brings more.",
            )
        return self._commit(_text(answer.out))

    def head(self) -> Commit | None:
        """Return the commit checked out, or None before the first."""
        answer = self._try("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return None if answer.code else self._commit(_text(answer.out))

    def has(self, sha: str) -> bool:
        """Whether the commit's own object is here."""
        return self._try("cat-file", "-e", f"{sha}^{{commit}}").code == 0

    def is_shallow(self) -> bool:
        """Whether history is cut."""
        return self._read("rev-parse", "--is-shallow-repository") == "true"

    def is_dirty(self) -> bool:
        """Whether tracked files differ from HEAD, or new files are not ignored."""
        return bool(self._run("status", "--porcelain", "-z", "--untracked-files=normal"))

    def branch(self) -> str | None:
        """Return the branch checked out, or None when detached."""
        answer = ask(self.root, "symbolic-ref", "--quiet", "--short", "HEAD")
        return _text(answer.out) if answer.code == 0 else None

    def remotes(self) -> tuple[str, ...]:
        """Return the names of all remotes."""
        return tuple(_text(ask(self.root, "remote").out).split())

    def with_remote(self, name: str | None) -> "GitRepository":
        """Return the same repository with ``name`` (None: as it is) for its ``remote()``."""
        if name is None:
            return self
        names = self.remotes()
        if name not in names:
            raise UsageError(
                f"There is no remote {name!r}.",
                hint=f"There are {', '.join(names)}." if names else "`git remote add NAME URL`.",
            )
        return GitRepository(self.root, remote=name, sign=self._sign)

    def remote(self) -> str | None:
        """Return the remote that this branch follows, else ``origin``, else the first."""
        if self._preferred is not None:
            return self._preferred
        names = self.remotes()
        branch = self.branch()
        followed = ask(self.root, "config", "--get", f"branch.{branch}.remote") if branch else None
        if followed and _text(followed.out) in names:
            return _text(followed.out)
        return "origin" if "origin" in names else next(iter(names), None)

    def remote_url(self) -> str | None:
        """Return the URL of ``remote()``."""
        remote = self.remote()
        return self._read("remote", "get-url", remote) if remote else None

    def default_branch(self, configured: str | None = None) -> tuple[str, str] | None:
        """Return the default branch's name and the ref to read it by."""
        remote = self.remote()
        names = [configured] if configured else []
        if remote and not configured:
            answer = self._try("symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD")
            if answer.code == 0:
                names.append(_text(answer.out).removeprefix(f"{remote}/"))
        for name in names or ["main", "master"]:
            for ref in (
                *([f"refs/remotes/{remote}/{name}"] if remote else []),
                f"refs/heads/{name}",
            ):
                if self._try("show-ref", "--verify", "--quiet", ref).code == 0:
                    return name, ref
        return None

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None where none is known here."""
        answer = self._try("merge-base", one, other)
        return _text(answer.out) if answer.code == 0 else None

    def commits_since(self, since: str, until: str, *, limit: int) -> tuple[LoggedCommit, ...]:
        """Return the commits after ``since`` up to ``until``, the newest first."""
        form = "--format=%H%x00%P%x00%aN%x00%s%x00%b"
        out = self._run("log", "-z", f"--max-count={limit}", form, until, f"^{since}", "--")
        # The last one ends with a NUL too: what is left behind it is no commit.
        rows = zip(*[iter(out.decode(errors="replace").split("\0"))] * 5, strict=False)
        return tuple(
            LoggedCommit(
                sha=sha, parents=tuple(parents.split()), author=author, subject=subject, body=body
            )
            for sha, parents, author, subject, body in rows
        )

    def first_parents(self, ref: str, *, limit: int) -> tuple[Commit, ...]:
        """Return the last commits of a branch itself, the newest first."""
        form = "--format=%H%x00%P%x00%ct%x00%s"
        log = self._run(
            "log", "-z", "--first-parent", f"--max-count={limit}", form, self.resolve(ref).sha, "--"
        )
        fields = log.decode(errors="replace").rstrip("\0").split("\0")
        return tuple(
            Commit(sha=sha, parents=tuple(parents.split()), seconds=int(seconds), subject=subject)
            for sha, parents, seconds, subject in zip(*[iter(fields)] * 4, strict=True)
        )

    def _commit(self, sha: str) -> Commit:
        # The raw object names its parents even where a shallow clone hides them.
        (found,) = self._objects.read([sha])
        head, _, message = found.data.partition(b"\n\n")
        fields = [line.split(b" ", 1) for line in head.split(b"\n") if b" " in line]
        committer = next(value for key, value in fields if key == b"committer")
        return Commit(
            sha=sha,
            parents=tuple(value.decode() for key, value in fields if key == b"parent"),
            seconds=int(committer.rsplit(b" ", 2)[1]),
            subject=message.split(b"\n", 1)[0].decode(errors="replace"),
        )

    # -- files ---------------------------------------------------------------------------------

    def tree(self, sha: str) -> "CommitTree":
        """Return the files of a commit."""
        return CommitTree(self, sha)

    def work_tree(self) -> "WorkTree":
        """Return the files as they lie on disk."""
        return WorkTree(self)

    def changed_files(self, base: str, head: str | None) -> tuple[FileChange, ...]:
        """Return the files that differ between two commits, or a commit and the work tree."""
        # Larger files are data: counting their lines takes Git twelve times their size in memory.
        out = self._run(
            *("-c", "core.bigFileThreshold=1m", "diff", "--raw", "--numstat", "-z"),
            *("--no-renames", "--no-ext-diff", "--no-textconv"),
            *(base, *([head] if head else []), "--"),
        )
        changes = {change.path: change for change in _parse_diff(out)}
        if head is None:
            new = self._run("ls-files", "-z", "--others", "--exclude-standard", "--full-name")
            for path in _split(new):
                changes.setdefault(path, FileChange(path=path, kind=ChangeKind.ADDED))
        return tuple(changes[path] for path in sorted(changes))

    def blobs(self, oids: Sequence[str]) -> Iterator[bytes]:
        """Yield the contents of blobs, in order."""
        return (found.data for found in self._objects.read(oids))

    def files(self, sha: str) -> Mapping[str, str]:
        """Return the id of each file of a commit, by its path."""
        return self._objects.files(sha)

    # -- the remote ----------------------------------------------------------------------------

    def fetch(self, refspecs: Sequence[str], *, depth: int | None = None) -> None:
        """Fetch from ``remote()`` without its tags; ``depth`` limits the history that comes."""
        remote = self._need_remote()
        limit = [f"--depth={depth}"] if depth else []
        answer = self._try(
            "fetch", "--no-tags", "--quiet", *limit, "--end-of-options", remote, *refspecs
        )
        self._check_remote(answer, f"fetch {' '.join(refspecs)} from {remote}")

    def deepen(self, by: int | None) -> None:
        """Fetch ``by`` more commits of what is shallow, or (None) all of them."""
        limit = f"--deepen={by}" if by else "--unshallow"
        answer = self._try("fetch", "--no-tags", "--quiet", limit, self._need_remote())
        self._check_remote(answer, "fetch more history")

    def tags(
        self,
        artifacts: Sequence[str] | None = None,
        *,
        remote: str | None = None,
        messages: bool = True,
    ) -> tuple[TagRecord, ...]:
        """Return the registry's tags: local ones, or ``remote``'s, fetched now."""
        if remote is not None:
            self._fetch_tags(remote, artifacts)
        under = LOCAL if remote is None else _REMOTE_TAGS
        return read_records(Listing(self.root, artifacts, under=under, messages=messages))

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        """Return when those of the commits that are here were made, in Unix seconds."""
        return commit_times(self.root, shas)

    def tag_ids(self, artifacts: Sequence[str] | None = None, *, remote: str) -> Mapping[str, str]:
        """Return the ids of the remote's tag objects by short name; nothing is fetched."""
        if artifacts is not None and not artifacts:
            return {}
        patterns = [f"refs/tags/{glob}" for glob in _globs(artifacts)]
        # --refs leaves out what the tags lead to.
        command = ("ls-remote", "--quiet", "--refs", "--end-of-options", remote, *patterns)
        listed = self._try(*command)
        self._check_remote(listed, f"list the tags of {remote}")
        pairs = (line.partition("\t") for line in _text(listed.out).splitlines())
        return {ref.removeprefix("refs/tags/"): oid for oid, _, ref in pairs}

    def _fetch_tags(self, remote: str, artifacts: Sequence[str] | None) -> None:
        globs = _globs(artifacts)
        is_shallow = self.is_shallow()
        if is_shallow and not self._is_cut_at_head():
            self._fetch_tags_one_by_one(remote, globs)
            return
        refs = [f"+refs/tags/{glob}:{_REMOTE_TAGS}{glob}" for glob in globs]
        fetch = ("fetch", "--no-tags", "--quiet", "--prune")
        limit = ["--depth=1"] if is_shallow else []
        answer = self._try(*fetch, *limit, "--end-of-options", remote, *refs)
        if limit and answer.code and not answer.err.strip():
            # Git fails without a word where --depth finds nothing to fetch.
            answer = self._try(*fetch, "--end-of-options", remote, *refs)
        self._check_remote(answer, f"fetch the tags of {remote}")

    def _is_cut_at_head(self) -> bool:
        """Whether a shallow clone's history is HEAD alone, so that there is none to lose."""
        path = self.root / self._read("rev-parse", "--git-path", "shallow")
        head = self._try("rev-parse", "--verify", "--quiet", "HEAD")
        return _text(head.out) in path.read_text(encoding="utf-8").split()

    def _fetch_tags_one_by_one(self, remote: str, globs: Sequence[str]) -> None:
        """Fetch tags so that none cuts history: --depth ends it at each commit that it fetches.

        Hence only commits that are not here are fetched with it.
        """
        patterns = [f"refs/tags/{glob}" for glob in globs]
        listed = self._try("ls-remote", "--quiet", "--end-of-options", remote, *patterns)
        self._check_remote(listed, f"list the tags of {remote}")
        commits = _peeled(_text(listed.out))
        asked = "".join(f"{oid}\n" for oid in commits.values()).encode()
        found = _text(self._run("cat-file", "--batch-check=%(objecttype)", stdin=asked))
        kinds = dict(zip(commits, found.splitlines(), strict=True))
        here = [ref for ref, kind in kinds.items() if not kind.endswith("missing")]
        away = [ref for ref, kind in kinds.items() if kind.endswith("missing")]
        for refs, limit in ((here, []), (away, ["--depth=1"])):
            if refs:
                specs = "".join(f"+{ref}:{_kept(ref)}\n" for ref in refs).encode()
                fetch = ("fetch", "--no-tags", "--quiet", *limit, "--stdin", remote)
                self._check_remote(self._try(*fetch, stdin=specs), f"fetch the tags of {remote}")
        known = self._read("for-each-ref", "--format=%(refname)", _REMOTE_TAGS).splitlines()
        kept = {_kept(ref) for ref in commits}
        gone = [
            ref
            for ref in known
            if ref not in kept
            and any(fnmatchcase(ref.removeprefix(_REMOTE_TAGS), glob) for glob in globs)
        ]
        self._run(
            "update-ref", "--stdin", stdin="".join(f"delete {ref}\n" for ref in gone).encode()
        )

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        """Create the tags, all or none: on ``remote`` by one atomic push, else only here."""
        made = {f"refs/tags/{tag.name}": self._make_tag(tag) for tag in tags}
        made |= self._write(blobs)
        if remote is None:
            self._create(made)
            return
        refs = [f"{oid}:{ref}" for ref, oid in made.items()]
        if commit_to:
            refs.append(f"{commit_to[0]}:refs/heads/{commit_to[1]}")
        if refs:
            self._push(remote, refs)
            # The remote has them: what stands in this clone's way does not undo that.
            self._try("update-ref", "--stdin", stdin=_transaction("update", made))

    def keep(self, blobs: Blobs, *, remote: str | None) -> tuple[str, ...]:
        """Keep contents at refs of their own: on ``remote`` and here, or (None) only here."""
        self.push([], remote=remote, blobs=blobs)
        return tuple(self._write(blobs))

    def _write(self, blobs: Blobs) -> dict[str, str]:
        """Write blobs, and return their ids by the refs that they belong at."""
        made = {}
        for under, contents in blobs.items():
            for data in contents:
                oid = self.write_blob(data)
                made[f"{under}{oid}"] = oid
        return made

    def kept(self, under: str, *, remote: str | None) -> Mapping[str, bytes]:
        """Return what is kept in a folder of refs, by ref."""
        if remote is not None:
            self.mirror_refs(under, remote=remote)
        form = "--format=%(objecttype) %(objectsize) %(objectname) %(refname)"
        listed = self._read("for-each-ref", form, under).splitlines()
        rows = [line.split(" ", 3) for line in listed]
        refs = {
            ref: oid
            for kind, size, oid, ref in rows
            if kind == "blob" and int(size) <= _MOST_KEPT_BYTES
        }
        named = list(refs.items())[:_MOST_KEPT]
        found = self._objects.read([oid for _, oid in named])
        return {ref: one.data for (ref, _), one in zip(named, found, strict=True)}

    def _push(self, remote: str, refs: Sequence[str]) -> None:
        exactly = ("--atomic", "--no-follow-tags", "--recurse-submodules=no", "--no-verify")
        answer = self._try("push", "--porcelain", *exactly, remote, *refs)
        verdicts = pushes.read_verdicts(answer.out)
        if answer.code and (verdicts or any(mark in answer.err for mark in pushes.REFUSALS)):
            raise pushes.refused(remote, answer.err, verdicts, reason=_reason(answer.err))
        self._check_remote(answer, f"push to {remote}")

    def _create(self, made: Mapping[str, str]) -> None:
        """Create the refs in this clone, those that are there already as they should be aside."""
        listed = self._read("for-each-ref", "--format=%(refname) %(objectname)", *_OURS)
        known = dict(line.split(" ") for line in listed.splitlines())
        missing = {ref: oid for ref, oid in made.items() if known.get(ref) != oid}
        answer = self._try("update-ref", "--stdin", stdin=_transaction("create", missing))
        if answer.code:
            raise TagTakenError(
                f"Git refused the tags, nothing was tagged: {_reason(answer.err)}",
                hint="`modelci registry` lists what is there.",
            )

    def _make_tag(self, tag: PlannedTag) -> str:
        """Write the tag object, signed where that is wanted; return its id."""
        tagger = f"{self._tagger} {tag.seconds} +0000"
        text = f"object {tag.commit}\ntype commit\ntag {tag.name}\ntagger {tagger}\n\n{tag.message}"
        refs = [f"{under}{tag.name}" for under in (_REMOTE_TAGS, LOCAL)]
        known = signing.existing(self._try, refs, text)
        if known is not None:
            return known
        if not self.signs_tags:
            return _text(self._run("mktag", stdin=text.encode()))
        if text not in self._signed:
            # What is pushed has to be the very object that was checked; nobody types twice.
            self._signed[text] = signing.sign(
                self._try,
                self.root,
                name=tag.name,
                commit=tag.commit,
                tagger=self._tagger,
                seconds=tag.seconds,
                message=tag.message,
            )
        return self._signed[text]

    # -- refs of our own -----------------------------------------------------------------------

    def mirror_refs(self, under: str, *, remote: str) -> None:
        """Let a folder of refs be what the remote's is."""
        fetch = ("fetch", "--no-tags", "--quiet", "--prune", "--end-of-options", remote)
        self._check_remote(self._try(*fetch, f"+{under}*:{under}*"), f"fetch {under}*")

    def read_ref(self, ref: str) -> str | None:
        """Return the id that a full ref names here."""
        answer = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", ref)
        return None if answer.code else _text(answer.out)

    def move_ref(self, ref: str, oid: str, *, expected: str | None, remote: str | None) -> bool:
        """Let a ref name ``oid``, on ``remote`` (and here) or only here.

        False where it does not name what is ``expected`` (None: it is not there). Raises
        ForgeDeniedError where the remote forbids it.
        """
        if remote is not None:
            lease = f"--force-with-lease={ref}:{expected or ''}"
            push = ("push", "--porcelain", "--no-verify", "--no-follow-tags", lease)
            answer = self._try(*push, "--end-of-options", remote, f"{oid}:{ref}")
            if answer.code:
                if pushes.is_taken(answer.out):
                    return False
                self._check_taken(answer, ref, remote)
            self._try("update-ref", ref, oid)
            return True
        nothing = "0" * len(oid)
        return self._try("update-ref", "--", ref, oid, expected or nothing).code == 0

    def _check_taken(self, answer: Answer, ref: str, remote: str) -> None:
        verdicts = pushes.read_verdicts(answer.out)
        if verdicts or any(mark in answer.err for mark in pushes.REFUSALS):
            why = "; ".join(verdicts.values()) or _reason(answer.err)
            raise ForgeDeniedError(
                f"{remote} refused {ref}: {why}",
                hint="Does a rule or a hook of it forbid refs of that name, or this job to push?",
            )
        self._check_remote(answer, f"push {ref} to {remote}")

    def write_blob(self, data: bytes) -> str:
        """Write contents to the object store, and return their id."""
        return _text(self._run("hash-object", "-w", "--stdin", stdin=data))

    def list_top(self, commit: str) -> tuple[tuple[str, str, int], ...]:
        """Return name, id and size in bytes of each file at the top of a commit."""
        rows = _split(self._run("ls-tree", "-z", "--long", "--end-of-options", commit))
        parts = (row.partition("\t") for row in rows)
        fields = ((*head.split(), name) for head, _, name in parts)
        return tuple(
            (name, oid, int(size)) for _, kind, oid, size, name in fields if kind == "blob"
        )

    def commit_top(
        self, files: Mapping[str, str], *, parent: str | None, message: str, seconds: int
    ) -> str:
        """Write a commit whose files are these blobs, by name, and return its id; no ref moves."""
        rows = "".join(f"100644 blob {oid}\t{name}\0" for name, oid in files.items())
        tree = _text(self._run("mktree", "-z", stdin=rows.encode()))
        who = f"{self._tagger} {seconds} +0000"
        above = f"parent {parent}\n" if parent else ""
        text = f"tree {tree}\n{above}author {who}\ncommitter {who}\n\n{message}\n"
        return _text(self._run(*"hash-object -t commit -w --stdin".split(), stdin=text.encode()))

    # -- signatures ----------------------------------------------------------------------------

    @cached_property
    def signs_tags(self) -> bool:
        """Whether tags are signed: as the configuration says, else as Git's ``tag.gpgSign``."""
        wanted = self._sign()
        return signing.wants_signatures(self._try) if wanted is None else wanted

    def verify_tags(
        self, refs: Sequence[str], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Return what the tags at these refs are signed with, and what Git makes of it."""
        return signing.verify(self._try, refs, allowed_signers=allowed_signers)

    def try_signing(
        self, tags: Sequence[PlannedTag], *, allowed_signers: bytes | None = None
    ) -> tuple[Signature, ...]:
        """Make the objects that ``push`` takes for these tags, and say what ``verify_tags`` would.

        No ref is made and nothing pushed.
        """
        made = [self._make_tag(tag) for tag in tags]
        found = signing.verify(self._try, made, allowed_signers=allowed_signers)
        return tuple(
            replace(one, ref=f"refs/tags/{tag.name}") for one, tag in zip(found, tags, strict=True)
        )

    @cached_property
    def _signed(self) -> dict[str, str]:
        """The ids of the objects that were signed here, by what they say."""
        return {}

    def tagger(self) -> str:
        """Return who tags here, as ``Name <address>``."""
        return self._tagger

    def trailers(self, key: str, *, since: str | None, until: str) -> tuple[str, ...]:
        """Return a trailer's values in the commits after ``since`` (None: all) up to ``until``."""
        form = f"--format=%(trailers:key={key},valueonly,unfold,separator=%x00)"
        after = [f"^{since}"] if since else []
        out = self._run("log", "-z", form, until, *after, "--")
        return tuple(one for part in _split(out) if (one := part.strip()))

    @cached_property
    def _tagger(self) -> str:
        # Only who was configured: what Git else makes of the host's name differs by machine.
        answer = self._try("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        return _text(answer.out).rsplit(" ", 2)[0] if answer.code == 0 else _NOBODY

    def _need_remote(self) -> str:
        remote = self.remote()
        if remote is None:
            raise ForgeError("This repository has no remote.", hint="`git remote add origin URL`.")
        return remote

    def _check_remote(self, answer: Answer, what: str) -> None:
        if answer.code == 0:
            return
        reason = _reason(answer.err)
        if any(mark in answer.err for mark in _DENIALS):
            raise ForgeDeniedError(
                f"Git may not {what}: {reason}",
                hint="Check the credentials; in Actions give the job `permissions: contents: write`"
                " to push, and let actions/checkout keep its credentials.",
            )
        raise ForgeError(
            f"Git could not {what}: {reason}",
            hint="`git remote -v` shows the address; can this machine reach it?",
        )

    def is_on_branch(self, sha: str, branch: str) -> bool:
        """Whether the remote's ``branch``, fetched now, holds the commit."""
        ref = f"refs/remotes/{self._need_remote()}/{branch}"
        self.fetch([f"+refs/heads/{branch}:{ref}"])
        if self._try("merge-base", "--is-ancestor", sha, ref).code == 0:
            return True
        if not self.is_shallow():
            return False
        # History is cut: the commits that lead from the branch to this one may be missing here.
        if sha in self.resolve(ref).parents:
            return True
        self.deepen(_DEEPER)
        return self._try("merge-base", "--is-ancestor", sha, ref).code == 0

    # -- branches ------------------------------------------------------------------------------

    def remote_branch(self, branch: str) -> str | None:
        """Return the commit of ``remote()``'s branch, fetched now; None where it has none."""
        remote, ref = self._need_remote(), f"refs/heads/{branch}"
        listed = self._try("ls-remote", "--quiet", "--end-of-options", remote, ref)
        self._check_remote(listed, f"list the branches of {remote}")
        pairs = (line.partition("\t") for line in _text(listed.out).splitlines())
        sha = next((oid for oid, _, name in pairs if name == ref), None)
        if sha is not None and not self.has(sha):
            depth = 1 if self.is_shallow() else None
            self.fetch([f"+{ref}:refs/remotes/{remote}/{branch}"], depth=depth)
        return sha

    def push_branch(self, branch: str, sha: str, *, expected: str | None) -> None:
        """Let ``remote()``'s branch name a commit, if it still names ``expected``."""
        remote, ref = self._need_remote(), f"refs/heads/{branch}"
        exactly = ("--no-follow-tags", "--recurse-submodules=no", "--no-verify")
        lease = f"--force-with-lease={ref}:{expected or ''}"
        answer = self._try("push", "--porcelain", *exactly, lease, remote, f"{sha}:{ref}")
        why = pushes.read_verdicts(answer.out).get(ref, "")
        if answer.code and pushes.is_first_come(why):
            raise BranchMovedError(
                f"{branch} of {remote} is not what it was a moment ago: {why}.",
                hint="Run this again: what was pushed there is looked at anew.",
            )
        self._check_remote(answer, f"push {branch} to {remote}")

    # -- results -------------------------------------------------------------------------------

    def commit_paths(self, paths: Sequence[str], message: str) -> str:
        """Commit those paths on top of HEAD; the same contents always make the same commit."""
        head = self.resolve("HEAD")
        date = f"{head.seconds} +0000"
        name, email = _NOBODY[:-1].split(" <")
        who = {
            f"GIT_{role}_{field}": value
            for role in ("AUTHOR", "COMMITTER")
            for field, value in (("NAME", name), ("EMAIL", email), ("DATE", date))
        }
        who["GIT_LITERAL_PATHSPECS"] = "1"  # a path may hold what else is a glob
        self._run("add", "--all", "--", *paths, env=who)
        quiet = ("--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=verbatim")
        self._run("commit", *quiet, "-m", message, "--only", "--", *paths, env=who)
        return self.resolve("HEAD").sha

    def bundle(self, path: Path, *, sha: str, since: str) -> None:
        """Write the commits after ``since`` up to ``sha`` to a bundle file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._run("update-ref", _RESULTS_REF, sha)
        self._run(*("bundle", "create", "--quiet", str(path.absolute()), _RESULTS_REF, f"^{since}"))

    def unbundle(self, path: Path) -> str:
        """Fetch a bundle's commit and return its sha.

        The file comes from a job that ran anybody's code: it is a bundle and nothing else that Git
        could fetch from, and no name in it leads into ``.git`` or out of the work tree.
        """
        if not _is_bundle(path):
            raise ConfigError(
                f"{path} holds no results: it is no Git bundle.",
                hint="Leave it as the job that ran the pipeline wrote it.",
            )
        answer = self._try(
            "fetch", "--no-tags", "--quiet", str(path.absolute()), f"+{_RESULTS_REF}:{_RESULTS_REF}"
        )
        if answer.code:
            raise ConfigError(
                f"{path} holds no results for this commit: {_reason(answer.err)}",
                hint="Check out the commit that the run job checked out.",
            )
        sha = self._read("rev-parse", "--verify", _RESULTS_REF)
        # Git looks at what a remote sends, but not (before 2.46) at what is in a bundle.
        for name in _split(self._run("ls-tree", "-r", "-t", "-z", "--name-only", sha)):
            if any(part.casefold() in _NO_NAMES for part in name.split("/")):
                self._run("update-ref", "-d", _RESULTS_REF)
                raise ConfigError(f"{path} holds no results: it has a file named {name!r}.")
        return sha

    # -- running git ---------------------------------------------------------------------------

    def _read(self, *arguments: str) -> str:
        return _text(self._run(*arguments))

    def _run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        answer = self._try(*arguments, stdin=stdin, env=env)
        if answer.code:
            verb = arguments[2 if arguments[0] == "-c" else 0]
            raise ConfigError(f"`git {verb}` failed: {_reason(answer.err)}")
        return answer.out

    def _try(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        with tempfile.TemporaryFile() as source, trace.told("git", *arguments):
            source.write(stdin or b"")
            source.seek(0)
            # As a process, for one that we stop waiting for must not go on without us.
            keeper = self._git.execute(
                ["git", *arguments],
                istream=source,
                as_process=True,
                env={**git_environment(), **(env or {})},
            )
            running = keeper.proc  # which ends with its keeper
            assert running is not None  # noqa: S101 - it was started just now
            with ended(running):
                out, err = running.communicate()
        return Answer(code=running.returncode, out=out, err=err.decode(errors="replace"))

    @cached_property
    def _git(self) -> "Git":
        # 30 ms: reading objects and tags, which is all that many a command does, needs none of it.
        try:
            from git.cmd import Git  # noqa: PLC0415
        except ImportError as error:  # GitPython looks for the git executable when it is imported
            raise ConfigError("git is not installed.", hint="Install Git 2.30+.") from error
        return Git(self.root)


class CommitTree:
    """The files of one commit; a link is the text that says where it leads, as Git keeps it."""

    def __init__(self, repository: GitRepository, sha: str) -> None:
        self._repository = repository
        self._sha = sha

    def paths(self) -> Sequence[str]:
        """Return every path."""
        return tuple(self._oids)

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the contents of those that exist."""
        known = [path for path in dict.fromkeys(paths) if path in self._oids]
        if not known:
            return {}
        blobs = self._repository.blobs([self._oids[path] for path in known])
        return dict(zip(known, blobs, strict=True))

    def blob_id(self, path: str) -> str | None:
        """Return Git's id for the contents of ``path``."""
        return self._oids.get(path)

    @cached_property
    def _oids(self) -> Mapping[str, str]:
        return self._repository.files(self._sha)


class WorkTree:
    """The files on disk; a link to no file in the repository is read as Git keeps it."""

    def __init__(self, repository: GitRepository) -> None:
        self._repository = repository
        self._root = repository.root.resolve()

    def paths(self) -> Sequence[str]:
        """Return every path that Git tracks or would add, and that exists."""
        files = ((path, self._root / path) for path in self._listed)
        return tuple(path for path, file in files if file.is_file() or file.is_symlink())

    def read(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the contents of those that exist, also of ignored ones."""
        found = {path: self._contents(path) for path in paths}
        return {path: data for path, data in found.items() if data is not None}

    def blob_id(self, path: str) -> str | None:
        """Return the id that Git would give to the contents of ``path``."""
        if self._file(path) is None:
            return None
        return self._repository._read("hash-object", "--", path)  # noqa: SLF001

    def _contents(self, path: str) -> bytes | None:
        file = self._file(path)
        try:
            if file is not None:
                return file.read_bytes()
            link = self._root / path
            return bytes(link.readlink()) if path in self._tracked and link.is_symlink() else None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error

    def _file(self, path: str) -> Path | None:
        try:
            file = (self._root / path).resolve()
            if not file.is_file() or not file.is_relative_to(self._root):
                return None
        except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a NUL
            return None
        # Git's own files hold the credentials that a checkout keeps.
        return None if file.relative_to(self._root).parts[0] == ".git" else file

    @cached_property
    def _tracked(self) -> frozenset[str]:
        return frozenset(self._listed)

    @cached_property
    def _listed(self) -> Sequence[str]:
        out = self._repository._run(  # noqa: SLF001
            *("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
        )
        return _split(out)


_DENIALS = (
    *("Authentication failed", "Permission denied", "could not read Username", "error: 403"),
    *("error: 401", "access denied", "Permission to"),
)
_NO_REASON = (
    *("hint:", "To ", "From ", "Please make sure you have", "and the repository exists"),
    "fatal: Could not read from remote repository",
)
_KINDS = {"A": ChangeKind.ADDED, "D": ChangeKind.DELETED}


def _parse_diff(out: bytes) -> Iterator[FileChange]:
    """Read ``git diff --raw --numstat -z``: first all the kinds, then all the line counts."""
    kinds: dict[str, ChangeKind] = {}
    parts = iter(out.split(b"\0")[:-1])
    for part in parts:
        if part.startswith(b":"):
            kinds[_path(next(parts))] = _KINDS.get(part[-1:].decode(), ChangeKind.CHANGED)
            continue
        added, deleted, path = part.split(b"\t", 2)
        name = _path(path)
        yield FileChange(
            path=name,
            kind=kinds.get(name, ChangeKind.CHANGED),
            added=int(added) if added != b"-" else None,
            deleted=int(deleted) if deleted != b"-" else None,
        )


def _globs(artifacts: Sequence[str] | None) -> list[str]:
    names = [name.replace(":", "=", 1) for name in artifacts or ()]
    return [f"{name}{mark}*" for name in names for mark in "@#"] if names else ["*"]


def _peeled(listed: str) -> Mapping[str, str]:
    """Return what each tag names, from ``git ls-remote``: its commit, if it is annotated."""
    found: dict[str, str] = {}
    for line in listed.splitlines():
        oid, _, ref = line.partition("\t")
        found[ref.removesuffix("^{}")] = oid
    return found


def _kept(ref: str) -> str:
    return f"{_REMOTE_TAGS}{ref.removeprefix('refs/tags/')}"


def _is_bundle(path: Path) -> bool:
    """Whether a file is a bundle: ``gitdir: elsewhere`` would be a repository to fetch from."""
    try:
        with path.open("rb") as file:
            return file.readline(len(_BUNDLES[0])) in _BUNDLES
    except OSError:
        return False


def _reason(err: str) -> str:
    lines = [line for line in err.strip().splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(_NO_REASON)]
    said = [re.sub(r"^(fatal|error|remote): ", "", line) for line in kept[-3:] or lines[-1:]]
    reason = " ".join(said) or "no reason given"
    return re.sub(r"(?<=://)[^/@\s]+@", "", reason)  # a URL may hold a token


def _transaction(verb: str, refs: Mapping[str, str]) -> bytes:
    lines = [f"{verb} {ref} {oid}\n" for ref, oid in refs.items()]
    return "".join(["start\n", *lines, "commit\n"]).encode()


def _split(out: bytes) -> list[str]:
    return [_path(part) for part in out.split(b"\0") if part]


def _path(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _text(out: bytes) -> str:
    return out.decode(errors="replace").strip()
