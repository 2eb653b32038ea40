"""Git remotes on loopback: by smart HTTP through git's own http-backend, or by SSH."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RECEIVE = "git-receive-pack"


@dataclass(kw_only=True)
class HttpRemote:
    """Serves the bare repositories of a folder.

    With ``cut`` set a push is taken, but the connection ends before its answer; then, until
    ``mend``, nobody answers at all.
    """

    folder: Path
    cut: threading.Event = field(default_factory=threading.Event)
    down: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    idle: threading.Condition = field(default_factory=threading.Condition)
    busy: int = 0

    def wait(self) -> None:
        """Wait until every request that has come is done with."""
        with self.idle:
            assert self.idle.wait_for(lambda: self.busy == 0, timeout=100)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        with self.idle:
            self.busy += 1
        try:
            yield
        finally:
            with self.idle:
                self.busy -= 1
                self.idle.notify_all()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def mend(self) -> None:
        self.cut.clear()
        self.down.clear()


@contextlib.contextmanager
def serve_http(folder: Path) -> Iterator[HttpRemote]:
    """Serve until the end of the ``with`` block."""
    remote = HttpRemote(folder=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(remote))
    server.daemon_threads = False
    remote.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield remote
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(remote: HttpRemote) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            with remote.working(), contextlib.suppress(ConnectionError):
                self._run(b"")

        def do_POST(self) -> None:
            with remote.working(), contextlib.suppress(ConnectionError):
                self._run(self.rfile.read(int(self.headers["Content-Length"])))

        def _run(self, body: bytes) -> None:
            if remote.down.is_set():
                return
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                check=False,
                env={**os.environ, **self._environment(path, query, len(body))},
            )
            if remote.cut.is_set() and self.command == "POST" and path.endswith(RECEIVE):
                remote.down.set()
                return
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            fields = [line.partition(": ")[::2] for line in head.decode().split("\r\n")]
            status = next((value for key, value in fields if key == "Status"), "200 OK")
            self.send_response(int(status.split(" ", 1)[0]))
            for key, value in fields:
                if key != "Status":
                    self.send_header(key, value)
            self.end_headers()
            self.wfile.write(rest)

        def _environment(self, path: str, query: str, size: int) -> dict[str, str]:
            return {
                "GIT_PROJECT_ROOT": str(remote.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(size),
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "REMOTE_USER": "pusher",
                "REMOTE_ADDR": "127.0.0.1",
            }

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@dataclass(kw_only=True)
class SshRemote:
    """``command`` is what Git has to call for ``ssh``."""

    port: int
    command: str

    def url(self, repository: Path) -> str:
        return f"ssh://git@127.0.0.1:{self.port}{repository}"


@contextlib.contextmanager
def serve_ssh(keys: Path) -> Iterator[SshRemote]:
    """Run an SSH server until the end of the ``with`` block."""
    script = str(Path(__file__).with_name("sshd.py"))
    with subprocess.Popen([sys.executable, script, str(keys)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            (keys / "key").chmod(0o600)  # else ssh ignores it
            options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            command = f"ssh -q -i {keys / 'key'} {options}"
            yield SshRemote(port=port, command=command)
        finally:
            server.terminate()
