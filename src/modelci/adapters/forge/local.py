"""A forge that is a folder, for demos and for work without a network.

It holds, to be read by people, ``comments/pr-7-SLUG.md``, ``checks/SHA/NAME.md``,
``pictures/HASH.png``, ``releases/TAG.md``, ``releases/TAG/FILE``, ``tags/TAG.md``,
``dispatches/WORKFLOW/TAG.json``, ``deployments/ENVIRONMENT.json``, and ``pulls/7.md`` and
``issues/8.md`` with how they stand beside them (``.json``). Others' pull requests and a run's
artifact exist where somebody puts them: ``pulls/7.json`` (``{"head_sha": …, "head_branch": …,
"labels": […]}``) and ``artifacts/RUN/NAME/PATH``.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import msgspec

from modelci.adapters.forge import deploying
from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.local_deployments import LocalDeployments
from modelci.adapters.forge.local_proposals import LocalIssues, LocalProposals, LocalPull
from modelci.adapters.forge.loop import LoopClosing
from modelci.adapters.forge.pictures import name_pictures
from modelci.adapters.forge.releasing import NO_FILES
from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import (
    NOBODY,
    StickyComment,
    has_marker,
    normalize,
    post,
    retire,
)
from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeError, UsageError
from modelci.ports import (
    Check,
    ForgeDeployment,
    PostedCheck,
    PostedComment,
    PostedDeployment,
    PostedRelease,
    Progress,
    PullRequest,
    Writer,
)

MAX_NAME_CHARACTERS = 120


def connect(settings: ForgeSettings) -> "LocalForge":
    """Return the forge of the settings' folder, which need not exist yet."""
    if settings.folder is None:
        raise ConfigError(
            "The local forge has no folder.", hint="Set `forge.path` in modelci.yaml."
        )
    return LocalForge(settings.folder, progress=settings.progress)


class LocalForge(LoopClosing):
    """A folder of files; a file's path is its URL. Files are replaced whole.

    ``clock`` gives Unix time: deployments bear it, and old pictures are removed by it.
    """

    name = "the local forge"

    def __init__(
        self,
        folder: Path,
        *,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder.absolute()
        self._progress = progress
        self._clock = clock
        self._proposals = LocalProposals(self, self._folder)
        self._issues = LocalIssues(self, self._folder)
        deployments = self._folder / "deployments"
        self._deployments = LocalDeployments(
            self,
            deployments,
            path=lambda environment: deployments / f"{_file_name(environment)}.json",
            clock=clock,
        )

    def upsert_comment(
        self,
        number: int,
        body: str,
        *,
        marker: str,
        writer: Writer = NOBODY,
        mode: CommentMode = CommentMode.UPDATE,
        create: bool = True,
    ) -> PostedComment | None:
        """Write the comment's file; further ones of the marker have ``-2``, ``-3``, … behind."""
        stem = f"pr-{number}-{_slug(marker)}"
        store = _Comments(self, self._folder / "comments", stem, self._progress)
        return post(store, body, marker=marker, writer=writer, mode=mode, create=create)

    def pull_request(self, number: int) -> PullRequest:
        """Read ``pulls/NUMBER.json``."""
        known = self._read_pull(number)
        return PullRequest(
            number=number,
            head_sha=known.head_sha,
            head_branch=known.head_branch,
            head_repository=known.head_repository,
            base_branch=known.base_branch,
            is_open=known.is_open,
        )

    def _read_pull(self, number: int) -> LocalPull:
        path = self._folder / "pulls" / f"{number}.json"
        data = self.read(path)
        if data is None:
            raise UsageError(
                f"The local forge has no pull request {number}.",
                hint=f'Describe it in {path}: {{"head_sha": "…"}}',
            )
        try:
            return msgspec.json.decode(data, type=LocalPull)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise ForgeError(f"{path} describes no pull request: {error}.") from error

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Look through ``pulls/``; of several the greatest number is taken."""
        numbers = [path.stem for path in (self._folder / "pulls").glob("*.json")]
        for number in sorted((int(one) for one in numbers if one.isdecimal()), reverse=True):
            pull = self.pull_request(number)
            theirs = (pull.head_repository or "").partition("/")[0] == owner
            if pull.is_open and theirs and (pull.head_branch, pull.head_sha) == (branch, sha):
                return pull
        return None

    def set_check(self, check: Check) -> PostedCheck:
        """Write the check's file, one for each commit and name."""
        path = self._folder / "checks" / _file_name(check.sha) / f"{_file_name(check.name)}.md"
        link = f"\n\n{check.url}" if check.url else ""
        text = f"# {check.title}\n\n{check.name}: {check.status}{link}\n\n{check.summary}"
        self.write(path, f"{normalize(text)}\n".encode("utf-8", "replace"))
        return PostedCheck(kind="check run", url=str(path))

    def store_pictures(self, pictures: Mapping[str, bytes], *, keep_days: int) -> Mapping[str, str]:
        """Write ``pictures/HASH.EXT``; the addresses are relative to the comments' folder."""
        folder = self._folder / "pictures"
        names = name_pictures(pictures)
        for name, data in pictures.items():
            self.write(folder / names[name], data)
        self._remove_older(folder, self._clock() - keep_days * 86_400, frozenset(names.values()))
        return {name: f"../pictures/{file}" for name, file in names.items()}

    def read_artifact(self, run_id: int, name: str, path: str, *, max_bytes: int) -> bytes:
        """Read ``artifacts/RUN/NAME/PATH``, a plain file that no link leads away from."""
        top = self._folder / "artifacts" / str(run_id) / _file_name(name)
        parts = PurePosixPath(path).parts
        is_below = parts and parts[0] != "/" and ".." not in parts and "\0" not in path
        here = top.joinpath(*parts)
        # A link on the way would show in the resolved path.
        if not is_below or here.resolve() != top.resolve().joinpath(*parts):
            raise ForgeError(f"{path!r} is no file of the artifact {name!r}.")
        try:
            with here.open("rb") as file:
                data = file.read(max_bytes + 1)
        except FileNotFoundError as error:
            raise ForgeError(
                f"The local forge has no {path!r} in the artifact {name!r} of run {run_id}.",
                hint=f"Put it at {here}.",
            ) from error
        except (OSError, ValueError) as error:
            raise _unusable(here, error) from error
        if len(data) > max_bytes:
            raise ForgeError(
                f"{path!r} in the artifact {name!r} is larger than {max_bytes:,} bytes."
            )
        return data

    def publish_release(
        self,
        tag: str,
        *,
        title: str,
        body: str,
        assets: Mapping[str, bytes] = NO_FILES,
        prerelease: bool = False,
        latest: bool = True,
    ) -> PostedRelease:
        """Write ``releases/TAG/NAME`` for each file, and then ``releases/TAG.md``.

        ``releases/latest`` names the newest.
        """
        folder = self._folder / "releases"
        path = folder / f"{_file_name(tag)}.md"
        notes = []
        for name, data in assets.items():
            file = folder / _file_name(tag) / _file_name(name)
            if path.exists() and file.exists():
                if self._bytes(file) != data:
                    notes.append(
                        f"{name} of the release {tag} holds other bytes; published ones are left."
                    )
                continue
            self.write(file, data)
        mark = "Pre-release\n\n" if prerelease else ""
        text = f"# {title}\n\n{mark}{normalize(body)}\n"
        self.write(path, text.encode("utf-8", "replace"))
        if latest and not prerelease:
            self.write(folder / "latest", f"{tag}\n".encode())
        return PostedRelease(tag=tag, url=str(path), notes=tuple(notes))

    def read_release_asset(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Read ``releases/TAG/NAME`` of a release that is published."""
        folder = self._folder / "releases"
        file = folder / _file_name(tag) / _file_name(name)
        if not (folder / f"{_file_name(tag)}.md").exists() or not file.exists():
            raise ForgeError(
                f"The local forge has no published release of {tag} with a file {name}.",
                hint="`modelci promote` with `promote: {releases: true}` publishes it.",
            )
        data = self._bytes(file, max_bytes + 1)
        if len(data) > max_bytes:
            raise ForgeError(f"{name} of the release {tag} is larger than {max_bytes:,} bytes.")
        return data

    def _bytes(self, path: Path, limit: int = -1) -> bytes:
        try:
            with path.open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise _unusable(path, error) from error

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        """Write the tag's file: its name, its commit, its message."""
        path = self._folder / "tags" / f"{_file_name(tag)}.md"
        quoted = "\n".join(f"    {line}".rstrip() for line in normalize(message).split("\n"))
        text = f"# {tag}\n\nCommit: `{commit}`\n\n{quoted}\n"
        self.write(path, text.encode("utf-8", "replace"))

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Look through ``pulls/`` for those whose ``merge_commit_sha`` it is."""
        numbers = [path.stem for path in (self._folder / "pulls").glob("*.json")]
        pulls = [self._read_pull(int(one)) for one in numbers if one.isdecimal()]
        return tuple(
            sorted({label for one in pulls if one.merge_commit_sha == sha for label in one.labels})
        )

    def dispatch(self, workflow: str, *, tag: str, inputs: Mapping[str, str]) -> None:
        """Write ``dispatches/WORKFLOW/TAG.json``."""
        path = self._folder / "dispatches" / _file_name(workflow) / f"{_file_name(tag)}.json"
        text = msgspec.json.encode({"workflow": workflow, "tag": tag, "inputs": dict(inputs)})
        self.write(path, msgspec.json.format(text) + b"\n")

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        """Write ``deployments/ENVIRONMENT.json``, by the rules of ``deploying``."""
        return deploying.set_deployment(self._deployments, deployment)

    def deployments(
        self, environment: str | None = None, *, limit: int
    ) -> tuple[PostedDeployment, ...]:
        """Read ``deployments/ENVIRONMENT.json``, or those of all environments."""
        return deploying.list_deployments(self._deployments, environment, limit)

    def read(self, path: Path) -> str | None:
        """Return a file's text, or None where there is none."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error) from error

    def write(self, path: Path, data: bytes) -> None:
        """Write a file whole, with the folders that it lacks."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, data)
        except OSError as error:
            raise _unusable(path, error) from error

    def _remove_older(self, folder: Path, seconds: float, kept: AbstractSet[str]) -> None:
        try:
            for path in folder.iterdir():
                if path.name not in kept and path.stat().st_mtime < seconds:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(folder, error) from error


class _Comments:
    """The files of one pull request's comments with one marker."""

    def __init__(
        self, forge: LocalForge, folder: Path, stem: str, progress: Progress | None
    ) -> None:
        self._forge = forge
        self._folder = folder
        self._stem = stem
        self._progress = progress

    def check(self, body: str) -> None:
        """Take any text."""

    def list_ours(self, marker: str) -> list[StickyComment]:
        read = ((path, self._forge.read(path) or "") for _, path in self._numbered())
        return [
            StickyComment(key=path.name, url=str(path), body=text)
            for path, text in read
            if has_marker(text, marker)
        ]

    def create(self, body: str) -> str:
        last = max((number for number, _ in self._numbered()), default=0)
        name = f"{self._stem}-{last + 1}.md" if last else f"{self._stem}.md"
        return self._write(self._folder / name, body)

    def update(self, comment: StickyComment, body: str) -> str:
        return self._write(self._folder / str(comment.key), body)

    def delete(self, comment: StickyComment) -> None:
        path = self._folder / str(comment.key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(path, error) from error

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        self.update(comment, retire(comment.body, marker, collapse=True))

    def wait(self, error: LookAgainError, *, tries: int) -> None:  # noqa: ARG002
        raise error  # a file is written or it is not

    def warn(self, text: str) -> None:
        if self._progress is not None:
            self._progress.warn(text)

    def _numbered(self) -> list[tuple[int, Path]]:
        found = []
        for path in self._folder.glob(f"{self._stem}*.md"):
            rest = path.stem.removeprefix(self._stem)
            if not rest or re.fullmatch(r"-[1-9][0-9]{0,8}", rest):
                found.append((int(rest[1:] or "1"), path))
        return sorted(found)

    def _write(self, path: Path, body: str) -> str:
        self._forge.write(path, f"{normalize(body)}\n".encode("utf-8", "replace"))
        return str(path)


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that readers, and a process that dies, see the old or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        part.chmod(0o644)  # mkstemp's files are for their owner alone
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _unusable(path: Path, error: OSError | ValueError) -> ForgeError:
    reason = getattr(error, "strerror", None) or error
    return ForgeError(
        f"The local forge cannot use {path}: {reason}.",
        hint="`forge.path` in modelci.yaml names a folder that can be written to.",
    )


def _slug(marker: str) -> str:
    """Return words to recognise a marker by, and a hash to tell it from all others."""
    words = "-".join(re.findall(r"[a-z0-9]+", marker.lower()))[:60].strip("-")
    return "-".join(filter(None, [words, _digest(marker)]))


def _file_name(name: str) -> str:
    """Escape a name so that it is one file's, in the folder meant for it.

    Tags keep their ``@``, ``#`` and ``=``; a slash and what some file system forbids become
    ``%XX``. Dots alone lead nowhere, since an extension follows.
    """
    escaped = quote(name.encode("utf-8", "replace"), safe="@#=+!,")
    if len(escaped) > MAX_NAME_CHARACTERS:
        escaped = f"{escaped[:MAX_NAME_CHARACTERS]}-{_digest(name)}"
    return escaped


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
