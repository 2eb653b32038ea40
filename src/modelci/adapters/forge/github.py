"""GitHub, GitHub Enterprise Server and ghe.com, over the REST API."""

import re
import time
from collections.abc import Callable, Mapping

import httpx

from modelci.adapters.forge import (
    deploying,
    dispatching,
    github_artifacts,
)
from modelci.adapters.forge.github_checks import GitHubChecks
from modelci.adapters.forge.github_comments import GitHubComments
from modelci.adapters.forge.github_deployments import READ, GitHubDeployments
from modelci.adapters.forge.github_identity import Identity
from modelci.adapters.forge.github_pictures import GitHubPictures
from modelci.adapters.forge.github_proposals import GitHubIssues, GitHubProposals
from modelci.adapters.forge.github_pulls import GitHubPulls
from modelci.adapters.forge.github_releases import GitHubReleases, find_uploads_url
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.loop import LoopClosing
from modelci.adapters.forge.publishing import Publishing
from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import NOBODY, post
from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeDeniedError
from modelci.ports import (
    Check,
    ForgeDeployment,
    PostedCheck,
    PostedComment,
    PostedDeployment,
    PullRequest,
    Writer,
)

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
ACTIONS_LOGIN = "github-actions[bot]"


def connect(settings: ForgeSettings) -> "GitHubForge":
    """Return the repository's forge, without asking it anything yet."""
    if not settings.token:
        raise ForgeDeniedError(
            "There is no token for GitHub.",
            hint="In a workflow, set `GITHUB_TOKEN: ${{ github.token }}` in the step's `env:`.",
        )
    client = ForgeClient(
        "GitHub",
        settings.api_url,
        settings.token,
        judge=judge,
        progress=settings.progress,
        headers=HEADERS,
        budget_seconds=settings.wait_seconds,
        uploads=find_uploads_url(settings.api_url),
    )
    return GitHubForge(
        client,
        settings.repository or "",
        login=settings.login,
        server_url=settings.server_url,
        # Should GraphQL not tell: an installation's token in a workflow is nearly always its own.
        likely_login=ACTIONS_LOGIN if settings.token.startswith("ghs_") else None,
    )


def find_server_url(api_url: str) -> str:
    """Return where people look at what the API at ``api_url`` is of.

    https://api.github.com → https://github.com, https://HOST/api/v3 → https://HOST,
    https://api.SUB.ghe.com → https://SUB.ghe.com.
    """
    root = api_url.rstrip("/")
    if root.endswith("/api/v3"):
        return root.removesuffix("/api/v3")
    url = httpx.URL(root)
    return str(url.copy_with(host=url.host.removeprefix("api."))).rstrip("/")


class GitHubForge(LoopClosing, Publishing):
    """One repository on GitHub.

    ``login`` is the name that our comments bear; without it GitHub is asked, once, and only when
    it must be known. ``likely_login`` stands in where GitHub does not tell. ``server_url`` is
    where people look, if not where the API's URL says. ``clock`` gives Unix time.
    """

    name = "GitHub"

    def __init__(
        self,
        client: ForgeClient,
        repository: str,
        *,
        login: str | None = None,
        likely_login: str | None = None,
        server_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not re.fullmatch(r"[\w-]+/(?!\.{1,2}$)[\w.-]+", repository, re.ASCII):
            raise ConfigError(
                f"{repository!r} is no repository on GitHub.",
                hint="It looks like OWNER/NAME; a workflow finds it in GITHUB_REPOSITORY.",
            )
        server = (server_url or find_server_url(str(client.url("")))).rstrip("/")
        self._client = client
        self._root = root = f"/repos/{repository}"
        self._identity = Identity(client, login, likely=likely_login)
        self._pulls = GitHubPulls(client, root, self._identity)
        self._proposals = GitHubProposals(client, root)
        self._issues = GitHubIssues(client, root, self._identity)
        self._checks = GitHubChecks(client, root)
        self._releases = GitHubReleases(client, root)
        self._pages = pages = f"{server}/{repository}"
        self._pictures = GitHubPictures(client, root, pages=pages, clock=clock)

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
        """Write our comment on a pull request, by the rules of ``sticky``.

        Ours is the one with ``marker`` as a line of its own *and* that we wrote: a marker alone
        can be pasted by anyone.
        """
        store = GitHubComments(self._client, self._root, number, self._identity)
        return post(store, body, marker=marker, writer=writer, mode=mode, create=create)

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request; UsageError where there is none of that number."""
        return self._pulls.read(number)

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Return the open pull request from that branch with that head, the newest of several."""
        return self._pulls.find(owner=owner, branch=branch, sha=sha)

    def set_check(self, check: Check) -> PostedCheck:
        """Create or update the check run of that name, else the commit status."""
        return self._checks.set(check)

    def store_pictures(self, pictures: Mapping[str, bytes], *, keep_days: int) -> Mapping[str, str]:
        """Store pictures in a branch of the repository, ``modelci/pictures-YYYY-MM``."""
        return self._pictures.store(pictures, keep_days=keep_days)

    def read_artifact(self, run_id: int, name: str, path: str, *, max_bytes: int) -> bytes:
        """Read one file out of a workflow run's artifact."""
        return github_artifacts.read_artifact(
            self._client, self._root, run_id, name, path, max_bytes=max_bytes
        )

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Return the labels of the merged pull requests that a commit belongs to."""
        return self._pulls.labels_of(sha)

    def dispatch(self, workflow: str, *, tag: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow that has the trigger ``workflow_dispatch``."""
        dispatching.dispatch(self._client, self._root, workflow, ref=tag, inputs=inputs)

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        """Keep the rules of ``deploying``, with GitHub's deployments and their statuses."""
        store = GitHubDeployments(self._client, self._root, pages=self._pages)
        return deploying.set_deployment(store, deployment)

    def deployments(
        self, environment: str | None = None, *, limit: int
    ) -> tuple[PostedDeployment, ...]:
        """Return our newest deployments; each takes a request for its status."""
        store = GitHubDeployments(self._client, self._root, pages=self._pages, needs=READ)
        return deploying.list_deployments(store, environment, limit)
