"""Pull requests and issues that we open on GitHub."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from urllib.parse import quote

import msgspec

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.github_identity import Identity, User, ask_graphql
from modelci.adapters.forge.github_lists import pages
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.issuing import KnownIssue
from modelci.adapters.forge.proposing import KnownProposal
from modelci.adapters.forge.sticky import has_marker
from modelci.errors import ForgeDeniedError, ForgeError
from modelci.ports import Proposal, ProposalState

MAX_CHARACTERS = 65_536
MAX_PAGES = 100

_PULLS = "pull-requests: write"
_ISSUES = "issues: write"
_METHOD = """\
query($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) { viewerDefaultMergeMethod }
}"""
_MERGE = """\
mutation($id: ID!, $sha: GitObjectID!, $method: PullRequestMergeMethod!) {
  enablePullRequestAutoMerge(
    input: {pullRequestId: $id, expectedHeadOid: $sha, mergeMethod: $method}
  ) { clientMutationId }
}"""
_MAY_CREATE = (
    "Let Actions open pull requests (Settings > Actions > General > Workflow permissions, “Allow "
    "GitHub Actions to create and approve pull requests”), or give the job the token of a GitHub "
    "App, whose pull requests start workflows, too."
)
_MAY_MERGE = (
    "Allow auto-merge (Settings > General > Pull Requests), and protect the base branch with the "
    "check of modelci as a required one: GitHub waits for nothing else."
)


class _Label(msgspec.Struct):
    name: str = ""


class _Ref(msgspec.Struct):
    ref: str
    sha: str
    user: User | None = None


class _Pull(msgspec.Struct):
    number: int
    node_id: str
    html_url: str
    state: str
    title: str
    head: _Ref
    base: _Ref
    body: str | None = None
    merged_at: str | None = None
    labels: list[_Label] = []
    auto_merge: Mapping[str, object] | None = None


class _Issue(msgspec.Struct):
    number: int
    html_url: str
    title: str
    body: str | None = None
    user: User | None = None
    labels: list[_Label | str] = []
    pull_request: Mapping[str, object] | None = None


class _Repository(msgspec.Struct, rename="camel"):
    viewer_default_merge_method: str


class _Answer(msgspec.Struct):
    repository: _Repository


class _Threads:
    """What pull requests and issues share: labels, comments, and their end."""

    max_characters = MAX_CHARACTERS

    def __init__(self, client: ForgeClient, root: str, *, needs: str) -> None:
        self._client = client
        self._root = root
        self._needs = needs

    def label(self, known: KnownProposal | KnownIssue, labels: Sequence[str]) -> None:
        """Add labels; GitHub makes those that the repository lacks."""
        path = f"{self._root}/issues/{known.number}/labels"
        body = {"labels": list(labels)}
        self._client.send("POST", path, body, needs=self._needs, repeatable=True)

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause out of the client's budget."""
        self._client.wait(error, tries=tries)

    def _say(self, number: int, text: str) -> None:
        path = f"{self._root}/issues/{number}/comments"
        with suppress(LookAgainError):  # it is there, or not worth a second one
            self._client.send("POST", path, {"body": text}, needs=self._needs)


class GitHubProposals(_Threads):
    """A ``proposing.ProposalStore``; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, client: ForgeClient, root: str) -> None:
        super().__init__(client, root, needs=_PULLS)
        _, _, self._owner, self._name = root.split("/")

    def find(self, branch: str, *, base: str) -> KnownProposal | None:
        """Ask for those of the branch; GitHub ignores what it does not understand in a filter."""
        head = quote(f"{self._owner}:{branch}", safe="")
        query = (
            f"state=all&head={head}&base={quote(base, safe='')}"
            "&sort=created&direction=desc&per_page=100"
        )
        reply = self._client.send("GET", f"{self._root}/pulls?{query}", needs=_PULLS)
        found = [
            _convert(pull)
            for pull in self._client.decode(reply, list[_Pull])
            if (pull.head.ref, pull.base.ref) == (branch, base) and self._is_here(pull)
        ]
        opened = (one for one in found if one.state is ProposalState.OPEN)
        return next(opened, found[0] if found else None)

    def create(self, wanted: Proposal) -> KnownProposal:
        """Open a pull request."""
        body = {
            "title": wanted.title,
            "head": wanted.branch,
            "base": wanted.base,
            "body": wanted.body,
        }
        try:
            reply = self._client.send("POST", f"{self._root}/pulls", body, needs=_PULLS)
        except ForgeDeniedError as error:
            if "not permitted to create" not in str(error):
                raise
            raise ForgeDeniedError(str(error), hint=_MAY_CREATE) from error
        except ForgeError as error:
            if "already exists" not in str(error):
                raise
            raise LookAgainError(str(error), hint=error.hint) from error
        return _convert(self._client.decode(reply, _Pull))

    def update(self, known: KnownProposal, *, title: str, body: str, sha: str) -> None:
        """Replace title and text."""
        del sha
        self._patch(known, {"title": title, "body": body})

    def merge_when_ready(self, known: KnownProposal, *, sha: str) -> None:
        """Enable auto-merge, which GitHub refuses where nothing is required of the base."""
        try:
            here: dict[str, object] = {"owner": self._owner, "name": self._name}
            found = ask_graphql(self._client, _METHOD, here, kind=_Answer)
            method = found.repository.viewer_default_merge_method
            variables: dict[str, object] = {"id": known.key, "sha": sha, "method": method}
            ask_graphql(self._client, _MERGE, variables, kind=dict)
        except ForgeError as error:
            raise ForgeError(str(error), hint=_MAY_MERGE) from error

    def close(self, known: KnownProposal, *, why: str) -> None:
        """Say why, and close it."""
        self._say(known.number, why)
        self._patch(known, {"state": "closed"})

    def _patch(self, known: KnownProposal, body: Mapping[str, str]) -> None:
        self._client.send("PATCH", f"{self._root}/pulls/{known.number}", body, needs=_PULLS)

    def _is_here(self, pull: _Pull) -> bool:
        user = pull.head.user
        return user is not None and user.login.casefold() == self._owner.casefold()


class GitHubIssues(_Threads):
    """An ``issuing.IssueStore``; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, client: ForgeClient, root: str, identity: Identity) -> None:
        super().__init__(client, root, needs=_ISSUES)
        self._identity = identity

    def list_ours(self, marker: str) -> list[KnownIssue]:
        """Read every page: a label, which is the only filter, may be missing from one of ours."""
        return [
            KnownIssue(
                number=one.number,
                url=one.html_url,
                title=one.title,
                body=one.body or "",
                labels=tuple(_name(label) for label in one.labels),
            )
            for one in self._list()
            if one.pull_request is None
            and has_marker(one.body or "", marker)
            and self._identity.owns(one.user)
        ]

    def create(self, title: str, body: str) -> KnownIssue:
        """Open an issue."""
        path, fields = f"{self._root}/issues", {"title": title, "body": body}
        reply = self._client.send("POST", path, fields, needs=_ISSUES)
        made = self._client.decode(reply, _Issue)
        return KnownIssue(number=made.number, url=made.html_url, title=title, body=body)

    def update(self, known: KnownIssue, *, title: str, body: str) -> None:
        """Replace title and text."""
        self._patch(known, {"title": title, "body": body})

    def close(self, known: KnownIssue, *, why: str) -> None:
        """Say why, and close it."""
        self._say(known.number, why)
        self._patch(known, {"state": "closed", "state_reason": "completed"})

    def _patch(self, known: KnownIssue, body: Mapping[str, str]) -> None:
        self._client.send("PATCH", f"{self._root}/issues/{known.number}", body, needs=_ISSUES)

    def _list(self) -> Iterator[_Issue]:
        listed = f"{self._root}/issues?state=open&sort=created&direction=asc&per_page=100"
        found = pages(
            self._client, listed, _Issue, needs=_ISSUES, most=MAX_PAGES, what="open issues"
        )
        return chain.from_iterable(found)


def _name(label: _Label | str) -> str:
    return label if isinstance(label, str) else label.name


def _convert(pull: _Pull) -> KnownProposal:
    state = ProposalState.OPEN if pull.state == "open" else ProposalState.CLOSED
    return KnownProposal(
        number=pull.number,
        url=pull.html_url,
        state=ProposalState.MERGED if pull.merged_at else state,
        head_sha=pull.head.sha,
        title=pull.title,
        body=pull.body or "",
        labels=tuple(label.name for label in pull.labels),
        merges_itself=pull.auto_merge is not None,
        key=pull.node_id,
    )
