"""Comments, commit statuses and releases on Gitea and Forgejo, over their REST API."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from modelci.adapters.forge import (
    dispatching,
    gitea_deployments,
    github_artifacts,
)
from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.gitea_lists import walk
from modelci.adapters.forge.gitea_proposals import GiteaIssues, GiteaProposals
from modelci.adapters.forge.gitea_releases import GiteaReleases
from modelci.adapters.forge.gitea_replies import ADVICE, judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.loop import LoopClosing
from modelci.adapters.forge.pictures import name_pictures
from modelci.adapters.forge.publishing import Publishing
from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import (
    NOBODY,
    StickyComment,
    has_marker,
    post,
    retire,
)
from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, UsageError
from modelci.ports import (
    Check,
    CheckStatus,
    ForgeDeployment,
    PostedCheck,
    PostedComment,
    PostedDeployment,
    Progress,
    PullRequest,
    Writer,
)

NAME = "Gitea"
MAX_DESCRIPTION_CHARACTERS = 255
RUNNERS = frozenset({"gitea-actions", "forgejo-actions"})
"""Whose a workflow's own token is; both names are reserved."""

_STATES = {
    CheckStatus.IN_PROGRESS: "pending",
    CheckStatus.SUCCESS: "success",
    CheckStatus.FAILURE: "failure",
    CheckStatus.NEUTRAL: "success",  # a warning would block where the check is required
}


class _User(msgspec.Struct):
    login: str


class _Comment(msgspec.Struct):
    id: int
    html_url: str
    body: str = ""
    user: _User | None = None


class _Repository(msgspec.Struct):
    full_name: str


class _Branch(msgspec.Struct):
    ref: str
    sha: str
    repo: _Repository | None = None  # a deleted fork is null


class _Pull(msgspec.Struct):
    id: int
    number: int
    state: str
    head: _Branch
    base: _Branch


class _Label(msgspec.Struct):
    name: str


class _Labelled(msgspec.Struct):
    merged: bool = False
    labels: list[_Label] | None = None


def connect(settings: ForgeSettings) -> "GiteaForge":
    """Return the repository's forge, without asking it anything yet."""
    if not settings.token:
        raise ForgeDeniedError("There is no token for Gitea.", hint=ADVICE)
    client = ForgeClient(
        NAME,
        settings.api_url,
        settings.token,
        judge=judge,
        progress=settings.progress,
        headers={"Accept": "application/json"},
        budget_seconds=settings.wait_seconds,
    )
    return GiteaForge(
        client, settings.repository or "", progress=settings.progress, login=settings.login
    )


class GiteaForge(LoopClosing, Publishing):
    """One repository on Gitea or Forgejo.

    ``login`` is the name that our comments bear; without it Gitea is asked, once, and only when a
    comment holds the marker.
    """

    name = NAME

    def __init__(
        self,
        client: ForgeClient,
        repository: str,
        *,
        progress: Progress,
        login: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[\w.-]+/(?!\.{1,2}$)[\w.-]+", repository, re.ASCII):
            raise ConfigError(
                f"{repository!r} is no repository on Gitea.",
                hint="It looks like OWNER/NAME; a workflow finds it in GITHUB_REPOSITORY.",
            )
        self._client = client
        self._progress = progress
        self._root = f"/repos/{repository}"
        self._releases = GiteaReleases(client, self._root)
        self._proposals = GiteaProposals(client, self._root)
        self._issues = GiteaIssues(self, client, self._root)
        self._logins = frozenset({login.casefold()}) if login else None

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
        """Keep the rules of ``sticky.post``."""
        store = _Comments(self, self._client, f"{self._root}/issues", number, self._progress)
        return post(store, body, marker=marker, writer=writer, mode=mode, create=create)

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request."""
        try:
            reply = self._client.send("GET", f"{self._root}/pulls/{number}")
        except NotFoundError as error:
            raise UsageError(
                f"Gitea shows no pull request #{number} of {self._root.removeprefix('/repos/')}.",
                hint=error.hint,
            ) from error
        return _describe(self._client.decode(reply, _Pull))

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Return the newest open pull request from that owner's branch with that head."""
        path = f"{self._root}/pulls?state=open"  # the newest first
        for found in walk(self._client, path, _Pull):
            pull = _describe(found)
            theirs = (pull.head_repository or "").partition("/")[0]
            if (pull.head_branch, pull.head_sha) == (branch, sha) and _is_same(theirs, owner):
                return pull
        return None

    def set_check(self, check: Check) -> PostedCheck:
        """Set a commit status, the newest of whose context counts; there are no check runs."""
        body = {
            "state": _STATES[check.status],
            "context": check.name,
            "description": _clip(check.title),
            **({"target_url": check.url} if check.url else {}),
        }
        path = f"{self._root}/statuses/{quote(check.sha, safe='')}"
        self._client.send("POST", path, body, repeatable=True)
        return PostedCheck(kind="commit status", url=check.url)

    def store_pictures(
        self,
        pictures: Mapping[str, bytes],
        *,
        keep_days: int,  # noqa: ARG002
    ) -> Mapping[str, str]:
        """Refuse: Gitea keeps files only with a comment, a release or on a branch."""
        if not name_pictures(pictures):
            return {}
        raise ForgeDeniedError(
            f"Gitea has no place for a comment's pictures ({len(pictures)} here).",
            hint="They are in the report's page: .modelci/report.html, kept as an artifact.",
        )

    def read_artifact(self, run_id: int, name: str, path: str, *, max_bytes: int) -> bytes:
        """Read one file out of a workflow run's artifact: Gitea lists them as GitHub does."""
        try:
            return github_artifacts.read_artifact(
                self._client, self._root, run_id, name, path, max_bytes=max_bytes
            )
        except NotFoundError as error:
            raise ForgeError(
                f"Gitea shows no artifacts of run {run_id}. {error}",
                hint="Gitea has them since 1.24, for artifacts of actions/upload-artifact v4; "
                "Forgejo may not. Else comment in a job of the same run.",
            ) from error

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Return the labels of the pull request that a commit came with, once it is merged."""
        try:
            reply = self._client.send("GET", f"{self._root}/commits/{quote(sha, safe='')}/pull")
        except NotFoundError:
            return ()  # the commit was pushed
        pull = self._client.decode(reply, _Labelled)
        return tuple(sorted({one.name for one in pull.labels or ()})) if pull.merged else ()

    def dispatch(self, workflow: str, *, tag: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow that has the trigger ``workflow_dispatch`` (Gitea 1.24 and later)."""
        ref = f"refs/tags/{tag}"  # a plain name is a branch's
        dispatching.dispatch(self._client, self._root, workflow, ref=ref, inputs=inputs)

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        """Set a commit status: there are no deployments."""
        return gitea_deployments.set_deployment(self._client, self._root, deployment)

    def deployments(
        self,
        environment: str | None = None,  # noqa: ARG002
        *,
        limit: int,  # noqa: ARG002
    ) -> tuple[PostedDeployment, ...]:
        """Refuse: statuses are listed by commit alone."""
        raise ForgeError(
            "Gitea keeps no list of deployments: each is a status of the commit that was deployed.",
            hint="`modelci registry show` tells which commits hold a stage.",
        )

    def is_us(self, user: _User | None) -> bool:
        """Whether a user is the token's."""
        return self.is_login(user.login if user else None)

    def is_login(self, login: str | None) -> bool:
        """Whether a name is that of the token's user."""
        if login is None:
            return False
        if self._logins is None:
            self._logins = self._ask_logins()
        return login.casefold() in self._logins

    def _ask_logins(self) -> frozenset[str]:
        try:
            reply = self._client.send("GET", "/user")
        except (NotFoundError, ForgeDeniedError) as error:
            if "does not accept the token" in str(error):
                raise
            return RUNNERS  # some versions do not tell a workflow's token who it is
        return frozenset({self._client.decode(reply, _User).login.casefold()})


class _Comments:
    """The comments of one pull request, as ``sticky.post`` wants them."""

    def __init__(
        self, forge: GiteaForge, client: ForgeClient, issues: str, number: int, progress: Progress
    ) -> None:
        self._forge = forge
        self._client = client
        self._issues = issues
        self._number = number
        self._progress = progress

    def check(self, body: str) -> None:
        """Take any text: Gitea's column holds more than a report may have."""

    def list_ours(self, marker: str) -> Sequence[StickyComment]:
        """Return our own comments with the marker, the oldest first."""
        return [
            StickyComment(key=one.id, url=one.html_url, body=one.body)
            for one in walk(self._client, self._path, _Comment)
            if has_marker(one.body, marker) and self._forge.is_us(one.user)
        ]

    def create(self, body: str) -> str:
        """Create a comment."""
        made = self._client.send("POST", self._path, {"body": body})
        return self._client.decode(made, _Comment).html_url

    def update(self, comment: StickyComment, body: str) -> str:
        """Replace a comment's text."""
        self._client.send("PATCH", f"{self._issues}/comments/{comment.key}", {"body": body})
        return comment.url

    def delete(self, comment: StickyComment) -> None:
        """Delete a comment."""
        try:
            self._client.send("DELETE", f"{self._issues}/comments/{comment.key}")
        except NotFoundError:
            return

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        """Fold a comment's text: the API has nothing to hide one by."""
        self.update(comment, retire(comment.body, marker, collapse=True))

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._client.wait(error, tries=tries)

    def warn(self, text: str) -> None:
        """Say what did not work."""
        self._progress.warn(text)

    @property
    def _path(self) -> str:
        return f"{self._issues}/{self._number}/comments"


def _is_same(one: str, other: str) -> bool:
    """Whether two names are one account's."""
    return one.casefold() == other.casefold()


def _describe(found: _Pull) -> PullRequest:
    return PullRequest(
        number=found.number,
        head_sha=found.head.sha,
        head_branch=found.head.ref,
        head_repository=found.head.repo.full_name if found.head.repo else None,
        base_branch=found.base.ref,
        is_open=found.state == "open",
    )


def _clip(text: str) -> str:
    limit = MAX_DESCRIPTION_CHARACTERS
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
