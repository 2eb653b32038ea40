"""Hears a forge's webhooks. A valid one rings a bell; nothing else in it is read.

So whoever steals the secret can make us look at the Git remote, which we do anyway.
"""

import hashlib
import hmac
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modelci.errors import ConfigError, UsageError

HEALTH = "/health"
"""Where GET says that somebody listens; hooks may be sent to any path."""

MAX_BYTES = 1024 * 1024
"""A larger body is not read; GitHub's own limit is 25 MB, but it says nothing that we need."""

_MOST_DIGITS = 20  # Python refuses to read numbers of thousands of digits
_MOST_CONNECTIONS = 32


def is_authentic(header: Callable[[str], str], body: bytes, secret: str) -> bool:
    """Whether a request was signed with the secret, as GitHub, Gitea or GitLab do it.

    GitHub and Gitea sign the body (HMAC-SHA256), GitLab sends the secret itself. ``header`` returns
    a header's value, empty where there is none.
    """
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    expected = {
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-Gitea-Signature": digest,
        "X-Gitlab-Token": secret,
    }
    # All are compared, in a time that tells nothing of where they differ.
    found = [
        hmac.compare_digest(header(name).encode("utf-8", "replace"), value.encode())
        for name, value in expected.items()
    ]
    return any(found)


def parse_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; brackets around a host of IPv6 are taken off."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text!r} is no HOST:PORT.", hint="Such as 127.0.0.1:9000.")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def listen(
    address: str,
    *,
    secret: str | None,
    ring: Callable[[], None],
    notice_seconds: float = 0.5,
    silence_seconds: float | None = 10.0,
) -> Iterator[int]:
    """Listen at ``HOST:PORT`` while it lasts, and call ``ring`` for each valid hook.

    Yields the port. ``notice_seconds`` is how long it may take to end, ``silence_seconds`` how long
    a client is waited for (None: for ever). Raises ConfigError without a secret, or where nobody
    can listen there.
    """
    host, port = parse_address(address)
    if secret is None:
        raise ConfigError(
            "Webhooks need a secret: anybody could send one.",
            hint="Set MODELCI_WEBHOOK_SECRET to what the forge's webhook has as its secret.",
        )
    try:
        server = _Server((host, port), secret=secret, ring=ring, silence_seconds=silence_seconds)
    except OSError as error:
        raise ConfigError(
            f"Nobody can listen at {address}: {error.strerror}.", hint="Name another with --listen."
        ) from error
    thread = threading.Thread(
        target=server.serve_forever, args=(notice_seconds,), name="webhooks", daemon=True
    )
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = _MOST_CONNECTIONS  # of five, a sixth that comes at once waits a second

    def __init__(
        self,
        address: tuple[str, int],
        *,
        secret: str,
        ring: Callable[[], None],
        silence_seconds: float | None,
    ) -> None:
        self.secret, self.ring, self.silence_seconds = secret, ring, silence_seconds
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        """Answer in a thread of its own, of which there are only so many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "modelci", ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.silence_seconds)

    def do_POST(self) -> None:
        status = self._judge()
        if status is HTTPStatus.ACCEPTED:
            self.server.ring()
        self._answer(status)

    def do_GET(self) -> None:
        """Say that somebody listens: whoever sets a hook up looks at it with a browser."""
        if self.path == HEALTH:
            self._answer(HTTPStatus.OK, "ok")
        else:
            self._refuse()

    def _refuse(self) -> None:
        self._answer(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"Webhooks come by POST; GET {HEALTH} says whether somebody listens.",
        )

    do_HEAD = do_GET  # noqa: N815 - as http.server looks for them
    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no HTTP, or an unheard-of method, without a page of HTML."""
        del explain
        self._answer(HTTPStatus(code), message or "")

    def _answer(self, status: HTTPStatus, line: str = "") -> None:
        self.close_connection = True
        body = f"{line}\n".encode() if line else b""
        self.send_response(status)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        if body:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _judge(self) -> HTTPStatus:
        self.close_connection = True
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return HTTPStatus.LENGTH_REQUIRED
        if len(length) > _MOST_DIGITS or int(length) > MAX_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        body = self.rfile.read(int(length))
        is_whole = len(body) == int(length)
        is_ours = is_authentic(lambda name: self.headers.get(name, ""), body, self.server.secret)
        return HTTPStatus.ACCEPTED if is_whole and is_ours else HTTPStatus.FORBIDDEN

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write no log: a request's line is anybody's text."""
        del format, args
