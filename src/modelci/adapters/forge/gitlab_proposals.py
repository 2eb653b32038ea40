"""Merge requests and issues that we open on GitLab."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.issuing import KnownIssue
from modelci.adapters.forge.proposing import KnownProposal
from modelci.adapters.forge.sticky import has_marker
from modelci.errors import ForgeError
from modelci.ports import Proposal, ProposalState

if TYPE_CHECKING:
    from modelci.adapters.forge.gitlab import GitLabForge

MAX_CHARACTERS = 1_000_000
LOOKS = 4
"""How often a pipeline is looked for that GitLab makes after the merge request."""

_STATES = {"opened": ProposalState.OPEN, "merged": ProposalState.MERGED}
_GOING_ON = frozenset(
    "created waiting_for_resource preparing pending running scheduled manual".split()
)


class _User(msgspec.Struct):
    id: int


class _Pipeline(msgspec.Struct):
    sha: str
    status: str


class _MergeRequest(msgspec.Struct):
    iid: int
    state: str
    title: str
    web_url: str
    source_branch: str
    target_branch: str
    source_project_id: int | None = None
    target_project_id: int | None = None
    sha: str | None = None
    description: str | None = None
    labels: list[str] = []
    merge_when_pipeline_succeeds: bool = False
    head_pipeline: _Pipeline | None = None


class _Issue(msgspec.Struct):
    iid: int
    title: str
    web_url: str
    description: str | None = None
    labels: list[str] = []
    author: _User | None = None


class _Threads:
    """What merge requests and issues share."""

    max_characters = MAX_CHARACTERS

    def __init__(self, forge: "GitLabForge", path: str) -> None:
        self._forge = forge
        self._path = path

    def label(self, known: KnownProposal | KnownIssue, labels: Sequence[str]) -> None:
        """Add labels; GitLab makes those that the project lacks."""
        self._put(known.number, {"add_labels": ",".join(labels)})

    def close(self, known: KnownProposal | KnownIssue, *, why: str) -> None:
        """Say why, and close it."""
        with suppress(LookAgainError):
            self._forge.send("post", f"{self._path}/{known.number}/notes", {"body": why})
        self._put(known.number, {"state_event": "close"})

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._forge.wait(error, tries=tries)

    def _put(self, number: int, body: dict[str, str]) -> None:
        self._forge.send("put", f"{self._path}/{number}", body)


class GitLabProposals(_Threads):
    """A ``proposing.ProposalStore``."""

    def __init__(self, forge: "GitLabForge", root: str) -> None:
        super().__init__(forge, f"{root}/merge_requests")

    def find(self, branch: str, *, base: str) -> KnownProposal | None:
        """Read those of the branch, the newest first."""
        query = {
            "state": "all",
            "source_branch": branch,
            "target_branch": base,
            "order_by": "created_at",
            "sort": "desc",
            "per_page": 100,
        }
        newest = None
        for one in self._forge.walk(self._path, _MergeRequest, query):
            if one.source_project_id != one.target_project_id:
                continue
            if one.state == "opened":
                return _convert(one)
            newest = newest or one
        return None if newest is None else _convert(newest)

    def create(self, wanted: Proposal) -> KnownProposal:
        """Open a merge request; its branch goes with the merge."""
        body = {
            "source_branch": wanted.branch,
            "target_branch": wanted.base,
            "title": wanted.title,
            "description": wanted.body,
            "remove_source_branch": True,
        }
        return _convert(self._forge.ask("post", self._path, _MergeRequest, body))

    def update(self, known: KnownProposal, *, title: str, body: str, sha: str) -> None:
        """Replace title and description."""
        del sha
        self._put(known.number, {"title": title, "description": body})

    def merge_when_ready(self, known: KnownProposal, *, sha: str) -> None:
        """Set it to merge when its pipeline succeeds.

        Without a pipeline that goes on GitLab would merge at once, which nobody asked for.
        """
        path = f"{self._path}/{known.number}"
        unseen = ForgeError(
            f"GitLab has no running pipeline of {sha[:7]} for !{known.number}.",
            hint="The next run tries again; until then anybody who may can set it to merge.",
        )
        for tries in range(LOOKS):
            pipeline = self._forge.ask("get", path, _MergeRequest).head_pipeline
            if pipeline is not None and pipeline.sha == sha:
                break
            if tries == LOOKS - 1:
                raise unseen
            self._forge.wait(unseen, tries=tries)
        if pipeline is None or pipeline.status not in _GOING_ON:
            raise unseen
        # The newer name and the older one for the same.
        body = {"sha": sha, "auto_merge": True, "merge_when_pipeline_succeeds": True}
        self._forge.send("put", f"{path}/merge", body)


class GitLabIssues(_Threads):
    """An ``issuing.IssueStore``."""

    def __init__(self, forge: "GitLabForge", root: str) -> None:
        super().__init__(forge, f"{root}/issues")

    def list_ours(self, marker: str) -> list[KnownIssue]:
        """Read the token's own open issues, the oldest first."""
        query = {
            "state": "opened",
            "scope": "all",
            "author_id": self._forge.user_id,
            "order_by": "created_at",
            "sort": "asc",
            "per_page": 100,
        }
        return [
            _describe(one)
            for one in self._forge.walk(self._path, _Issue, query)
            if has_marker(one.description or "", marker)
            and one.author is not None
            and one.author.id == self._forge.user_id
        ]

    def create(self, title: str, body: str) -> KnownIssue:
        """Open an issue."""
        fields = {"title": title, "description": body}
        return _describe(self._forge.ask("post", self._path, _Issue, fields))

    def update(self, known: KnownIssue, *, title: str, body: str) -> None:
        """Replace title and description."""
        self._put(known.number, {"title": title, "description": body})


def _describe(one: _Issue) -> KnownIssue:
    return KnownIssue(
        number=one.iid,
        url=one.web_url,
        title=one.title,
        body=one.description or "",
        labels=tuple(one.labels),
    )


def _convert(one: _MergeRequest) -> KnownProposal:
    return KnownProposal(
        number=one.iid,
        url=one.web_url,
        state=_STATES.get(one.state, ProposalState.CLOSED),
        head_sha=one.sha or "",
        title=one.title,
        body=one.description or "",
        labels=tuple(one.labels),
        merges_itself=one.merge_when_pipeline_succeeds,
    )
