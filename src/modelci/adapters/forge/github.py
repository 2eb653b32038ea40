"""Comments and releases on GitHub, GitHub Enterprise Server and ghe.com, over the REST API."""

import re
from collections.abc import Iterator
from itertools import count
from urllib.parse import quote

import msgspec

from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import has_marker, mark, normalize
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError
from modelci.ports import PostedComment, PostedRelease

MAX_COMMENT_CHARACTERS = 65_536
MAX_PAGES = 100
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
ACTIONS_LOGIN = "github-actions[bot]"

_COMMENTING = "pull-requests: write"
_RELEASING = "contents: write"


class _User(msgspec.Struct):
    login: str


class _Comment(msgspec.Struct):
    id: int
    html_url: str
    body: str | None = None
    user: _User | None = None  # a deleted account is null


class _Release(msgspec.Struct):
    id: int
    html_url: str
    name: str | None = None
    body: str | None = None


class _Data(msgspec.Struct):
    viewer: _User


class _Viewer(msgspec.Struct):
    data: _Data


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
        # Should GraphQL not tell: an installation's token in a workflow is nearly always its own.
        likely_login=ACTIONS_LOGIN if settings.token.startswith("ghs_") else None,
    )


class GitHubForge:
    """One repository on GitHub.

    ``login`` is the name that our comments bear; without it GitHub is asked, once, and only when
    a comment holds the marker. ``likely_login`` stands in where GitHub does not tell.
    """

    name = "GitHub"

    def __init__(
        self,
        client: ForgeClient,
        repository: str,
        *,
        login: str | None = None,
        likely_login: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[\w-]+/(?!\.{1,2}$)[\w.-]+", repository, re.ASCII):
            raise ConfigError(
                f"{repository!r} is no repository on GitHub.",
                hint="It looks like OWNER/NAME; a workflow finds it in GITHUB_REPOSITORY.",
            )
        self._client = client
        self._root = f"/repos/{repository}"
        self._login = login
        self._likely_login = likely_login

    def upsert_comment(self, number: int, body: str, *, marker: str) -> PostedComment:
        """Update our comment on a pull request, create it, or leave an equal one alone.

        Ours is the one with ``marker`` as a line of its own *and* that we wrote: a marker alone
        can be pasted by anyone. Of several, the oldest is kept up to date.
        """
        body = mark(body, marker)
        if len(body) > MAX_COMMENT_CHARACTERS:
            raise ForgeError(
                f"The comment has {len(body):,} characters; GitHub takes "
                f"{MAX_COMMENT_CHARACTERS:,}.",
                hint="Lower `report.max_bytes` in modelci.yaml.",
            )
        for tries in count():
            ours = self._find_comment(number, marker)
            if ours is not None:
                return self._update_comment(ours, body, was_sent=tries > 0)
            try:
                made = self._client.send(
                    "POST", self._comments(number), {"body": body}, needs=_COMMENTING
                )
            except LookAgainError as error:
                self._client.wait(error, tries=tries)
            else:
                url = self._client.decode(made, _Comment).html_url
                return PostedComment(url=url, action="created")
        raise AssertionError  # unreachable: count() never ends

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

    def _comments(self, number: int) -> str:
        return f"{self._root}/issues/{number}/comments"

    def _find_comment(self, number: int, marker: str) -> _Comment | None:
        """Return our oldest comment with that marker; GitHub lists the oldest first."""
        for comment in self._list_comments(number):
            if has_marker(comment.body or "", marker) and self._is_ours(comment):
                return comment
        return None

    def _list_comments(self, number: int) -> Iterator[_Comment]:
        following = f"{self._comments(number)}?per_page=100"
        for _ in range(MAX_PAGES):
            reply = self._client.send("GET", following, needs=_COMMENTING)
            yield from self._client.decode(reply, list[_Comment])
            following = reply.links.get("next", {}).get("url", "")
            if not following:
                return
        raise ForgeError(f"GitHub lists more than {MAX_PAGES} pages of comments.")

    def _is_ours(self, comment: _Comment) -> bool:
        if comment.user is None:
            return False
        if self._login is None:
            self._login = self._ask_login()
        return comment.user.login.casefold() == self._login.casefold()

    def _ask_login(self) -> str:
        """Ask who we are: ``GET /user`` refuses the tokens of workflows and apps, this does not."""
        # Enterprise Server has REST below /api/v3 and GraphQL at /api/graphql.
        root = str(self._client.url("")).rstrip("/").removesuffix("/v3")
        query = {"query": "query { viewer { login } }"}
        try:
            reply = self._client.send("POST", f"{root}/graphql", query, repeatable=True)
            return self._client.decode(reply, _Viewer).data.viewer.login
        except ForgeError as error:
            if self._likely_login is not None:
                return self._likely_login
            raise ForgeError(
                f"GitHub does not tell whose token this is, so that our comment cannot be told "
                f"from a copy of it. {error}",
                hint=error.hint,
            ) from error

    def _update_comment(self, ours: _Comment, body: str, *, was_sent: bool) -> PostedComment:
        if normalize(ours.body or "") == normalize(body):
            # After a reply that got lost, finding it is the proof that it was created.
            return PostedComment(url=ours.html_url, action="created" if was_sent else "unchanged")
        path = f"{self._root}/issues/comments/{ours.id}"
        reply = self._client.send("PATCH", path, {"body": body}, needs=_COMMENTING)
        return PostedComment(url=self._client.decode(reply, _Comment).html_url, action="updated")

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
