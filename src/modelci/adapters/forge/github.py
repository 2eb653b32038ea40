"""GitHub, GitHub Enterprise Server and ghe.com, over the REST API."""

import re
import time
from collections.abc import Callable, Mapping
from itertools import count
from urllib.parse import quote

import httpx
import msgspec

from modelci.adapters.forge import github_artifacts
from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.github_checks import GitHubChecks
from modelci.adapters.forge.github_comments import GitHubComments
from modelci.adapters.forge.github_identity import Identity
from modelci.adapters.forge.github_pictures import GitHubPictures
from modelci.adapters.forge.github_pulls import GitHubPulls
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import NOBODY, normalize, post
from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeDeniedError
from modelci.ports import (
    Check,
    PostedCheck,
    PostedComment,
    PostedRelease,
    PullRequest,
    Writer,
)

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
ACTIONS_LOGIN = "github-actions[bot]"

_RELEASING = "contents: write"


class _Release(msgspec.Struct):
    id: int
    html_url: str
    name: str | None = None
    body: str | None = None


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


class GitHubForge:
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
        self._checks = GitHubChecks(client, root)
        self._pictures = GitHubPictures(client, root, pages=f"{server}/{repository}", clock=clock)

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

    def publish_release(self, tag: str, *, title: str, body: str) -> PostedRelease:
        """Create the release of a tag that GitHub has, or bring its title and text up to date."""
        wanted = {"name": title, "body": body}
        for tries in count():
            known = self._find_release(tag)
            if known is not None:
                return PostedRelease(tag=tag, url=self._update_release(known, wanted).html_url)
            self._require_tag(tag)
            try:
                made = self._client.send(
                    "POST",
                    f"{self._root}/releases",
                    {"tag_name": tag, **wanted},
                    needs=_RELEASING,
                )
            except LookAgainError as error:
                self._client.wait(error, tries=tries)
            else:
                return PostedRelease(tag=tag, url=self._client.decode(made, _Release).html_url)
        raise AssertionError  # unreachable: count() never ends

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        """Do nothing: GitHub has the tag since it was pushed."""

    def _find_release(self, tag: str) -> _Release | None:
        path = f"{self._root}/releases/tags/{quote(tag, safe='')}"
        try:
            reply = self._client.send("GET", path, needs=_RELEASING)
        except NotFoundError:
            return None
        return self._client.decode(reply, _Release)

    def _update_release(self, known: _Release, wanted: dict[str, str]) -> _Release:
        if (known.name, normalize(known.body or "")) == (wanted["name"], normalize(wanted["body"])):
            return known
        path = f"{self._root}/releases/{known.id}"
        reply = self._client.send("PATCH", path, wanted, needs=_RELEASING)
        return self._client.decode(reply, _Release)

    def _require_tag(self, tag: str) -> None:
        """Refuse a missing tag: GitHub would make a light one, on the default branch."""
        try:
            self._client.send(
                "GET", f"{self._root}/git/ref/tags/{quote(tag, safe='')}", needs=_RELEASING
            )
        except NotFoundError as error:
            raise NotFoundError(
                f"GitHub has no tag {tag} to release, or hides the repository from this token.",
                hint=f"Push it first: git push origin {tag}",
            ) from error
