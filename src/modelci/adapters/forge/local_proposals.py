"""Pull requests and issues as files of the local forge.

``pulls/7.json`` and ``issues/8.json`` say how they stand, ``pulls/7.md`` and ``issues/8.md`` hold
their text. Their numbers are one row, as on GitHub.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.issuing import KnownIssue
from modelci.adapters.forge.proposing import KnownProposal
from modelci.adapters.forge.sticky import has_marker, normalize
from modelci.errors import ForgeError
from modelci.ports import Proposal, ProposalState

if TYPE_CHECKING:
    from modelci.adapters.forge.local import LocalForge


class LocalPull(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A pull request as its file describes it."""

    head_sha: str
    head_branch: str = ""
    head_repository: str | None = None
    base_branch: str = ""
    is_open: bool = True
    labels: list[str] = []
    merge_commit_sha: str | None = None
    title: str = ""
    auto_merge: bool = False


class _LocalIssue(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    title: str
    is_open: bool = True
    labels: list[str] = []


S = TypeVar("S", bound=msgspec.Struct)


class _Threads:
    max_characters = 1_000_000

    def __init__(self, forge: "LocalForge", folder: Path) -> None:
        self._forge = forge
        self._folder = folder

    def wait(self, error: LookAgainError, *, tries: int) -> None:  # noqa: ARG002
        """Never wait: a file is written or it is not."""
        raise error

    def _numbers(self, kind: str) -> list[int]:
        names = [path.stem for path in (self._folder / kind).glob("*.json")]
        return sorted(int(one) for one in names if one.isdecimal())

    def _next(self) -> int:
        return max([*self._numbers("pulls"), *self._numbers("issues"), 0]) + 1

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / kind / f"{number}.json"

    def _read(self, kind: str, number: int, of: type[S]) -> S:
        path = self._path(kind, number)
        try:
            return msgspec.json.decode(self._forge.read(path) or "", type=of)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            what = "pull request" if kind == "pulls" else "issue"
            raise ForgeError(f"{path} describes no {what}: {error}.") from error

    def _write(self, kind: str, number: int, state: msgspec.Struct) -> None:
        data = msgspec.json.format(msgspec.json.encode(state)) + b"\n"
        self._forge.write(self._path(kind, number), data)

    def _text(self, kind: str, number: int) -> str:
        return self._forge.read(self._path(kind, number).with_suffix(".md")) or ""

    def _write_text(self, kind: str, number: int, text: str) -> None:
        path = self._path(kind, number).with_suffix(".md")
        self._forge.write(path, f"{normalize(text)}\n".encode("utf-8", "replace"))

    def _say(self, kind: str, number: int, why: str) -> None:
        path = self._folder / "comments" / f"{kind}-{number}-closed.md"
        self._forge.write(path, f"{normalize(why)}\n".encode("utf-8", "replace"))


class LocalProposals(_Threads):
    """A ``proposing.ProposalStore``; a pull request without ``head_repository`` is from here."""

    def find(self, branch: str, *, base: str) -> KnownProposal | None:
        """Look through ``pulls/``, the greatest number first."""
        found = []
        for number in reversed(self._numbers("pulls")):
            pull = self._read("pulls", number, LocalPull)
            is_here = pull.head_repository is None
            if is_here and (pull.head_branch, pull.base_branch) == (branch, base):
                found.append(self._describe(number, pull))
        opened = (one for one in found if one.state is ProposalState.OPEN)
        return next(opened, found[0] if found else None)

    def create(self, wanted: Proposal) -> KnownProposal:
        """Write both files, the text first: the other one makes it known."""
        number = self._next()
        pull = LocalPull(
            head_sha=wanted.head_sha,
            head_branch=wanted.branch,
            base_branch=wanted.base,
            title=wanted.title,
        )
        self._write_text("pulls", number, wanted.body)
        self._write("pulls", number, pull)
        return self._describe(number, pull)

    def update(self, known: KnownProposal, *, title: str, body: str, sha: str) -> None:
        """Replace title and text, and learn what the branch names: nobody pushes to this forge."""
        pull = self._read("pulls", known.number, LocalPull)
        pull.title, pull.head_sha = title, sha
        self._write_text("pulls", known.number, body)
        self._write("pulls", known.number, pull)

    def label(self, known: KnownProposal, labels: Sequence[str]) -> None:
        """Add labels."""
        pull = self._read("pulls", known.number, LocalPull)
        pull.labels = [*pull.labels, *labels]
        self._write("pulls", known.number, pull)

    def merge_when_ready(self, known: KnownProposal, *, sha: str) -> None:
        """Note that it may merge by itself; who plays the forge does it."""
        del sha
        pull = self._read("pulls", known.number, LocalPull)
        pull.auto_merge = True
        self._write("pulls", known.number, pull)

    def close(self, known: KnownProposal, *, why: str) -> None:
        """Say why in ``comments/``, and close it."""
        pull = self._read("pulls", known.number, LocalPull)
        pull.is_open = False
        self._say("pulls", known.number, why)
        self._write("pulls", known.number, pull)

    def _describe(self, number: int, pull: LocalPull) -> KnownProposal:
        ended = ProposalState.MERGED if pull.merge_commit_sha else ProposalState.CLOSED
        return KnownProposal(
            number=number,
            url=str(self._path("pulls", number).with_suffix(".md")),
            state=ProposalState.OPEN if pull.is_open else ended,
            head_sha=pull.head_sha,
            title=pull.title,
            body=self._text("pulls", number),
            labels=tuple(pull.labels),
            merges_itself=pull.auto_merge,
        )


class LocalIssues(_Threads):
    """An ``issuing.IssueStore``; all that is in the folder counts as ours."""

    def list_ours(self, marker: str) -> list[KnownIssue]:
        """Look through ``issues/``."""
        return [one for one in self._list() if has_marker(one.body, marker)]

    def create(self, title: str, body: str) -> KnownIssue:
        """Write both files."""
        number = self._next()
        self._write_text("issues", number, body)
        self._write("issues", number, _LocalIssue(title=title))
        url = str(self._path("issues", number).with_suffix(".md"))
        return KnownIssue(number=number, url=url, title=title, body=body)

    def update(self, known: KnownIssue, *, title: str, body: str) -> None:
        """Replace title and text."""
        issue = self._read("issues", known.number, _LocalIssue)
        issue.title = title
        self._write_text("issues", known.number, body)
        self._write("issues", known.number, issue)

    def label(self, known: KnownIssue, labels: Sequence[str]) -> None:
        """Add labels."""
        issue = self._read("issues", known.number, _LocalIssue)
        issue.labels = [*issue.labels, *labels]
        self._write("issues", known.number, issue)

    def close(self, known: KnownIssue, *, why: str) -> None:
        """Say why, in its text and in ``comments/``, and close it."""
        issue = self._read("issues", known.number, _LocalIssue)
        issue.is_open = False
        self._say("issues", known.number, why)
        # Whoever opens the file sees no label beside it: the text itself says how it stands.
        self._write_text("issues", known.number, f"**Closed.** {why}\n\n{known.body}")
        self._write("issues", known.number, issue)

    def _list(self) -> Iterator[KnownIssue]:
        for number in self._numbers("issues"):
            issue = self._read("issues", number, _LocalIssue)
            if issue.is_open:
                yield KnownIssue(
                    number=number,
                    url=str(self._path("issues", number).with_suffix(".md")),
                    title=issue.title,
                    body=self._text("issues", number),
                    labels=tuple(issue.labels),
                )
