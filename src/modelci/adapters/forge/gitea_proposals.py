"""Pull requests and issues that we open on Gitea and Forgejo."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.gitea_lists import walk
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.issuing import KnownIssue
from modelci.adapters.forge.proposing import KnownProposal
from modelci.adapters.forge.sticky import has_marker
from modelci.errors import ForgeError
from modelci.ports import Proposal, ProposalState

if TYPE_CHECKING:
    from modelci.adapters.forge.gitea import GiteaForge

MAX_CHARACTERS = 1_000_000
MAX_CLOSED = 500
"""Among so many of the newest pull requests one is looked for that is no longer open."""

COLOUR = "#6e7781"


class _User(msgspec.Struct):
    login: str


class _Label(msgspec.Struct):
    id: int
    name: str


class _Ref(msgspec.Struct):
    ref: str
    sha: str
    label: str = ""  # keeps the name of a branch that was deleted
    repo_id: int | None = None


class _Pull(msgspec.Struct):
    id: int
    number: int
    title: str
    html_url: str
    state: str
    head: _Ref
    base: _Ref
    body: str = ""
    merged: bool = False
    labels: list[_Label] | None = None


class _Issue(msgspec.Struct):
    id: int
    number: int
    title: str
    html_url: str
    body: str = ""
    labels: list[_Label] | None = None
    user: _User | None = None
    pull_request: object = None


class _Branch(msgspec.Struct):
    enable_status_check: bool = False


class _Threads:
    """What pull requests and issues share; a pull request's labels are those of its issue."""

    max_characters = MAX_CHARACTERS

    def __init__(self, client: ForgeClient, root: str, kind: str) -> None:
        self._client = client
        self._root = root
        self._path = f"{root}/{kind}"

    def label(self, known: KnownProposal | KnownIssue, labels: Sequence[str]) -> None:
        """Add labels, and make those that the repository lacks."""
        ids = {one.name: one.id for one in walk(self._client, f"{self._root}/labels", _Label)}
        for name in labels:
            if name not in ids:
                body = {"name": name, "color": COLOUR}
                reply = self._client.send("POST", f"{self._root}/labels", body)
                ids[name] = self._client.decode(reply, _Label).id
        path = f"{self._root}/issues/{known.number}/labels"
        self._client.send("POST", path, {"labels": [ids[one] for one in labels]}, repeatable=True)

    def close(self, known: KnownProposal | KnownIssue, *, why: str) -> None:
        """Say why, and close it."""
        path = f"{self._root}/issues/{known.number}/comments"
        with suppress(LookAgainError):
            self._client.send("POST", path, {"body": why})
        self._patch(known.number, {"state": "closed"})

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._client.wait(error, tries=tries)

    def _patch(self, number: int, body: dict[str, str]) -> None:
        self._client.send("PATCH", f"{self._path}/{number}", body)


class GiteaProposals(_Threads):
    """A ``proposing.ProposalStore``; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, client: ForgeClient, root: str) -> None:
        super().__init__(client, root, "pulls")

    def find(self, branch: str, *, base: str) -> KnownProposal | None:
        """Read the open ones, and then the newest of all: there is no filter by branch."""
        opened = walk(self._client, f"{self._path}?state=open", _Pull)
        closed = islice(walk(self._client, f"{self._path}?state=closed", _Pull), MAX_CLOSED)
        for pull in chain(opened, closed):
            is_here = pull.head.repo_id == pull.base.repo_id
            if is_here and branch in {pull.head.ref, pull.head.label} and pull.base.ref == base:
                return _convert(pull)
        return None

    def create(self, wanted: Proposal) -> KnownProposal:
        """Open a pull request."""
        body = {
            "head": wanted.branch,
            "base": wanted.base,
            "title": wanted.title,
            "body": wanted.body,
        }
        reply = self._client.send("POST", self._path, body)
        return _convert(self._client.decode(reply, _Pull))

    def update(self, known: KnownProposal, *, title: str, body: str, sha: str) -> None:
        """Replace title and text."""
        del sha
        self._patch(known.number, {"title": title, "body": body})

    def merge_when_ready(self, known: KnownProposal, *, sha: str) -> None:
        """Have it merged when its checks succeed.

        Without required checks Gitea would merge at once, which nobody asked for.
        """
        where = f"{self._root}/branches/{quote(known.key, safe='')}"
        found = self._client.decode(self._client.send("GET", where), _Branch)
        if not found.enable_status_check:
            raise ForgeError(
                f"{known.key} requires no status check, so Gitea would merge at once.",
                hint="Protect it (Settings > Branches) with modelci's check as a required one.",
            )
        body = {"Do": "merge", "merge_when_checks_succeed": True, "head_commit_id": sha}
        try:
            self._client.send("POST", f"{self._path}/{known.number}/merge", body)
        except LookAgainError as error:
            if "already scheduled" not in str(error):
                raise


class GiteaIssues(_Threads):
    """An ``issuing.IssueStore``; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, forge: "GiteaForge", client: ForgeClient, root: str) -> None:
        super().__init__(client, root, "issues")
        self._forge = forge

    def list_ours(self, marker: str) -> list[KnownIssue]:
        """Read every page of the open ones."""
        found = [
            one
            for one in walk(self._client, f"{self._path}?state=open&type=issues", _Issue)
            if one.pull_request is None
            and has_marker(one.body, marker)
            and self._forge.is_login(one.user.login if one.user else None)
        ]
        return [_describe(one) for one in sorted(found, key=lambda one: one.number)]

    def create(self, title: str, body: str) -> KnownIssue:
        """Open an issue."""
        reply = self._client.send("POST", self._path, {"title": title, "body": body})
        return _describe(self._client.decode(reply, _Issue))

    def update(self, known: KnownIssue, *, title: str, body: str) -> None:
        """Replace title and text."""
        self._patch(known.number, {"title": title, "body": body})


def _describe(one: _Issue) -> KnownIssue:
    return KnownIssue(
        number=one.number,
        url=one.html_url,
        title=one.title,
        body=one.body,
        labels=tuple(label.name for label in one.labels or ()),
    )


def _convert(pull: _Pull) -> KnownProposal:
    state = ProposalState.OPEN if pull.state == "open" else ProposalState.CLOSED
    return KnownProposal(
        number=pull.number,
        url=pull.html_url,
        state=ProposalState.MERGED if pull.merged else state,
        head_sha=pull.head.sha,
        title=pull.title,
        body=pull.body,
        labels=tuple(label.name for label in pull.labels or ()),
        key=pull.base.ref,
    )
