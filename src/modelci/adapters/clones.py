"""Brings the files of a run to another machine: a commit, described here and checked out there.

A work tree with changes is sent as a commit too, of fixed author and date: the same files are the
same commit on every machine. The driver's own objects, branches and index stay as they are.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from modelci.domain.elsewhere import Source
from modelci.errors import ConfigError, PipelineError

MAX_BUNDLE_BYTES = 256 * 1024 * 1024
"""A work tree that brings more than this is missing a .gitignore, or a ``dvc add``."""

_REF = "refs/modelci/run"
_NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {
        "NAME": "modelci",
        "EMAIL": "modelci@localhost",
        "DATE": "2000-01-01T00:00:00+00:00",
    }.items()
}
# Git sets these for its hooks; here they would lead into another repository.
_MISLEADING = """GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR
GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE GIT_PREFIX""".split()


class SourceUnavailableError(Exception):
    """The commit can be had neither from the remote nor from what was sent."""


class LocalSource:
    """The driver's side: the work tree at ``root`` as it was when this was made.

    A clean commit that the Git remote has is fetched from there by the workers. Anything else is
    sent: as a commit of the same files without history, in Git's own bundle format.
    """

    def __init__(
        self, root: Path, *, url: str | None, subdir: str, environment: Mapping[str, str]
    ) -> None:
        self._root = root
        self._environment = cleaned(environment)
        self._scratch = tempfile.TemporaryDirectory(prefix="modelci-source-")
        git(["init", "--quiet", "--bare", self._scratch.name], self._environment)
        self._family = hashlib.sha256((url or str(root)).encode()).hexdigest()[:16]
        self._subdir = subdir
        is_clean = not self._read("status", "--porcelain", "--untracked-files=normal")
        # The files as they are now: stages that run here will change them.
        self._commit = self._commit_work_tree()
        head = self._read("rev-parse", "--verify", "--quiet", "HEAD^{commit}") if is_clean else None
        if url and head and self._is_on_remote(head):
            self.source = self._make(head, url=_absolute(url, root))
        else:
            self.source = self._make(self._commit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was made to be sent."""
        self._scratch.cleanup()

    def bundled(self) -> Source:
        """Return a source that needs no remote; ConfigError where it is too large to be sent."""
        path = Path(self._scratch.name, "run.bundle")
        if not path.exists():
            scratch = self._environment | {
                "GIT_DIR": self._scratch.name,
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": self._their_objects,
            }
            git(["update-ref", _REF, self._commit], scratch)
            git(["bundle", "create", "--quiet", str(path), _REF], scratch)
        size = path.stat().st_size
        if size > MAX_BUNDLE_BYTES:
            raise ConfigError(
                f"The work tree's files are {size / 1e6:.0f} MB to send to the workers.",
                hint="Commit and push, so that workers fetch it; let DVC track data (`dvc add`).",
            )
        return self._make(self._commit, bundle=path.read_bytes())

    def _make(self, commit: str, *, url: str | None = None, bundle: bytes | None = None) -> Source:
        return Source(
            commit=commit, family=self._family, url=url, bundle=bundle, subdir=self._subdir
        )

    def _commit_work_tree(self) -> str:
        """Return a commit without parents of all files that Git tracks or would track."""
        index = Path(self._scratch.name, "index-of-run")
        theirs = self._path("index")
        if theirs.exists():
            shutil.copyfile(theirs, index)
        apart = self._environment | {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(Path(self._scratch.name, "objects")),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": self._their_objects,
        }
        here = ["-C", str(self._root)]
        git([*here, "add", "--all", "--", "."], apart)
        tree = git([*here, "write-tree"], apart)
        return git([*here, "commit-tree", tree, "-m", "The files of a run"], apart | _NOBODY)

    def _is_on_remote(self, commit: str) -> bool:
        return bool(self._read("for-each-ref", "--count=1", "--contains", commit, "refs/remotes"))

    @property
    def _their_objects(self) -> str:
        return str(self._path("objects"))

    def _path(self, name: str) -> Path:
        return self._root / self._read("rev-parse", "--git-path", name)

    def _read(self, *args: str) -> str:
        return git(["-C", str(self._root), *args], self._environment)


def check_out(source: Source, folder: Path, environment: Mapping[str, str]) -> Path:
    """Make ``folder`` a clone at the source's commit and return the DVC repository in it.

    What is ignored stays: outputs that are there need not be fetched again. Raises
    SourceUnavailableError where the commit cannot be had.
    """
    quiet = {**cleaned(environment), "GIT_TERMINAL_PROMPT": "0"}
    if not (folder / ".git").exists():
        git(["init", "--quiet", str(folder)], quiet)
    here = ["-C", str(folder)]
    if _head(folder, quiet) != source.commit:
        _obtain(source, folder, quiet)
        git([*here, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", "--detach",
             source.commit], quiet)  # fmt: skip
        git([*here, "clean", "--quiet", "-ffd"], quiet)
    return folder / source.subdir


def clone_commit(root: Path, commit: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Make ``folder`` a clone of the repository at ``root`` at one commit, and no branch."""
    quiet = {**cleaned(environment), "GIT_TERMINAL_PROMPT": "0"}
    inside = ["-C", str(folder)]
    git(["init", "--quiet", str(folder)], quiet)
    # By its id: no branch or tag need lead to it, and in a shallow clone none may.
    source = [str(root), commit]
    git([*inside, "fetch", "--quiet", "--no-tags", "--update-shallow", "--", *source], quiet)
    git([*inside, "checkout", "--quiet", "--detach", commit], quiet)


def git(args: list[str], environment: Mapping[str, str]) -> str:
    """Return what a Git command prints; raise PipelineError with what it complains of."""
    done = subprocess.run(
        ["git", *args], env=dict(environment), capture_output=True, check=False, text=True
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise PipelineError(f"git {' '.join(args[:4])} … failed: {reason}.")
    return done.stdout.strip()


def _obtain(source: Source, folder: Path, environment: Mapping[str, str]) -> None:
    here = ["-C", str(folder)]
    try:
        git([*here, "cat-file", "-e", f"{source.commit}^{{tree}}"], environment)
    except PipelineError:
        pass
    else:
        return
    try:
        if source.bundle is not None:
            _unbundle(source.bundle, folder, environment)
        elif source.url is not None:
            git([*here, "fetch", "--quiet", "--no-tags", "--depth=1", "--end-of-options",
                 source.url, source.commit], environment)  # fmt: skip
        else:
            raise SourceUnavailableError("the commit is not on the Git remote")
    except PipelineError as error:
        raise SourceUnavailableError(str(error)) from error


def _unbundle(bundle: bytes, folder: Path, environment: Mapping[str, str]) -> None:
    with tempfile.NamedTemporaryFile(prefix="modelci-", suffix=".bundle") as file:
        file.write(bundle)
        file.flush()
        git(["-C", str(folder), "fetch", "--quiet", "--no-tags", file.name,
             f"+{_REF}:{_REF}"], environment)  # fmt: skip


def _head(folder: Path, environment: Mapping[str, str]) -> str | None:
    try:
        return git(["-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"], environment)
    except PipelineError:
        return None


def _absolute(url: str, root: Path) -> str:
    """Return a path that Git counts from the repository as one that means the same elsewhere."""
    path = root / url
    return str(path.resolve()) if "://" not in url and path.exists() else url


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what leads Git into another repository."""
    return {name: value for name, value in environment.items() if name not in _MISLEADING}
