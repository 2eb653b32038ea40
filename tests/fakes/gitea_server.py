"""A small Gitea on loopback: comments, statuses, tags and releases of one repository.

Shapes are those of Gitea's own API description (Comment, PullRequest, CommitStatus, Release); a
field that it does not name is refused, which the real one would only ignore.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.forge_server import ForgeServer, Reply, Request, Route, page, serve

__all__ = ["BOT", "FORK", "REPOSITORY", "SHA", "TOKEN", "FakeGitea", "serve"]

REPOSITORY = "acme/credit"
FORK = "eve/credit"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
BOT = "Robot"
SHA = "a" * 40

_NOT_FOUND = Reply(status=404, body={"message": "not found", "url": "/api/swagger"})


@dataclass(kw_only=True)
class FakeGitea(ForgeServer):
    """One repository; ``has_comment_pages`` is what newer versions have."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    has_comment_pages: bool = False
    tells_totals: bool = True
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    required_checks: bool = True
    labels: list[str] = field(default_factory=list)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    scheduled: list[int] = field(default_factory=list)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)

    dispatches: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    api: str = "/api/v1"

    def __post_init__(self) -> None:
        self.routes = ROUTES
        for number in (7, 8):
            self.add_pull(number)

    @property
    def site(self) -> str:
        return f"{self.url}{self.prefix}"

    def answer(self, request: Request) -> Reply | None:
        found = re.fullmatch(
            f"{self.prefix}/{REPOSITORY}/releases/download/(\\d+)/.+", request.path
        )
        if found is None:
            return super().answer(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        data = self.files.get(int(found[1])) if token in self.users else None
        return _NOT_FOUND if data is None else Reply(body=data)

    def add_pull(
        self, number: int, *, sha: str = SHA, repository: str | None = REPOSITORY, **more: object
    ) -> dict[str, Any]:
        pull: dict[str, Any] = {
            "id": 9000 + number,
            "number": number,
            "title": "Train longer",
            "html_url": f"{self.site}/{REPOSITORY}/pulls/{number}",
            "body": "",
            "labels": [],
            "state": "open",
            "merged": False,
            "head": {
                "label": "feature",
                "ref": "feature",
                "sha": sha,
                "repo_id": 1 if repository == REPOSITORY else 2,
                "repo": repository and {"id": 1, "full_name": repository},
            },
            "base": {
                "ref": "main",
                "sha": "b" * 40,
                "repo_id": 1,
                "repo": {"id": 1, "full_name": REPOSITORY},
            },
            **more,
        }
        self.pulls[number] = pull
        return pull

    def add_comment(self, number: int, body: str, *, author: str | None) -> dict[str, Any]:
        comment = {
            "id": (id_ := next(self.ids)),
            "html_url": f"{self.site}/{REPOSITORY}/pulls/{number}#issuecomment-{id_}",
            "pull_request_url": f"{self.site}/{REPOSITORY}/pulls/{number}",
            "issue_url": "",
            "user": author and {"id": 1, "login": author, "full_name": ""},
            "original_author": "",
            "original_author_id": 0,
            "body": body,
            "assets": [],
            "created_at": "2026-11-23T19:00:00Z",
            "updated_at": "2026-11-23T19:00:00Z",
        }
        self.comments.setdefault(number, []).append(comment)
        return comment

    def get_pull_of(self, request: Request) -> Reply:
        sha = request.arguments[-1]
        found = [one for one in self.pulls.values() if one.get("merge_commit_sha") == sha]
        return Reply(body=found[0]) if found else _NOT_FOUND

    def dispatch(self, request: Request) -> Reply:
        refused = _refuse(request.body, {"ref", "inputs"}, {"ref"})
        if refused or request.arguments[-1] != "deploy.yml":
            return refused or _NOT_FOUND
        if not request.body["ref"].startswith("refs/tags/"):
            return _NOT_FOUND  # a name is a branch's
        tag = request.body["ref"].removeprefix("refs/tags/")
        self.dispatches.append(("deploy.yml", tag, request.body["inputs"]))
        return Reply(status=204)

    def asked(self) -> list[str]:
        return [one.replace(f"/repos/{REPOSITORY}", "") for one in super().asked()]

    def get_user(self, request: Request) -> Reply:
        return Reply(body={"id": 1, "login": request.user, "is_admin": False})

    def get_pull(self, request: Request) -> Reply:
        found = self.pulls.get(int(request.arguments[0]))
        return Reply(body=found) if found else _NOT_FOUND

    def list_pulls(self, request: Request) -> Reply:
        """Return the newest first, as Gitea does where no ``sort`` is asked for."""
        state = request.query.get("state", "open")
        found = [one for one in self.pulls.values() if state in {"all", one["state"]}]
        return self._page(request, sorted(found, key=lambda one: -one["id"]))

    def create_pull(self, request: Request) -> Reply:
        known = {"head", "base", "title", "body", "labels"}
        refused = _refuse(request.body, known, {"head", "base", "title"})
        if refused or request.body["head"] not in self.branches:
            return refused or _NOT_FOUND
        head, base = request.body["head"], request.body["base"]
        for one in self.pulls.values():
            if (one["state"], one["head"]["ref"], one["base"]["ref"]) == ("open", head, base):
                return Reply(status=409, body={"message": "pull request already exists"})
        number = max([*self.pulls, *self.issues]) + 1
        pull = self.add_pull(number, sha=self.branches[head])
        pull.update(title=request.body["title"], body=request.body["body"])
        pull["head"].update(ref=head, label=head)
        pull["base"]["ref"] = base
        return Reply(status=201, body=pull)

    def update_thread(self, request: Request) -> Reply:
        number = int(request.arguments[0])
        found = self.pulls.get(number) or self.issues.get(number)
        refused = _refuse(request.body, {"title", "body", "state"}, set())
        if refused or found is None:
            return refused or _NOT_FOUND
        found.update(request.body)
        return Reply(status=201, body=found)

    def get_branch(self, request: Request) -> Reply:
        return Reply(
            body={"name": request.arguments[0], "enable_status_check": self.required_checks}
        )

    def merge(self, request: Request) -> Reply:
        number = int(request.arguments[0])
        known = {"Do", "merge_when_checks_succeed", "head_commit_id"}
        refused = _refuse(request.body, known, {"Do"})
        if refused:
            return refused
        if number in self.scheduled:
            why = "pull request is already scheduled to auto merge when checks succeed"
            return Reply(status=409, body={"message": why})
        if self.required_checks:
            self.scheduled.append(number)
        else:
            self.pulls[number].update(state="closed", merged=True)  # as Gitea does: at once
        return Reply(status=201)

    def list_labels(self, request: Request) -> Reply:
        found = [{"id": 10 + at, "name": one} for at, one in enumerate(self.labels)]
        return self._page(request, found)

    def create_label(self, request: Request) -> Reply:
        refused = _refuse(request.body, {"name", "color"}, {"name", "color"})
        if refused:
            return refused
        self.labels.append(request.body["name"])
        return Reply(status=201, body={"id": 9 + len(self.labels), **request.body})

    def add_labels(self, request: Request) -> Reply:
        number = int(request.arguments[0])
        found = self.pulls.get(number) or self.issues[number]
        found["labels"] = [
            *found["labels"],
            *[{"id": one, "name": self.labels[one - 10]} for one in request.body["labels"]],
        ]
        return Reply(body=found["labels"])

    def list_issues(self, request: Request) -> Reply:
        assert request.query["type"] == "issues"
        found = [one for one in self.issues.values() if one["state"] == request.query["state"]]
        return self._page(request, sorted(found, key=lambda one: -one["id"]))

    def create_issue(self, request: Request) -> Reply:
        refused = _refuse(request.body, {"title", "body", "labels"}, {"title"})
        if refused:
            return refused
        made = self.add_issue(request.body["title"], request.body["body"], author=request.user)
        return Reply(status=201, body=made)

    def add_issue(self, title: str, body: str, *, author: str) -> dict[str, Any]:
        number = max([*self.pulls, *self.issues]) + 1
        self.issues[number] = {
            "id": 8000 + number,
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "labels": [],
            "user": {"id": 1, "login": author},
            "pull_request": None,
            "html_url": f"{self.site}/{REPOSITORY}/issues/{number}",
        }
        return self.issues[number]

    def list_comments(self, request: Request) -> Reply:
        number = int(request.arguments[0])
        if number not in self.pulls:
            return _NOT_FOUND
        found = self.comments.get(number, [])
        if self.has_comment_pages:
            return self._page(request, found)
        return Reply(body=found, headers=self._total(found))

    def create_comment(self, request: Request) -> Reply:
        number = int(request.arguments[0])
        if number not in self.pulls and number not in self.issues:
            return _NOT_FOUND
        refused = _refuse(request.body, {"body", "updated_at"}, {"body"})
        return refused or Reply(
            status=201, body=self.add_comment(number, request.body["body"], author=request.user)
        )

    def update_comment(self, request: Request) -> Reply:
        found = self._find_comment(request)
        if found is None:
            return _NOT_FOUND
        comment, _ = found
        if (comment["user"] or {}).get("login") != request.user:
            return Reply(status=403, body={"message": "user should have permission to edit"})
        comment["body"] = request.body["body"]
        return Reply(body=comment)

    def delete_comment(self, request: Request) -> Reply:
        found = self._find_comment(request)
        if found is None:
            return _NOT_FOUND
        comment, listed = found
        listed.remove(comment)
        return Reply(status=204)

    def create_status(self, request: Request) -> Reply:
        known = {"state", "target_url", "description", "context"}
        refused = _refuse(request.body, known, set())
        if refused:
            return refused
        if request.body["state"] not in {"pending", "success", "error", "failure", "warning"}:
            return Reply(status=422, body={"message": "unknown state"})
        status = {
            "id": next(self.ids),
            "status": request.body["state"],
            "target_url": request.body.get("target_url", ""),
            "description": request.body.get("description", ""),
            "context": request.body.get("context", "default"),
            "creator": {"login": request.user},
            "url": f"{self.api_url}/repos/{REPOSITORY}/statuses/{request.arguments[0]}",
        }
        self.statuses.append(status)
        return Reply(status=201, body=status)

    def list_statuses(self, request: Request) -> Reply:
        end = f"/statuses/{request.arguments[0]}"
        found = [one for one in self.statuses if one["url"].endswith(end)]
        found.sort(key=lambda one: one["id"], reverse=request.query.get("sort") == "highestindex")
        return self._page(request, found)

    def get_tag(self, request: Request) -> Reply:
        tag = request.arguments[0]
        return Reply(body={"name": tag, "id": SHA}) if tag in self.tags else _NOT_FOUND

    def get_release(self, request: Request) -> Reply:
        found = self.releases.get(request.arguments[0])
        return _NOT_FOUND if found is None or found["draft"] else Reply(body=found)

    def list_releases(self, request: Request) -> Reply:
        drafts = [one for one in self.releases.values() if one["draft"]]
        wanted = drafts if request.query.get("draft") == "true" else list(self.releases.values())
        return self._page(request, wanted)

    def create_release(self, request: Request) -> Reply:
        known = set("tag_name name body draft prerelease target_commitish tag_message".split())
        refused = _refuse(request.body, known, {"tag_name"})
        if refused:
            return refused
        tag = request.body["tag_name"]
        if tag in self.releases:
            return Reply(status=409, body={"message": "Release is has no Tag"})
        if not request.body.get("draft"):
            self.tags.add(tag)  # as Gitea does, on the default branch
        url = f"{self.site}/{REPOSITORY}/releases/tag/{tag}"
        made = {"id": next(self.ids), "html_url": url, "draft": False, "assets": []}
        self.releases[tag] = {**made, **request.body}
        return Reply(status=201, body=self.releases[tag])

    def update_release(self, request: Request) -> Reply:
        found = self._find_release(int(request.arguments[0]))
        if found is None:
            return _NOT_FOUND
        found.update(request.body)
        return Reply(body=found)

    def attach(self, request: Request) -> Reply:
        found = self._find_release(int(request.arguments[0]))
        if found is None:
            return _NOT_FOUND
        self.add_asset(found, request.query["name"], request.body["attachment"][1])
        return Reply(status=201, body=found["assets"][-1])

    def add_asset(self, release: dict[str, Any], name: str, data: bytes) -> None:
        number = next(self.ids)
        url = f"{self.site}/{REPOSITORY}/releases/download/{number}/{name}"
        made = {"id": number, "name": name, "size": len(data), "browser_download_url": url}
        self.files[number] = data
        release["assets"].append(made)

    def detach(self, request: Request) -> Reply:
        found = self._find_release(int(request.arguments[0]))
        number = int(request.arguments[1])
        if found is None or number not in self.files:
            return _NOT_FOUND
        found["assets"] = [one for one in found["assets"] if one["id"] != number]
        del self.files[number]
        return Reply(status=204)

    def assets_of(self, tag: str) -> dict[str, bytes]:
        return {one["name"]: self.files[one["id"]] for one in self.releases[tag]["assets"]}

    def _find_release(self, number: int) -> dict[str, Any] | None:
        return next((one for one in self.releases.values() if one["id"] == number), None)

    def list_artifacts(self, request: Request) -> Reply:
        run = int(request.arguments[0])
        found = [
            {
                "id": run * 100 + index,
                "name": name,
                "size_in_bytes": len(data),
                "expired": False,
                "archive_download_url": f"{self.api_url}/.../{run * 100 + index}/zip",
            }
            for index, (name, data) in enumerate(self.artifacts.get(run, []))
            if request.query.get("name", name) == name
        ]
        return Reply(body={"total_count": len(found), "artifacts": found})

    def get_artifact(self, request: Request) -> Reply:
        """Send on to a signed address of the same server, as Gitea does."""
        where = f"{self.url}{request.path}/raw"
        return Reply(status=302, headers={"Location": where})

    def get_raw_artifact(self, request: Request) -> Reply:
        run, index = divmod(int(request.arguments[0]), 100)
        return Reply(body=self.artifacts[run][index][1])

    def _find_comment(self, request: Request) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        for listed in self.comments.values():
            for comment in listed:
                if comment["id"] == int(request.arguments[0]):
                    return comment, listed
        return None

    def _page(self, request: Request, found: list[dict[str, Any]]) -> Reply:
        size = int(request.query.get("limit", 0))
        items, _, _ = page(request, found, size=size, usual=30, limit=50)
        return Reply(body=items, headers=self._total(found))

    def _total(self, found: list[dict[str, Any]]) -> dict[str, str]:
        return {"X-Total-Count": str(len(found))} if self.tells_totals else {}


def _refuse(
    body: Mapping[str, object], known: AbstractSet[str], required: AbstractSet[str]
) -> Reply | None:
    missing, odd = required - set(body), set(body) - known
    words = [f"[{one}]: Required" for one in missing] + [f"{one}: unknown" for one in odd]
    return Reply(status=422, body={"message": ", ".join(sorted(words))}) if words else None


_REPOSITORY = f"/repos/{REPOSITORY}"
ROUTES: tuple[Route, ...] = (
    ("GET", "/user", FakeGitea.get_user),
    ("GET", f"{_REPOSITORY}/pulls", FakeGitea.list_pulls),
    ("POST", f"{_REPOSITORY}/pulls", FakeGitea.create_pull),
    ("GET", rf"{_REPOSITORY}/pulls/(\d+)", FakeGitea.get_pull),
    ("PATCH", rf"{_REPOSITORY}/pulls/(\d+)", FakeGitea.update_thread),
    ("POST", rf"{_REPOSITORY}/pulls/(\d+)/merge", FakeGitea.merge),
    ("GET", f"{_REPOSITORY}/branches/([^/]+)", FakeGitea.get_branch),
    ("GET", f"{_REPOSITORY}/labels", FakeGitea.list_labels),
    ("POST", f"{_REPOSITORY}/labels", FakeGitea.create_label),
    ("POST", rf"{_REPOSITORY}/issues/(\d+)/labels", FakeGitea.add_labels),
    ("GET", f"{_REPOSITORY}/issues", FakeGitea.list_issues),
    ("POST", f"{_REPOSITORY}/issues", FakeGitea.create_issue),
    ("PATCH", rf"{_REPOSITORY}/issues/(\d+)", FakeGitea.update_thread),
    ("GET", rf"{_REPOSITORY}/issues/(\d+)/comments", FakeGitea.list_comments),
    ("POST", rf"{_REPOSITORY}/issues/(\d+)/comments", FakeGitea.create_comment),
    ("PATCH", rf"{_REPOSITORY}/issues/comments/(\d+)", FakeGitea.update_comment),
    ("DELETE", rf"{_REPOSITORY}/issues/comments/(\d+)", FakeGitea.delete_comment),
    ("GET", f"{_REPOSITORY}/commits/([0-9a-f]+)/pull", FakeGitea.get_pull_of),
    ("POST", f"{_REPOSITORY}/actions/workflows/([^/]+)/dispatches", FakeGitea.dispatch),
    ("POST", f"{_REPOSITORY}/statuses/([0-9a-f]+)", FakeGitea.create_status),
    ("GET", f"{_REPOSITORY}/statuses/([0-9a-f]+)", FakeGitea.list_statuses),
    ("GET", f"{_REPOSITORY}/tags/([^/]+)", FakeGitea.get_tag),
    ("GET", f"{_REPOSITORY}/releases/tags/([^/]+)", FakeGitea.get_release),
    ("POST", f"{_REPOSITORY}/releases", FakeGitea.create_release),
    ("GET", rf"{_REPOSITORY}/actions/runs/(\d+)/artifacts", FakeGitea.list_artifacts),
    ("GET", rf"{_REPOSITORY}/actions/artifacts/(\d+)/zip", FakeGitea.get_artifact),
    ("GET", rf"{_REPOSITORY}/actions/artifacts/(\d+)/zip/raw", FakeGitea.get_raw_artifact),
    ("PATCH", rf"{_REPOSITORY}/releases/(\d+)", FakeGitea.update_release),
    ("GET", f"{_REPOSITORY}/releases", FakeGitea.list_releases),
    ("POST", rf"{_REPOSITORY}/releases/(\d+)/assets", FakeGitea.attach),
    ("DELETE", rf"{_REPOSITORY}/releases/(\d+)/assets/(\d+)", FakeGitea.detach),
)
