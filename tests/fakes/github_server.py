"""A small GitHub on loopback: it keeps what modelci writes, and fails on demand.

Every request to it, and every reply of its own, is held to GitHub's published description; what
does not fit is a violation, which fails the test as soon as the server is closed. Whatever the
description lacks is a violation, too. GraphQL, which it does not cover, is checked by hand.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.fakes.openapi import github as read_description

REPOSITORY = "acme/credit"
TOKEN = "ghs_0123456789abcdefABCDEF"
BOT = "github-actions[bot]"


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Fault:
    """A reply in place of the right one; ``after`` the request did its work, or before.

    Without a ``reply`` the connection is cut.
    """

    method: str
    path: str
    reply: Reply | None
    after: bool = False
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any
    login: str = ""
    argument: str = ""


@dataclass(kw_only=True)
class Artifact:
    run_id: int
    id: int
    name: str
    data: bytes
    expired: bool = False
    location: str | None = None
    size_in_bytes: int | None = None


@dataclass(kw_only=True)
class FakeGitHub:
    """The state of one repository; ``prefix`` is /api/v3 on Enterprise Server.

    ``objects`` are Git's, by id: bytes of blobs, {path: blob} of trees, and commits. ``heads``
    tells the head of a pull request anew at every request; ``before`` comes before each answer.
    ``workflows`` are files' names, and whether they have the trigger ``workflow_dispatch``.
    ``release_files`` are by id; ``immutable`` ones cannot be changed once published.
    ``deployments`` are the newest first, their statuses by id, in the order set. ``branches`` are
    those that pull requests can be opened from, by name; without ``required_checks`` GitHub lets
    none merge by itself.
    """

    prefix: str = ""
    url: str = ""
    logins: dict[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    heads: Callable[[int], str] | None = None
    branches: dict[str, str] = field(default_factory=dict)
    may_open_pulls: bool = True
    required_checks: bool = True
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    minimized: list[str] = field(default_factory=list)
    may_minimize: bool = True
    check_runs: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    release_files: dict[int, bytes] = field(default_factory=dict)
    immutable: bool = False
    latest: str | None = None
    deployments: list[dict[str, Any]] = field(default_factory=list)
    deployment_statuses: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    workflows: dict[str, bool] = field(default_factory=lambda: {"deploy.yml": True})
    dispatches: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    before: Callable[["FakeGitHub", Request], None] | None = None
    violations: list[str] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: count(1001))

    def __post_init__(self) -> None:
        for number in (7, 8):
            self.add_pull(number)

    @property
    def api_url(self) -> str:
        return f"{self.url}{self.prefix}"

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        message: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        after: bool = False,
        times: int = 1,
    ) -> None:
        """Answer the next requests whose path ends in ``path`` with an error."""
        reply = Reply(status=status, body={"message": message}, headers=headers or {})
        self.faults.append(Fault(method=method, path=path, reply=reply, after=after, times=times))

    def hang_up(self, method: str, path: str, *, after: bool = False, times: int = 1) -> None:
        """Cut the connection instead of answering."""
        self.faults.append(Fault(method=method, path=path, reply=None, after=after, times=times))

    def add_comment(self, number: int, body: str, *, author: str | None) -> dict[str, Any]:
        id_ = next(self.ids)
        comment = DESCRIPTION.example(
            "issue-comment",
            id=id_,
            node_id=f"IC_{id_}",
            html_url=f"https://github.com/{REPOSITORY}/pull/{number}#issuecomment-{id_}",
            body=body,
            user=author and make_user(author),
        )
        self.comments.setdefault(number, []).append(comment)
        return comment

    def add_pull(
        self,
        number: int,
        *,
        sha: str = "a" * 40,
        branch: str = "tune",
        repository: str | None = REPOSITORY,
        owner: str | None = None,
        base: str = "main",
        state: str = "open",
    ) -> None:
        """Add a pull request; without a ``repository`` its fork was deleted."""
        owner = owner or (repository or REPOSITORY).partition("/")[0]
        pull = DESCRIPTION.example("pull-request", number=number, state=state)
        head = {"ref": branch, "sha": sha, "label": f"{owner}:{branch}", "user": make_user(owner)}
        pull["head"] = {**pull["head"], **head, "repo": repository and make_repository(repository)}
        pull["base"] = {**pull["base"], "ref": base, "repo": make_repository(REPOSITORY)}
        self.pulls[number] = pull

    def add_artifact(self, run_id: int, name: str, data: bytes, **fields: Any) -> Artifact:
        made = Artifact(run_id=run_id, id=next(self.ids), name=name, data=data, **fields)
        self.artifacts.append(made)
        return made

    def asked(self) -> list[str]:
        """Return the requests so far as ``METHOD /path``, the repository left out."""
        root = f"{self.prefix}/repos/{REPOSITORY}"
        return [f"{one.method} {unquote(one.path.removeprefix(root))}" for one in self.requests]

    def answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        self._inspect(request)
        if self.before is not None:
            self.before(self, request)
        for fault in self.faults:
            if fault.method == request.method and request.path.endswith(fault.path):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                if fault.after:
                    self._route(request)
                return fault.reply
        reply = self._route(request)
        if not request.path.startswith(STORE) and reply.status != 401:
            self.violations += DESCRIPTION.check_reply(
                request.method, self._path(request), reply.status, reply.body
            )
        return reply

    @property
    def uploads(self) -> str:
        """Where files are uploaded to: a host of its own where there is no Enterprise Server."""
        return "/api/uploads" if self.prefix else "/uploads"

    def _path(self, request: Request) -> str:
        return request.path.removeprefix(self.uploads).removeprefix(self.prefix)

    def _inspect(self, request: Request) -> None:
        if request.path.startswith(STORE):
            if "authorization" in request.headers:
                self.violations.append("the token went to another host")
        elif request.path.endswith("/graphql"):
            self.violations += _check_graphql(request.body)
        else:
            body = None if isinstance(request.body, bytes) else request.body
            self.violations += DESCRIPTION.check_request(
                request.method, self._path(request), request.query, body
            )

    def _route(self, request: Request) -> Reply:
        if request.path.startswith(STORE):
            kept = self.release_files | {one.id: one.data for one in self.artifacts}
            return Reply(body=kept[int(request.path.removeprefix(STORE))])
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        login = self.logins.get(token)
        if login is None:
            return Reply(status=401, body={"message": "Bad credentials"})
        graphql = "/api/graphql" if self.prefix else "/graphql"
        if (request.method, request.path) == ("POST", graphql):
            return self.answer_graphql(replace(request, login=login))
        for method, pattern, handle in ROUTES:
            prefix = self.uploads if isinstance(request.body, bytes) else self.prefix
            match = re.fullmatch(f"{prefix}/repos/{REPOSITORY}{pattern}", request.path)
            if match and method == request.method:
                argument = unquote(match[1]) if match.groups() else ""
                return handle(self, replace(request, login=login, argument=argument))
        return NOT_FOUND

    def answer_graphql(self, request: Request) -> Reply:
        variables = request.body.get("variables", {})
        if "enablePullRequestAutoMerge" in request.body["query"]:
            return self._merge_later(variables)
        if "viewerDefaultMergeMethod" in request.body["query"]:
            return Reply(body={"data": {"repository": {"viewerDefaultMergeMethod": "SQUASH"}}})
        if "minimizeComment" in request.body["query"]:
            if not self.may_minimize:
                return Reply(body={"data": None, "errors": [{"type": "FORBIDDEN"}]})
            self.minimized.append(variables["id"])
            done = {"minimizedComment": {"isMinimized": True}}
            return Reply(body={"data": {"minimizeComment": done}})
        data: dict[str, Any] = {"viewer": {"login": request.login}}
        if "pullRequest" not in request.body["query"]:
            return Reply(body={"data": data})
        known = self.pulls.get(variables["number"])
        if known and self.heads is not None:
            known["head"]["sha"] = self.heads(known["number"])
        data["repository"] = {"pullRequest": known and _as_node(known)}
        errors = {} if known else {"errors": [{"type": "NOT_FOUND"}]}
        return Reply(body={"data": data, **errors})

    def get_pull(self, request: Request) -> Reply:
        pull = self.pulls.get(int(request.argument))
        if pull and self.heads is not None:
            pull["head"]["sha"] = self.heads(pull["number"])
        return NOT_FOUND if pull is None else Reply(body=pull)

    def list_pulls(self, request: Request) -> Reply:
        query = {key: value[0] for key, value in parse_qs(request.query).items()}
        pulls = sorted(self.pulls.values(), key=lambda one: -one["number"])
        found = [
            DESCRIPTION.example("pull-request-simple") | one
            for one in pulls
            if query.get("state", "open") in {"all", one["state"]}
            and one["head"]["label"] == query.get("head", one["head"]["label"])
            and one["base"]["ref"] == query.get("base", one["base"]["ref"])
        ]
        return Reply(body=found)

    def create_pull(self, request: Request) -> Reply:
        body = request.body
        if not self.may_open_pulls:
            why = "GitHub Actions is not permitted to create or approve pull requests."
            return Reply(status=403, body={"message": why})
        owner = REPOSITORY.partition("/")[0]
        label = f"{owner}:{body['head']}"
        if body["head"] not in self.branches:
            return _invalid("Validation Failed", errors=[{"field": "head", "code": "invalid"}])
        known = [one for one in self.pulls.values() if one["state"] == "open"]
        if any(
            (one["head"]["label"], one["base"]["ref"]) == (label, body["base"]) for one in known
        ):
            why = f"A pull request already exists for {label}."
            return _invalid("Validation Failed", errors=[{"code": "custom", "message": why}])
        number = self._next_number()
        sha = self.branches[body["head"]]
        self.add_pull(number, sha=sha, branch=body["head"], base=body["base"])
        self.pulls[number] |= {
            "node_id": f"PR_{number}",
            "title": body["title"],
            "body": body.get("body"),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}",
            "auto_merge": None,
            "labels": [],
        }
        return Reply(status=201, body=self.pulls[number])

    def update_pull(self, request: Request) -> Reply:
        pull = self.pulls.get(int(request.argument))
        if pull is None:
            return NOT_FOUND
        pull.update(request.body)
        return Reply(body=pull)

    def _merge_later(self, variables: Mapping[str, Any]) -> Reply:
        (pull,) = [one for one in self.pulls.values() if one["node_id"] == variables["id"]]
        if not self.required_checks:
            why = "Pull request Pull request is in clean status"
            return Reply(body={"data": None, "errors": [{"message": why}]})
        if pull["head"]["sha"] != variables["sha"]:
            return Reply(body={"data": None, "errors": [{"message": "Head sha didn't match"}]})
        pull["auto_merge"] = {
            "enabled_by": make_user(BOT),
            "merge_method": variables["method"].lower(),
            "commit_title": "",
            "commit_message": "",
        }
        return Reply(body={"data": {"enablePullRequestAutoMerge": {"clientMutationId": None}}})

    def _next_number(self) -> int:
        return max([*self.pulls, *self.issues]) + 1

    def list_issues(self, request: Request) -> Reply:
        """Return the oldest first, pull requests among them, as GitHub does."""
        query = {key: value[0] for key, value in parse_qs(request.query).items()}
        assert query["direction"] == "asc"
        pulls = [
            DESCRIPTION.example("issue", number=number, state=one["state"], body=one.get("body"))
            | {"pull_request": {"url": None, "html_url": None, "diff_url": None, "patch_url": None}}
            for number, one in self.pulls.items()
        ]
        every = sorted([*pulls, *self.issues.values()], key=lambda one: one["number"])
        found = [one for one in every if one["state"] == query.get("state", "open")]
        page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
        here = f"{self.url}{request.path}?{urlencode({**query, 'page': page + 1})}"
        headers = {"Link": f'<{here}>; rel="next"'} if page * size < len(found) else {}
        return Reply(body=found[(page - 1) * size : page * size], headers=headers)

    def create_issue(self, request: Request) -> Reply:
        made = self.add_issue(request.body["title"], request.body["body"], author=request.login)
        return Reply(status=201, body=made)

    def add_issue(self, title: str, body: str, *, author: str) -> dict[str, Any]:
        number = self._next_number()
        made = DESCRIPTION.example("issue", number=number, state="open", title=title, body=body)
        made |= {
            "user": make_user(author),
            "html_url": f"https://github.com/{REPOSITORY}/issues/{number}",
            "labels": [],
        }
        self.issues[number] = made
        return made

    def update_issue(self, request: Request) -> Reply:
        issue = self.issues.get(int(request.argument))
        if issue is None:
            return NOT_FOUND
        issue.update(request.body)
        return Reply(body=issue)

    def add_labels(self, request: Request) -> Reply:
        number = int(request.argument)
        thread = self.pulls.get(number) or self.issues.get(number)
        if thread is None:
            return NOT_FOUND
        named = {"id": 1, "node_id": "LA_1", "url": self.api_url, "description": "", "color": ""}
        thread["labels"] = [
            *thread["labels"],
            *[{**named, "name": one, "default": False} for one in request.body["labels"]],
        ]
        return Reply(body=thread["labels"])

    def add_merge(self, number: int, sha: str, *labels: str) -> None:
        """Merge a pull request as that commit."""
        named = {"id": 1, "node_id": "LA_1", "url": self.api_url, "description": "", "color": ""}
        self.pulls[number] |= {
            "state": "closed",
            "merged_at": "2026-01-02T03:04:05Z",
            "merge_commit_sha": sha,
            "labels": [{**named, "name": one, "default": False} for one in labels],
        }

    def list_pulls_of(self, request: Request) -> Reply:
        known = {one["merge_commit_sha"]: one for one in self.pulls.values()}
        pull = known.get(request.argument)
        found = [DESCRIPTION.example("pull-request-simple") | pull] if pull else []
        return Reply(body=found)

    def dispatch(self, request: Request) -> Reply:
        if request.argument not in self.workflows:
            return NOT_FOUND
        if not self.workflows[request.argument]:
            return _invalid("Workflow does not have 'workflow_dispatch' trigger")
        self.dispatches.append((request.argument, request.body["ref"], request.body["inputs"]))
        return Reply(status=204)

    def list_check_runs(self, request: Request) -> Reply:
        name = parse_qs(request.query)["check_name"][0]
        found = [
            one
            for one in self.check_runs
            if (one["head_sha"], one["name"]) == (request.argument, name)
        ]
        return Reply(body={"total_count": len(found), "check_runs": found})

    def create_check_run(self, request: Request) -> Reply:
        number = next(self.ids)
        url = f"https://github.com/{REPOSITORY}/runs/{number}"
        run = DESCRIPTION.example("check-run", id=number, html_url=url)
        run["app"] = None
        self.check_runs.append(run)
        return Reply(status=201, body=_fill_check_run(run, request.body))

    def update_check_run(self, request: Request) -> Reply:
        for run in self.check_runs:
            if run["id"] == int(request.argument):
                return Reply(body=_fill_check_run(run, request.body))
        return NOT_FOUND

    def create_status(self, request: Request) -> Reply:
        status = DESCRIPTION.example("status", id=next(self.ids), **request.body)
        status["sha"] = request.argument
        self.statuses.append(status)
        return Reply(status=201, body=status)

    def match_refs(self, request: Request) -> Reply:
        start = f"refs/{request.argument}"
        found = [name for name in sorted(self.refs) if name.startswith(start)]
        return Reply(body=[self._ref(name) for name in found])

    def create_ref(self, request: Request) -> Reply:
        name, sha = request.body["ref"], request.body["sha"]
        if name in self.refs:
            return _invalid("Reference already exists")
        if "parents" not in self.objects.get(sha, {}):
            return _invalid("Object does not exist")
        self.refs[name] = sha
        return Reply(status=201, body=self._ref(name))

    def update_ref(self, request: Request) -> Reply:
        name, sha = f"refs/{request.argument}", request.body["sha"]
        if name not in self.refs:
            return _invalid("Reference does not exist")
        if self.refs[name] not in self._history(sha) and not request.body.get("force"):
            return _invalid("Update is not a fast forward")
        self.refs[name] = sha
        return Reply(body=self._ref(name))

    def delete_ref(self, request: Request) -> Reply:
        if self.refs.pop(f"refs/{request.argument}", None) is None:
            return _invalid("Reference does not exist")
        return Reply(status=204)

    def create_blob(self, request: Request) -> Reply:
        data = base64.b64decode(request.body["content"], validate=True)
        sha = self.keep(data, repr(data))
        return Reply(status=201, body={"url": f"https://api.github.com/{sha}", "sha": sha})

    def create_tree(self, request: Request) -> Reply:
        base = request.body.get("base_tree")
        entries = dict(self.objects[base]) if base else {}
        for entry in request.body["tree"]:
            sha = entry.get("sha")
            if sha is None:
                sha = self.keep(entry["content"].encode(), repr(entry["content"]))
            if sha not in self.objects:
                return _invalid("tree.sha is no object here")
            entries[entry["path"]] = sha
        return Reply(status=201, body=self._tree(self.keep(entries, repr(sorted(entries.items())))))

    def get_tree(self, request: Request) -> Reply:
        known = request.argument in self.objects
        return Reply(body=self._tree(request.argument)) if known else NOT_FOUND

    def create_commit(self, request: Request) -> Reply:
        commit = {key: request.body[key] for key in ("message", "tree", "parents")}
        sha = self.keep(commit, f"{commit} {next(self.ids)}")
        return Reply(status=201, body=self._commit(sha))

    def get_commit(self, request: Request) -> Reply:
        known = request.argument in self.objects
        return Reply(body=self._commit(request.argument)) if known else NOT_FOUND

    def keep(self, value: object, key: str) -> str:
        sha = sha1(key.encode(), usedforsecurity=False).hexdigest()
        self.objects[sha] = value
        return sha

    def files(self, branch: str) -> dict[str, bytes]:
        """Return the files at a branch's tip."""
        tree = self.objects[self.objects[self.refs[f"refs/heads/{branch}"]]["tree"]]
        return {path: self.objects[sha] for path, sha in tree.items()}

    def _history(self, sha: str) -> set[str]:
        parents = self.objects[sha]["parents"]
        return {sha}.union(*(self._history(one) for one in parents))

    def _ref(self, name: str) -> dict[str, Any]:
        made = DESCRIPTION.example("git-ref", ref=name)
        made["object"] = {**made["object"], "type": "commit", "sha": self.refs[name]}
        return made

    def _tree(self, sha: str) -> dict[str, Any]:
        entries = [
            {"path": path, "mode": "100644", "type": "blob", "sha": blob}
            for path, blob in self.objects[sha].items()
        ]
        return DESCRIPTION.example("git-tree", sha=sha, tree=entries)

    def _commit(self, sha: str) -> dict[str, Any]:
        made = DESCRIPTION.example("git-commit", sha=sha, message=self.objects[sha]["message"])
        made["tree"]["sha"] = self.objects[sha]["tree"]
        return made

    def list_artifacts(self, request: Request) -> Reply:
        name = parse_qs(request.query).get("name", [None])[0]
        found = [
            DESCRIPTION.example(
                "artifact",
                id=one.id,
                name=one.name,
                expired=one.expired,
                size_in_bytes=len(one.data) if one.size_in_bytes is None else one.size_in_bytes,
            )
            for one in self.artifacts
            if one.run_id == int(request.argument) and name in {None, one.name}
        ]
        return Reply(body={"total_count": len(found), "artifacts": found})

    def send_artifact(self, request: Request) -> Reply:
        for one in self.artifacts:
            if one.id == int(request.argument):
                if one.expired:
                    return Reply(status=410, body={"message": "Artifact has expired"})
                store = self.url.replace("127.0.0.1", "localhost")
                return Reply(
                    status=302, headers={"Location": one.location or f"{store}{STORE}{one.id}"}
                )
        return NOT_FOUND

    def list_comments(self, request: Request) -> Reply:
        number = int(request.argument)
        if number not in self.pulls:
            return NOT_FOUND
        query = parse_qs(request.query)
        page = int(query.get("page", ["1"])[0])
        size = min(int(query.get("per_page", ["30"])[0]), 100)
        found = self.comments.get(number, [])
        here = f"{self.url}{request.path}?per_page={size}&page="
        links = [f'<{here}{page - 1}>; rel="prev"'] if page > 1 else []
        if page * size < len(found):
            links.append(f'<{here}{page + 1}>; rel="next"')
        headers = {"Link": ", ".join(links)} if links else {}
        return Reply(body=found[(page - 1) * size : page * size], headers=headers)

    def create_comment(self, request: Request) -> Reply:
        number = int(request.argument)
        if number not in self.pulls and number not in self.issues:
            return NOT_FOUND
        if len(request.body["body"]) > 65_536:
            return _invalid("Validation Failed")
        comment = self.add_comment(number, request.body["body"], author=request.login)
        return Reply(status=201, body=comment)

    def update_comment(self, request: Request) -> Reply:
        for comment in (one for listed in self.comments.values() for one in listed):
            if comment["id"] == int(request.argument):
                comment["body"] = request.body["body"]
                return Reply(body=comment)
        return NOT_FOUND

    def delete_comment(self, request: Request) -> Reply:
        for listed in self.comments.values():
            for comment in listed:
                if comment["id"] == int(request.argument):
                    listed.remove(comment)
                    return Reply(status=204)
        return NOT_FOUND

    def get_tag(self, request: Request) -> Reply:
        tag = request.argument
        if tag not in self.tags:
            return NOT_FOUND
        made = DESCRIPTION.example("git-ref", ref=f"refs/tags/{tag}")
        made["object"] = {**made["object"], "type": "tag", "sha": self.tags[tag]}
        return Reply(body=made)

    def get_release(self, request: Request) -> Reply:
        found = self.releases.get(request.argument)
        return NOT_FOUND if found is None or found["draft"] else Reply(body=found)

    def list_releases(self, request: Request) -> Reply:
        query = {key: int(value[0]) for key, value in parse_qs(request.query).items()}
        page, size = query.get("page", 1), query.get("per_page", 30)
        found = list(self.releases.values())
        more = len(found) > page * size
        link = {"Link": f'<{self.url}/next>; rel="next"'} if more else {}
        return Reply(body=found[(page - 1) * size : page * size], headers=link)

    def create_release(self, request: Request) -> Reply:
        tag = request.body["tag_name"]
        if tag in self.releases and not self.releases[tag]["draft"]:
            error = {"resource": "Release", "code": "already_exists", "field": "tag_name"}
            return _invalid("Validation Failed", errors=[error])
        url = f"https://github.com/{REPOSITORY}/releases/tag/{tag}"
        if not request.body.get("draft"):
            self.tags.setdefault(tag, "default branch")
        number = next(self.ids)
        root = f"{self.url}{self.uploads}/repos/{REPOSITORY}/releases/{number}"
        fields = {key: value for key, value in request.body.items() if key != "make_latest"}
        self.releases[tag] = DESCRIPTION.example(
            "release", id=number, html_url=url, upload_url=f"{root}/assets{{?name,label}}", **fields
        )
        self._publish(self.releases[tag], request.body)
        return Reply(status=201, body=self.releases[tag])

    def update_release(self, request: Request) -> Reply:
        found = self._find_release(int(request.argument))
        if found is None:
            return NOT_FOUND
        if found.get("immutable") and not found["draft"]:
            return _invalid("Cannot change an immutable release")
        fields = {key: value for key, value in request.body.items() if key != "make_latest"}
        found.update(fields)
        self._publish(found, request.body)
        return Reply(body=found)

    def upload_asset(self, request: Request) -> Reply:
        found = self._find_release(int(request.argument))
        if found is None:
            return NOT_FOUND
        if found.get("immutable") and not found["draft"]:
            return _invalid("Cannot upload assets to an immutable release.")
        name = parse_qs(request.query)["name"][0]
        if name in {one["name"] for one in found["assets"]}:
            error = {"resource": "ReleaseAsset", "code": "already_exists", "field": "name"}
            return _invalid("Validation Failed", errors=[error])
        made = self.add_asset(found, name, request.body)
        return Reply(status=201, body=made)

    def add_asset(
        self, release: dict[str, Any], name: str, data: bytes, **fields: object
    ) -> dict[str, Any]:
        number = next(self.ids)
        made = DESCRIPTION.example(
            "release-asset",
            id=number,
            name=name,
            size=len(data),
            state="uploaded",
            digest=f"sha256:{sha256(data).hexdigest()}",
        )
        made.update(fields)
        self.release_files[number] = data
        release["assets"].append(made)
        return made

    def send_asset(self, request: Request) -> Reply:
        if int(request.argument) not in self.release_files:
            return NOT_FOUND
        if request.headers["accept"] != "application/octet-stream":
            self.violations.append("an asset was asked for as JSON")
        store = self.url.replace("127.0.0.1", "localhost")
        return Reply(status=302, headers={"Location": f"{store}{STORE}{request.argument}"})

    def delete_asset(self, request: Request) -> Reply:
        number = int(request.argument)
        for release in self.releases.values():
            for one in [one for one in release["assets"] if one["id"] == number]:
                release["assets"].remove(one)
                del self.release_files[number]
                return Reply(status=204)
        return NOT_FOUND

    def assets_of(self, tag: str) -> dict[str, bytes]:
        return {one["name"]: self.release_files[one["id"]] for one in self.releases[tag]["assets"]}

    def list_deployments(self, request: Request) -> Reply:
        query = {key: value[0] for key, value in parse_qs(request.query).items()}
        wanted = {key: query[key] for key in ("ref", "sha", "task", "environment") if key in query}
        found = [one for one in self.deployments if wanted.items() <= one.items()]
        page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
        parts = {**query, "page": page + 1}
        link = f'<{self.url}{request.path}?{urlencode(parts)}>; rel="next"'
        headers = {"Link": link} if page * size < len(found) else {}
        return Reply(body=found[(page - 1) * size : page * size], headers=headers)

    def create_deployment(self, request: Request) -> Reply:
        asked = request.body
        if asked["ref"] not in self.tags:
            return _invalid(f"No ref found for: {asked['ref']}")
        if asked.get("auto_merge", True):
            return Reply(
                status=409, body={"message": f"Conflict merging main into {asked['ref']}."}
            )
        if asked.get("required_contexts") != []:
            return Reply(status=409, body={"message": "Conflict: Commit status checks failed"})
        made = self.add_deployment(asked["ref"], asked.get("environment", "production"))
        kept = ("task", "payload", "description", "production_environment", "transient_environment")
        made.update({key: asked[key] for key in kept if key in asked})
        made["creator"] = make_user(request.login)
        return Reply(status=201, body=made)

    def add_deployment(self, ref: str, environment: str, task: str = "deploy") -> dict[str, Any]:
        made = DESCRIPTION.example(
            "deployment",
            id=next(self.ids),
            ref=ref,
            sha=self.tags[ref],
            task=task,
            environment=environment,
        )
        self.deployments.insert(0, made)
        self.deployment_statuses[made["id"]] = []
        return made

    def list_deployment_statuses(self, request: Request) -> Reply:
        found = self.deployment_statuses.get(int(request.argument))
        return NOT_FOUND if found is None else Reply(body=found[::-1])

    def create_deployment_status(self, request: Request) -> Reply:
        number = int(request.argument)
        if number not in self.deployment_statuses:
            return NOT_FOUND
        (ours,) = [one for one in self.deployments if one["id"] == number]
        if request.body.get("auto_inactive", True) and request.body["state"] == "success":
            for one in self.deployments:
                is_like = one["environment"] == ours["environment"] and one["id"] < number
                if is_like and not one["production_environment"] and self.state(one) == "success":
                    self._add_deployment_status(one["id"], state="inactive", description="")
        fields = {key: one for key, one in request.body.items() if key != "auto_inactive"}
        return Reply(status=201, body=self._add_deployment_status(number, **fields))

    def _add_deployment_status(self, number: int, **fields: Any) -> dict[str, Any]:
        made = DESCRIPTION.example("deployment-status", id=next(self.ids), **fields)
        self.deployment_statuses[number].append(made)
        return made

    def state(self, deployment: Mapping[str, Any]) -> str:
        """Return what a deployment's newest status says."""
        statuses = self.deployment_statuses[deployment["id"]]
        return str(statuses[-1]["state"]) if statuses else "pending"

    def _find_release(self, number: int) -> dict[str, Any] | None:
        return next((one for one in self.releases.values() if one["id"] == number), None)

    def _publish(self, release: dict[str, Any], asked: Mapping[str, object]) -> None:
        if not release["draft"]:
            release["immutable"] = self.immutable
            if asked.get("make_latest", "true") == "true" and not release["prerelease"]:
                self.latest = release["tag_name"]


def make_user(login: str) -> dict[str, Any]:
    kind = "Bot" if "[" in login else "User"
    return DESCRIPTION.example("simple-user", login=login, type=kind)


def make_repository(full_name: str) -> dict[str, Any]:
    owner, _, name = full_name.partition("/")
    return DESCRIPTION.example("repository", full_name=full_name, name=name, owner=make_user(owner))


def _fill_check_run(run: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    output = run["output"] | body.get("output", {})
    run.update({**body, "output": output})
    if body.get("status") == "in_progress":
        run["conclusion"] = None
    return run


def _as_node(pull: dict[str, Any]) -> dict[str, Any]:
    repository = pull["head"]["repo"]
    return {
        "state": {"open": "OPEN", "closed": "CLOSED"}[pull["state"]],
        "headRefOid": pull["head"]["sha"],
        "headRefName": pull["head"]["ref"],
        "baseRefName": pull["base"]["ref"],
        "headRepository": repository and {"nameWithOwner": repository["full_name"]},
    }


def _check_graphql(body: dict[str, Any]) -> list[str]:
    """Return what is wrong with a GraphQL request: its operation and the types of its variables."""
    asked = (" ".join(body["query"].split()), body.get("variables", {}))
    for query, kinds in GRAPHQL.items():
        if asked[0] == query and {key: type(one) for key, one in asked[1].items()} == kinds:
            return []
    return [f"GraphQL does not know {asked}"]


def _invalid(message: str, **fields: object) -> Reply:
    url = "https://docs.github.com/rest"
    return Reply(status=422, body={"message": message, "documentation_url": url, **fields})


GRAPHQL: dict[str, dict[str, type]] = {
    "query { viewer { login } }": {},
    "query($owner: String!, $name: String!, $number: Int!) { viewer { login } "
    "repository(owner: $owner, name: $name) { pullRequest(number: $number) { "
    "state headRefOid headRefName baseRefName headRepository { nameWithOwner } } } }": {
        "owner": str,
        "name": str,
        "number": int,
    },
    "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { "
    "minimizedComment { isMinimized } } }": {"id": str},
    "query($owner: String!, $name: String!) { "
    "repository(owner: $owner, name: $name) { viewerDefaultMergeMethod } }": {
        "owner": str,
        "name": str,
    },
    "mutation($id: ID!, $sha: GitObjectID!, $method: PullRequestMergeMethod!) { "
    "enablePullRequestAutoMerge( input: {pullRequestId: $id, expectedHeadOid: $sha, "
    "mergeMethod: $method} ) { clientMutationId } }": {"id": str, "sha": str, "method": str},
}
"""Compared with GitHub's public schema (npm's @octokit/graphql-schema 15.26.1): all is in it."""

STORE = "/store/"
DESCRIPTION = read_description()
NOT_FOUND = Reply(status=404, body={"message": "Not Found"})
Handle = Callable[[FakeGitHub, Request], Reply]
ROUTES: tuple[tuple[str, str, Handle], ...] = (
    ("GET", r"/issues/(\d+)/comments", FakeGitHub.list_comments),
    ("POST", r"/issues/(\d+)/comments", FakeGitHub.create_comment),
    ("PATCH", r"/issues/comments/(\d+)", FakeGitHub.update_comment),
    ("DELETE", r"/issues/comments/(\d+)", FakeGitHub.delete_comment),
    ("GET", r"/pulls/(\d+)", FakeGitHub.get_pull),
    ("PATCH", r"/pulls/(\d+)", FakeGitHub.update_pull),
    ("GET", r"/pulls", FakeGitHub.list_pulls),
    ("POST", r"/pulls", FakeGitHub.create_pull),
    ("GET", r"/issues", FakeGitHub.list_issues),
    ("POST", r"/issues", FakeGitHub.create_issue),
    ("PATCH", r"/issues/(\d+)", FakeGitHub.update_issue),
    ("POST", r"/issues/(\d+)/labels", FakeGitHub.add_labels),
    ("GET", r"/commits/([0-9a-f]+)/check-runs", FakeGitHub.list_check_runs),
    ("GET", r"/commits/([0-9a-f]+)/pulls", FakeGitHub.list_pulls_of),
    ("POST", r"/actions/workflows/([^/]+)/dispatches", FakeGitHub.dispatch),
    ("POST", r"/check-runs", FakeGitHub.create_check_run),
    ("PATCH", r"/check-runs/(\d+)", FakeGitHub.update_check_run),
    ("POST", r"/statuses/([0-9a-f]+)", FakeGitHub.create_status),
    ("GET", r"/git/matching-refs/(.+)", FakeGitHub.match_refs),
    ("POST", r"/git/refs", FakeGitHub.create_ref),
    ("PATCH", r"/git/refs/(.+)", FakeGitHub.update_ref),
    ("DELETE", r"/git/refs/(.+)", FakeGitHub.delete_ref),
    ("POST", r"/git/blobs", FakeGitHub.create_blob),
    ("POST", r"/git/trees", FakeGitHub.create_tree),
    ("GET", r"/git/trees/([0-9a-f]+)", FakeGitHub.get_tree),
    ("POST", r"/git/commits", FakeGitHub.create_commit),
    ("GET", r"/git/commits/([0-9a-f]+)", FakeGitHub.get_commit),
    ("GET", r"/actions/runs/(\d+)/artifacts", FakeGitHub.list_artifacts),
    ("GET", r"/actions/artifacts/(\d+)/zip", FakeGitHub.send_artifact),
    ("GET", r"/deployments", FakeGitHub.list_deployments),
    ("POST", r"/deployments", FakeGitHub.create_deployment),
    ("GET", r"/deployments/(\d+)/statuses", FakeGitHub.list_deployment_statuses),
    ("POST", r"/deployments/(\d+)/statuses", FakeGitHub.create_deployment_status),
    ("GET", r"/git/ref/tags/([^/]+)", FakeGitHub.get_tag),
    ("GET", r"/releases/tags/([^/]+)", FakeGitHub.get_release),
    ("POST", r"/releases", FakeGitHub.create_release),
    ("PATCH", r"/releases/(\d+)", FakeGitHub.update_release),
    ("GET", r"/releases", FakeGitHub.list_releases),
    ("POST", r"/releases/(\d+)/assets", FakeGitHub.upload_asset),
    ("GET", r"/releases/assets/(\d+)", FakeGitHub.send_asset),
    ("DELETE", r"/releases/assets/(\d+)", FakeGitHub.delete_asset),
)


class _Server(ThreadingHTTPServer):
    github: FakeGitHub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    disable_nagle_algorithm = True  # as real servers do: a larger body is not held back for 40 ms
    timeout = 10

    def _handle(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        reply = cast("_Server", self.server).github.answer(
            Request(
                method=self.command,
                path=address.path,
                query=address.query,
                headers={key.lower(): value for key, value in self.headers.items()},
                body=self._read_body(body),
            )
        )
        if reply is None:
            self.close_connection = True
            return
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.status == 204:
            data = b""
        self.send_response(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _read_body(self, data: bytes) -> object:
        if self.headers.get("content-type", "") == "application/octet-stream":
            return data
        return json.loads(data) if data else None

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@contextmanager
def serve(github: FakeGitHub) -> Iterator[FakeGitHub]:
    """Serve it until the block ends; its ``url`` says where."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.github = github
    github.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert not github.violations, "\n".join(github.violations)
