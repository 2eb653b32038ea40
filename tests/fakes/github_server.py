"""A small GitHub on loopback: it keeps comments, tags and releases, and fails on demand.

It answers the requests that modelci sends, with the statuses, headers and the fields that
GitHub documents for them; whatever else is asked is a 404.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

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
class FakeGitHub:
    """The state of one repository; ``prefix`` is /api/v3 on Enterprise Server."""

    prefix: str = ""
    url: str = ""
    logins: dict[str, str] = field(default_factory=lambda: {TOKEN: BOT})
    pulls: set[int] = field(default_factory=lambda: {7, 8})
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: count(1001))

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
        comment = {
            "id": (number_ := next(self.ids)),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}#issuecomment-{number_}",
            "body": body,
            "user": author and {"login": author, "type": "Bot" if "[" in author else "User"},
        }
        self.comments.setdefault(number, []).append(comment)
        return comment

    def asked(self) -> list[str]:
        """Return the requests so far as ``METHOD /path``, the repository left out."""
        root = f"{self.prefix}/repos/{REPOSITORY}"
        return [f"{one.method} {unquote(one.path.removeprefix(root))}" for one in self.requests]

    def answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        for fault in self.faults:
            if fault.method == request.method and request.path.endswith(fault.path):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                if fault.after:
                    self._route(request)
                return fault.reply
        return self._route(request)

    def _route(self, request: Request) -> Reply:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        login = self.logins.get(token)
        if login is None:
            return Reply(status=401, body={"message": "Bad credentials"})
        graphql = "/api/graphql" if self.prefix else "/graphql"
        if (request.method, request.path) == ("POST", graphql):
            return Reply(body={"data": {"viewer": {"login": login}}})
        for method, pattern, handle in ROUTES:
            match = re.fullmatch(f"{self.prefix}/repos/{REPOSITORY}{pattern}", request.path)
            if match and method == request.method:
                argument = unquote(match[1]) if match.groups() else ""
                return handle(self, replace(request, login=login, argument=argument))
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
        if number not in self.pulls:
            return NOT_FOUND
        if len(request.body["body"]) > 65_536:
            return Reply(status=422, body={"message": "Validation Failed"})
        comment = self.add_comment(number, request.body["body"], author=request.login)
        return Reply(status=201, body=comment)

    def update_comment(self, request: Request) -> Reply:
        for comment in (one for listed in self.comments.values() for one in listed):
            if comment["id"] == int(request.argument):
                comment["body"] = request.body["body"]
                return Reply(body=comment)
        return NOT_FOUND

    def get_tag(self, request: Request) -> Reply:
        tag = request.argument
        if tag not in self.tags:
            return NOT_FOUND
        return Reply(body={"ref": f"refs/tags/{tag}", "object": {"sha": self.tags[tag]}})

    def get_release(self, request: Request) -> Reply:
        tag = request.argument
        return Reply(body=self.releases[tag]) if tag in self.releases else NOT_FOUND

    def create_release(self, request: Request) -> Reply:
        tag = request.body["tag_name"]
        if tag in self.releases:
            error = {"resource": "Release", "code": "already_exists", "field": "tag_name"}
            return Reply(status=422, body={"message": "Validation Failed", "errors": [error]})
        url = f"https://github.com/{REPOSITORY}/releases/tag/{tag}"
        self.tags.setdefault(tag, "default branch")
        self.releases[tag] = {"id": next(self.ids), "html_url": url, **request.body}
        return Reply(status=201, body=self.releases[tag])

    def update_release(self, request: Request) -> Reply:
        for release in self.releases.values():
            if release["id"] == int(request.argument):
                release.update(request.body)
                return Reply(body=release)
        return NOT_FOUND


NOT_FOUND = Reply(status=404, body={"message": "Not Found"})
Handle = Callable[[FakeGitHub, Request], Reply]
ROUTES: tuple[tuple[str, str, Handle], ...] = (
    ("GET", r"/issues/(\d+)/comments", FakeGitHub.list_comments),
    ("POST", r"/issues/(\d+)/comments", FakeGitHub.create_comment),
    ("PATCH", r"/issues/comments/(\d+)", FakeGitHub.update_comment),
    ("GET", r"/git/ref/tags/([^/]+)", FakeGitHub.get_tag),
    ("GET", r"/releases/tags/([^/]+)", FakeGitHub.get_release),
    ("POST", r"/releases", FakeGitHub.create_release),
    ("PATCH", r"/releases/(\d+)", FakeGitHub.update_release),
)


class _Server(ThreadingHTTPServer):
    github: FakeGitHub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
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
                body=json.loads(body) if body else None,
            )
        )
        if reply is None:
            self.close_connection = True
            return
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = _handle  # noqa: N815

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
