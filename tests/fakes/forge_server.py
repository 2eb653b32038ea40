"""What the small forges on loopback share: HTTP, tokens, routes, and failing on demand."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit


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
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    user: str = ""
    arguments: tuple[str, ...] = ()


Handle = Callable[[Any, Request], Reply]
Route = tuple[str, str, Handle]


@dataclass(kw_only=True)
class ForgeServer:
    """The state of one forge; ``prefix`` is the path that it lives below."""

    prefix: str = ""
    url: str = ""
    users: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: count(1001))

    api: str = ""
    routes: tuple[Route, ...] = ()

    @property
    def api_url(self) -> str:
        return f"{self.url}{self.prefix}{self.api}"

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        message: object = "",
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

    def asked(self) -> list[str]:
        """Return the requests so far as ``METHOD /path`` below the API."""
        root = f"{self.prefix}{self.api}"
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
        user = self.users.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            return Reply(status=401, body={"message": "401 Unauthorized"})
        for method, pattern, handle in self.routes:
            match = re.fullmatch(f"{self.prefix}{self.api}{pattern}", request.path)
            if match and method == request.method:
                arguments = tuple(unquote(group) for group in match.groups())
                return handle(self, replace(request, user=user, arguments=arguments))
        return Reply(status=404, body={"message": f"404 Not Found: {request.path}"})


def page(
    request: Request, found: list[dict[str, Any]], *, size: int, usual: int, limit: int
) -> tuple[list[dict[str, Any]], int, bool]:
    """Return a page of ``found``, its number, and whether there are more."""
    number = int(request.query.get("page", 1))
    length = min(size or usual, limit)
    return found[(number - 1) * length : number * length], number, number * length < len(found)


class _Server(ThreadingHTTPServer):
    forge: ForgeServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    disable_nagle_algorithm = True  # as real servers do: a larger body is not held back for 40 ms
    timeout = 10

    def _handle(self) -> None:
        address = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        reply = cast("_Server", self.server).forge.answer(
            Request(
                method=self.command,
                path=address.path,
                query=dict(parse_qsl(address.query)),
                headers={key.lower(): value for key, value in self.headers.items()},
                body=self._read_body(data),
            )
        )
        if reply is None:
            self.close_connection = True
            return
        sent = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.status == 204:
            sent = b""
        self.send_response(reply.status)
        for key, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def _read_body(self, data: bytes) -> object:
        """Return the JSON, or the fields of a form: (file name, contents) by field name."""
        kind = self.headers.get("content-type", "")
        if kind == "application/octet-stream":
            return data
        if not kind.startswith("multipart/form-data"):
            return json.loads(data) if data else None
        form = message_from_bytes(
            b"Content-Type: " + kind.encode() + b"\r\n\r\n" + data, policy=HTTP
        )
        return {
            part.get_param("name", header="content-disposition"): (
                part.get_filename(),
                part.get_payload(decode=True),
            )
            for part in form.iter_parts()
        }

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


S = TypeVar("S", bound=ForgeServer)


@contextmanager
def serve(forge: S) -> Iterator[S]:
    """Serve it until the block ends; its ``url`` says where."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.forge = forge
    forge.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
