"""A small GitLab on loopback: notes, statuses, uploads, releases, deployments of one project.

Shapes, limits and refusals are those that GitLab documents; a field that the API does not name
is refused, which the real one would only ignore.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.fakes.forge_server import ForgeServer, Reply, Request, Route, page, serve

__all__ = ["BOT", "FORK", "PROJECT", "SHA", "TOKEN", "FakeGitLab", "serve"]

PROJECT = "acme/models/credit"
FORK = "eve/credit"
TOKEN = "glpat-0123456789abcdefABCD"
BOT = "project_7_bot"
SHA = "a" * 40

_NOT_FOUND = Reply(status=404, body={"message": "404 Not found"})
_LIMIT = 1_000_000
_ENDS = frozenset({"success", "failed", "canceled"})


@dataclass(kw_only=True)
class FakeGitLab(ForgeServer):
    """One project; ``believes`` is the address that GitLab thinks it has (external_url)."""

    users: dict[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    believes: str = ""
    projects: dict[int, str] = field(default_factory=lambda: {7: PROJECT, 8: FORK})
    merge_requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    issue_notes: dict[int, list[str]] = field(default_factory=dict)
    notes: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    environments: list[str] = field(default_factory=list)
    uploads: list[tuple[str, bytes]] = field(default_factory=list)
    packages: dict[tuple[str, str], list[tuple[int, str, bytes]]] = field(default_factory=dict)

    api: str = "/api/v4"

    def __post_init__(self) -> None:
        self.routes = ROUTES
        for number in (7, 8):
            self.add_merge_request(number)

    @property
    def site(self) -> str:
        return self.believes or f"{self.url}{self.prefix}"

    def add_merge_request(self, number: int, **more: object) -> dict[str, Any]:
        request: dict[str, Any] = {
            "id": 9000 + number,
            "iid": number,
            "project_id": 7,
            "title": "Train longer",
            "state": "opened",
            "source_branch": "feature",
            "target_branch": "main",
            "source_project_id": 7,
            "target_project_id": 7,
            "sha": SHA,
            "web_url": f"{self.site}/{PROJECT}/-/merge_requests/{number}",
            **more,
        }
        self.merge_requests[number] = request
        return request

    def add_note(
        self, number: int, body: str, *, author: str | None, system: bool = False
    ) -> dict[str, Any]:
        note = {
            "id": next(self.ids),
            "type": None,
            "body": body,
            "attachment": None,
            "author": author and self._user(author),
            "created_at": "2026-11-23T19:00:00.000Z",
            "updated_at": "2026-11-23T19:00:00.000Z",
            "system": system,
            "noteable_id": 9000 + number,
            "noteable_type": "MergeRequest",
            "project_id": 7,
            "resolvable": False,
            "confidential": False,
            "internal": False,
            "noteable_iid": number,
        }
        self.notes.setdefault(number, []).append(note)
        return note

    def asked(self) -> list[str]:
        return [one.replace(f"/projects/{PROJECT}", "") for one in super().asked()]

    def get_user(self, request: Request) -> Reply:
        return Reply(body=self._user(request.user))

    def get_project(self, request: Request) -> Reply:
        path = self.projects.get(int(request.arguments[0]))
        if path is None:
            return Reply(status=404, body={"message": "404 Project Not Found"})
        return Reply(body={"id": int(request.arguments[0]), "path_with_namespace": path})

    def get_merge_request(self, request: Request) -> Reply:
        found = self.merge_requests.get(int(request.arguments[1]))
        return Reply(body=found) if found else _NOT_FOUND

    def list_merge_requests(self, request: Request) -> Reply:
        wanted = request.query
        found = [
            one
            for one in self.merge_requests.values()
            if wanted.get("state", "all") in {"all", one["state"]}
            and wanted.get("source_branch", one["source_branch"]) == one["source_branch"]
            and wanted.get("target_branch", one["target_branch"]) == one["target_branch"]
        ]
        found.sort(key=lambda one: one["id"], reverse=wanted.get("sort", "desc") == "desc")
        return self._page(request, found)

    def create_merge_request(self, request: Request) -> Reply:
        fields = "source_branch target_branch title description labels remove_source_branch"
        needed = {"source_branch", "target_branch", "title"}
        refused = _refuse(request.body, set(fields.split()), needed)
        if refused:
            return refused
        body = request.body
        if body["source_branch"] not in self.branches:
            return Reply(status=400, body={"message": {"source_branch": ["does not exist"]}})
        for known in self.merge_requests.values():
            branches = (known["source_branch"], known["target_branch"])
            is_here = known["source_project_id"] == 7 and known["state"] == "opened"
            if is_here and branches == (body["source_branch"], body["target_branch"]):
                why = f"Another open merge request already exists: !{known['iid']}"
                return Reply(status=409, body={"message": [why]})
        number = max(self.merge_requests, default=0) + 1
        made = self.add_merge_request(
            number,
            title=body["title"],
            description=body.get("description"),
            source_branch=body["source_branch"],
            target_branch=body["target_branch"],
            sha=self.branches[body["source_branch"]],
            labels=[],
            merge_when_pipeline_succeeds=False,
            head_pipeline=None,
        )
        return Reply(status=201, body=made)

    def update_merge_request(self, request: Request) -> Reply:
        return self._change(self.merge_requests.get(int(request.arguments[1])), request)

    def _change(self, found: dict[str, Any] | None, request: Request) -> Reply:
        known = {"title", "description", "add_labels", "state_event"}
        refused = _refuse(request.body, known, set())
        if found is None or refused:
            return refused or _NOT_FOUND
        body = dict(request.body)
        if body.pop("state_event", None) == "close":
            found["state"] = "closed"
        found["labels"] = [*found["labels"], *body.pop("add_labels", "").split(",")]
        found["labels"] = [one for one in found["labels"] if one]
        found.update(body)
        return Reply(body=found)

    def merge(self, request: Request) -> Reply:
        found = self.merge_requests[int(request.arguments[1])]
        fields = {"sha", "auto_merge", "merge_when_pipeline_succeeds"}
        refused = _refuse(request.body, fields, set())
        if refused:
            return refused
        if request.body["sha"] != found["sha"]:
            return Reply(status=409, body={"message": "SHA does not match HEAD of source branch"})
        pipeline = found["head_pipeline"]
        if pipeline and pipeline["status"] == "running":
            found["merge_when_pipeline_succeeds"] = True
        else:
            found["state"] = "merged"  # as GitLab does: at once
        return Reply(body=found)

    def list_issues(self, request: Request) -> Reply:
        author = request.query.get("author_id")
        found = [
            one
            for one in self.issues.values()
            if one["state"] == request.query.get("state", one["state"])
            and author in {None, str(one["author"]["id"])}
        ]
        return self._page(request, found)

    def create_issue(self, request: Request) -> Reply:
        refused = _refuse(request.body, {"title", "description", "labels"}, {"title"})
        if refused:
            return refused
        body = request.body
        made = self.add_issue(body["title"], body.get("description"), author=request.user)
        return Reply(status=201, body=made)

    def add_issue(self, title: str, description: str | None, *, author: str) -> dict[str, Any]:
        number = max(self.issues, default=0) + 1
        self.issues[number] = {
            "id": 8000 + number,
            "iid": number,
            "project_id": 7,
            "title": title,
            "description": description,
            "state": "opened",
            "labels": [],
            "author": self._user(author),
            "web_url": f"{self.site}/{PROJECT}/-/issues/{number}",
        }
        return self.issues[number]

    def update_issue(self, request: Request) -> Reply:
        return self._change(self.issues.get(int(request.arguments[1])), request)

    def create_issue_note(self, request: Request) -> Reply:
        number = int(request.arguments[1])
        self.issue_notes.setdefault(number, []).append(request.body["body"])
        return Reply(status=201, body={"id": next(self.ids), "body": request.body["body"]})

    def list_requests_of(self, request: Request) -> Reply:
        requests = self.merge_requests.values()
        return self._page(
            request,
            [one for one in requests if one.get("merge_commit_sha") == request.arguments[1]],
        )

    def list_notes(self, request: Request) -> Reply:
        if int(request.arguments[1]) not in self.merge_requests:
            return _NOT_FOUND
        found = list(self.notes.get(int(request.arguments[1]), []))
        # All are of one second here: the ids tell their order.
        found.sort(key=lambda note: note["id"], reverse=request.query.get("sort") != "asc")
        return self._page(request, found)

    def create_note(self, request: Request) -> Reply:
        number = int(request.arguments[1])
        if number not in self.merge_requests:
            return _NOT_FOUND
        refused = _refuse(request.body, {"body", "created_at", "internal"}, {"body"})
        if refused or len(request.body["body"]) > _LIMIT:
            return refused or Reply(
                status=400,
                body={"message": {"note": ["is too long (maximum is 1000000 characters)"]}},
            )
        return Reply(
            status=201, body=self.add_note(number, request.body["body"], author=request.user)
        )

    def update_note(self, request: Request) -> Reply:
        note = self._find_note(request)
        if note is None:
            return _NOT_FOUND
        if note["author"] != self._user(request.user):
            return Reply(status=403, body={"message": "403 Forbidden"})
        note["body"] = request.body["body"]
        return Reply(body=note)

    def delete_note(self, request: Request) -> Reply:
        note = self._find_note(request)
        if note is None:
            return _NOT_FOUND
        self.notes[int(request.arguments[1])].remove(note)
        return Reply(status=204)

    def create_status(self, request: Request) -> Reply:
        fields = "state name context description target_url ref pipeline_id coverage"
        refused = _refuse(request.body, set(fields.split()), {"state"})
        if refused:
            return refused
        state, name = request.body["state"], request.body.get("name", "default")
        if state not in {"pending", "running", "success", "failed", "canceled", "skipped"}:
            return Reply(status=400, body={"error": "state does not have a valid value"})
        if len(request.body.get("description") or "") > 255:
            return Reply(status=400, body={"message": {"description": ["is too long"]}})
        latest = next((one for one in reversed(self.statuses) if one["name"] == name), None)
        if state == "running" and latest and latest["status"] == "running":
            why = "Cannot transition status via :run from :running (Reason(s): Status cannot ..."
            return Reply(status=400, body={"message": why})
        if latest is None or latest["status"] != "running":
            latest = {
                "id": next(self.ids),
                "sha": request.arguments[1],
                "ref": "feature",
                "name": name,
            }
            self.statuses.append(latest)
        latest.update(
            status=state,
            description=request.body.get("description"),
            target_url=request.body.get("target_url"),
            allow_failure=False,
            author=self._user(request.user),
        )
        return Reply(status=201, body=latest)

    def list_deployments(self, request: Request) -> Reply:
        wanted = request.query.get("environment")
        found = [one for one in self.deployments if wanted in {None, one["environment"]["name"]}]
        found.sort(key=lambda one: one["id"], reverse=request.query.get("sort") == "desc")
        return self._page(request, found)

    def create_deployment(self, request: Request) -> Reply:
        fields = {"environment", "sha", "ref", "tag", "status"}
        refused = _refuse(request.body, fields, fields)
        if refused:
            return refused
        if request.body["status"] not in _ENDS | {"running"}:
            return Reply(status=400, body={"error": "status does not have a valid value"})
        if request.body["ref"] not in self.tags:
            why = {"ref": ["The branch or tag does not exist"]}
            return Reply(status=400, body={"message": why})
        body = self.add_deployment(**request.body, user=self._user(request.user))
        return Reply(status=201, body=body)

    def add_deployment(self, environment: str, **fields: Any) -> dict[str, Any]:
        """Add a deployment; with a ``deployable`` it is that of a job of GitLab's."""
        if environment not in self.environments:
            self.environments.append(environment)
        number = next(self.ids)
        made = {
            "id": number,
            "iid": number - 1000,
            "created_at": "2026-11-23T19:00:00.000Z",
            "updated_at": "2026-11-23T19:00:01.000Z",
            "user": None,
            "environment": {
                "id": 1 + self.environments.index(environment),
                "name": environment,
                "slug": environment.replace("/", "-"),
                "external_url": None,
            },
            "deployable": None,
            **fields,
        }
        self.deployments.append(made)
        return made

    def update_deployment(self, request: Request) -> Reply:
        number = int(request.arguments[1])
        found = next((one for one in self.deployments if one["id"] == number), None)
        if found is None:
            return _NOT_FOUND
        refused = _refuse(request.body, {"status"}, {"status"})
        if found["deployable"]:
            why = "403 Forbidden - Deployments created using GitLab CI can not be updated"
            return Reply(status=403, body={"message": why})
        if refused or request.body["status"] not in _ENDS - {found["status"]}:
            return refused or Reply(status=400, body={"message": {"status": ["cannot transition"]}})
        found["status"] = request.body["status"]
        return Reply(body=found)

    def upload(self, request: Request) -> Reply:
        name, data = request.body["file"]
        self.uploads.append((name, data))
        secret = f"{next(self.ids):032x}"  # a new one each time, whatever the contents
        local = f"/uploads/{secret}/{name}"
        body = {
            "id": next(self.ids),
            "alt": name.rpartition(".")[0],
            "url": local,
            "full_path": f"{self.prefix}/-/project/7{local}",
            "markdown": f"![{name}]({local})",
        }
        return Reply(status=201, body=body)

    def get_tag(self, request: Request) -> Reply:
        tag = request.arguments[1]
        if tag not in self.tags:
            return Reply(status=404, body={"message": "404 Tag Not Found"})
        return Reply(body={"name": tag, "target": SHA, "message": "", "release": None})

    def get_release(self, request: Request) -> Reply:
        found = self.releases.get(request.arguments[1])
        return Reply(body=found) if found else _NOT_FOUND

    def create_release(self, request: Request) -> Reply:
        fields = "tag_name name description ref tag_message milestones assets released_at"
        refused = _refuse(request.body, set(fields.split()), {"tag_name"})
        if refused:
            return refused
        tag = request.body["tag_name"]
        if tag in self.releases:
            return Reply(status=409, body={"message": "Release already exists"})
        if tag not in self.tags:
            return Reply(status=422, body={"message": "Ref is not specified"})
        links = {"self": f"{self.site}/{PROJECT}/-/releases/{tag}"}
        assets = {"links": list(request.body.get("assets", {}).get("links", []))}
        self.releases[tag] = {**request.body, "assets": assets, "_links": links}
        return Reply(status=201, body=self.releases[tag])

    def update_release(self, request: Request) -> Reply:
        release = self.releases[request.arguments[1]]
        refused = _refuse(request.body, {"name", "description", "milestones", "released_at"}, set())
        if refused:
            return refused
        release.update(request.body)
        return Reply(body=release)

    def create_link(self, request: Request) -> Reply:
        links = self.releases[request.arguments[1]]["assets"]["links"]
        refused = _refuse(request.body, {"name", "url", "link_type"}, {"name", "url"})
        if refused:
            return refused
        if request.body["name"] in {one["name"] for one in links}:
            return Reply(status=400, body={"message": "Name has already been taken"})
        links.append(request.body)
        return Reply(status=201, body={"id": next(self.ids), **request.body})

    def put_file(self, request: Request) -> Reply:
        _, package, version, name = request.arguments
        if not all(re.fullmatch(r"[A-Za-z0-9._-]+", one) for one in (package, version, name)):
            return Reply(status=400, body={"message": "package_name is invalid"})
        files = self.packages.setdefault((package, version), [])
        files.append((next(self.ids), name, request.body))
        return Reply(status=201, body={"message": "201 Created"})

    def get_file(self, request: Request) -> Reply:
        _, package, version, name = request.arguments
        files = self.packages.get((package, version), [])
        found = [data for _, known, data in files if known == name]
        return Reply(body=found[-1]) if found else _NOT_FOUND

    def list_packages(self, request: Request) -> Reply:
        wanted = request.query["package_name"], request.query["package_version"]
        found = [
            {"id": index, "name": name, "version": version, "package_type": "generic"}
            for index, (name, version) in enumerate(self.packages)
            if (name, version) == wanted
        ]
        return Reply(body=found)

    def list_files(self, request: Request) -> Reply:
        files = list(self.packages.values())[int(request.arguments[1])]
        found = [
            {
                "id": id_,
                "file_name": name,
                "size": len(data),
                "file_sha256": sha256(data).hexdigest(),
            }
            for id_, name, data in files
        ]
        return Reply(body=found)

    def assets_of(self, tag: str) -> dict[str, bytes]:
        """Return what the release's links lead to."""
        found = {}
        for link in self.releases[tag]["assets"]["links"]:
            *_, package, version, name = link["url"].split("/")
            assert link["url"].startswith(f"{self.api_url}/projects/")
            found[link["name"]] = [
                data for _, known, data in self.packages[package, version] if known == name
            ][-1]
        return found

    def _find_note(self, request: Request) -> dict[str, Any] | None:
        notes = self.notes.get(int(request.arguments[1]), [])
        return next((one for one in notes if one["id"] == int(request.arguments[2])), None)

    def _user(self, name: str) -> dict[str, Any]:
        number = sum(map(ord, name))
        return {
            "id": number,
            "username": name,
            "name": name.title(),
            "state": "active",
            "avatar_url": None,
            "web_url": f"{self.site}/{name}",
        }

    def _page(self, request: Request, found: list[dict[str, Any]]) -> Reply:
        size = int(request.query.get("per_page", 0))
        items, number, more = page(request, found, size=size, usual=20, limit=100)
        query = "&".join(
            f"{key}={value}" for key, value in {**request.query, "page": str(number + 1)}.items()
        )
        path = request.path.removeprefix(self.prefix)
        link = f'<{self.site}{path}?{query}>; rel="next"'
        headers = {"X-Page": str(number), "X-Per-Page": str(size or 20), "X-Total": str(len(found))}
        return Reply(body=items, headers={**headers, "Link": link} if more else headers)


def _refuse(
    body: Mapping[str, object], known: AbstractSet[str], required: AbstractSet[str]
) -> Reply | None:
    missing, odd = required - set(body), set(body) - known
    if not missing and not odd:
        return None
    words = [f"{one} is missing" for one in missing] + [f"{one} is unknown" for one in odd]
    return Reply(status=400, body={"error": ", ".join(sorted(words))})


_PROJECT = "/projects/([^/]+)"
_REQUEST = rf"{_PROJECT}/merge_requests/(\d+)"
ROUTES: tuple[Route, ...] = (
    ("GET", "/user", FakeGitLab.get_user),
    ("GET", r"/projects/(\d+)", FakeGitLab.get_project),
    ("GET", f"{_PROJECT}/merge_requests", FakeGitLab.list_merge_requests),
    ("POST", f"{_PROJECT}/merge_requests", FakeGitLab.create_merge_request),
    ("GET", _REQUEST, FakeGitLab.get_merge_request),
    ("PUT", _REQUEST, FakeGitLab.update_merge_request),
    ("PUT", f"{_REQUEST}/merge", FakeGitLab.merge),
    ("GET", f"{_PROJECT}/issues", FakeGitLab.list_issues),
    ("POST", f"{_PROJECT}/issues", FakeGitLab.create_issue),
    ("PUT", rf"{_PROJECT}/issues/(\d+)", FakeGitLab.update_issue),
    ("POST", rf"{_PROJECT}/issues/(\d+)/notes", FakeGitLab.create_issue_note),
    ("GET", f"{_PROJECT}/repository/commits/([^/]+)/merge_requests", FakeGitLab.list_requests_of),
    ("GET", f"{_REQUEST}/notes", FakeGitLab.list_notes),
    ("POST", f"{_REQUEST}/notes", FakeGitLab.create_note),
    ("PUT", rf"{_REQUEST}/notes/(\d+)", FakeGitLab.update_note),
    ("DELETE", rf"{_REQUEST}/notes/(\d+)", FakeGitLab.delete_note),
    ("POST", f"{_PROJECT}/statuses/([0-9a-f]+)", FakeGitLab.create_status),
    ("GET", f"{_PROJECT}/deployments", FakeGitLab.list_deployments),
    ("POST", f"{_PROJECT}/deployments", FakeGitLab.create_deployment),
    ("PUT", rf"{_PROJECT}/deployments/(\d+)", FakeGitLab.update_deployment),
    ("POST", f"{_PROJECT}/uploads", FakeGitLab.upload),
    ("GET", f"{_PROJECT}/repository/tags/([^/]+)", FakeGitLab.get_tag),
    ("POST", f"{_PROJECT}/releases", FakeGitLab.create_release),
    ("GET", f"{_PROJECT}/releases/([^/]+)", FakeGitLab.get_release),
    ("PUT", f"{_PROJECT}/releases/([^/]+)", FakeGitLab.update_release),
    ("POST", f"{_PROJECT}/releases/([^/]+)/assets/links", FakeGitLab.create_link),
    ("GET", f"{_PROJECT}/packages", FakeGitLab.list_packages),
    ("GET", rf"{_PROJECT}/packages/(\d+)/package_files", FakeGitLab.list_files),
    ("PUT", f"{_PROJECT}/packages/generic/([^/]+)/([^/]+)/([^/]+)", FakeGitLab.put_file),
    ("GET", f"{_PROJECT}/packages/generic/([^/]+)/([^/]+)/([^/]+)", FakeGitLab.get_file),
)
