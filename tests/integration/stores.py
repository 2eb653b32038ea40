"""Real servers on loopback to keep a DVC remote in, and what goes wrong on the way to them."""

import contextlib
import gc
import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.ports import free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DAV = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")
LACKING = {
    "ssh": None if SSHD else "there is no sshd (openssh-server): `make servers` installs it",
    "webdav": None
    if NGINX and DAV.exists()
    else "there is no nginx with its WebDAV module: `make servers` installs them",
    "http": None if NGINX else "there is no nginx: `make servers` installs it",
}
QUIET = [  # marks of tests that use these
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter:DeprecationWarning"),
]
KINDS = ("local", "s3", "ssh", "webdav", "http")

_SECONDS = 100
_REGION = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where a DVC remote is: ``options`` for .dvc/config, ``secrets`` for config.local.

    ``variables`` are a job's credentials; ``refused`` is a copy with ones that are not let in.
    """

    kind: str
    url: str
    port: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    refused: "Store | None" = None

    def below(self, name: str) -> "Store":
        """Return a remote of its own in the same server."""
        refused = self.refused.below(name) if self.refused else None
        url, folder = f"{self.url}/{name}", self.folder / name
        if self.kind in {"ssh", "local", "webdav"}:
            folder.mkdir(parents=True, exist_ok=True)
        return replace(self, url=url, folder=folder, refused=refused)

    def copy(self, name: str) -> "Store":
        """Return a remote of its own that has what this one has."""
        other = replace(self, url=self._beside(self.url, name), folder=self.folder.with_name(name))
        if self.kind == "s3":
            client = _client("s3", self.port, self.variables)
            here, there = (one.url.removeprefix("s3://models/") for one in (self, other))
            for one in client.list_objects_v2(Bucket="models", Prefix=here)["Contents"]:
                source = {"Bucket": "models", "Key": one["Key"]}
                key = one["Key"].replace(here, there, 1)
                client.copy_object(Bucket="models", Key=key, CopySource=source)
        else:
            shutil.copytree(self.folder, other.folder)
        refused = self.refused
        if refused:
            refused = replace(refused, url=self._beside(refused.url, name), folder=other.folder)
        return replace(other, refused=refused)

    @staticmethod
    def _beside(url: str, name: str) -> str:
        return f"{url.rpartition('/')[0]}/{name}"

    def by(self, port: int) -> "Store":
        """Return the same remote, reached by another port."""
        options = {
            key: value.replace(f":{self.port}", f":{port}") for key, value in self.options.items()
        }
        return replace(self, url=self.url.replace(f":{self.port}", f":{port}"), options=options)

    def configure(self, project: Path, *, name: str = "store", default: bool = True) -> None:
        """Add the remote to a project's settings."""
        config = f"[core]\n    remote = {name}\n" * default + _section(
            name, {"url": self.url, **self.options}
        )
        with (project / ".dvc" / "config").open("a") as file:
            file.write(config)
        self.give_secrets(project, name=name)

    def give_secrets(self, project: Path, *, name: str = "store") -> None:
        """Let a clone in, as a job's own step does."""
        if self.secrets:
            with (project / ".dvc" / "config.local").open("a") as file:
                file.write(_section(name, self.secrets))

    def read(self, hash_: str) -> bytes:
        if self.kind == "s3":
            data: bytes = self._s3("get_object", hash_)["Body"].read()
            return data
        return self._path(hash_).read_bytes()

    def tamper(self, hash_: str, data: bytes) -> None:
        """Put other bytes where an object's are, behind DVC's back."""
        if self.kind == "s3":
            self._s3("put_object", hash_, Body=data)
            return
        path = self._path(hash_)
        path.chmod(0o644)
        path.write_bytes(data)
        path.chmod(0o444)  # in a folder DVC looks twice at what could be written to

    def remove(self, hash_: str) -> None:
        if self.kind == "s3":
            self._s3("delete_object", hash_)
        else:
            self._path(hash_).unlink()

    def has(self, hash_: str) -> bool:
        if self.kind != "s3":
            return self._path(hash_).exists()
        with contextlib.suppress(Exception):
            return bool(self._s3("head_object", hash_))
        return False

    def _path(self, hash_: str) -> Path:
        return self.folder / "files" / "md5" / hash_[:2] / hash_[2:]

    def _s3(self, method: str, hash_: str, **given: object) -> Any:
        bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        key = f"{prefix}/files/md5/{hash_[:2]}/{hash_[2:]}"
        client = _client("s3", self.port, self.variables)
        return getattr(client, method)(Bucket=bucket, Key=key, **given)


def _section(name: str, values: Mapping[str, str]) -> str:
    lines = "".join(f"    {key} = {value}\n" for key, value in values.items())
    return f"['remote \"{name}\"']\n{lines}"


@contextlib.contextmanager
def serve(kind: str, folder: Path) -> Iterator[Store]:
    """Serve a store of that kind out of ``folder`` until the end of the ``with`` block."""
    with _SERVERS[kind](folder) as store:
        yield store
    with warnings.catch_warnings():
        # DVC's plug-ins leave connections open; they shall not be found in another test.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextlib.contextmanager
def _local(folder: Path) -> Iterator[Store]:
    yield Store(kind="local", url=str(folder), folder=folder)


@contextlib.contextmanager
def _s3(folder: Path) -> Iterator[Store]:
    """Run moto's server, which lets in only the user that it knows."""
    script = str(Path(__file__).with_name("s3server.py"))
    with (
        (folder / "log").open("wb") as log,
        _running([sys.executable, script], stdout=subprocess.PIPE, stderr=log) as server,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        variables = _first_user(port)
        store = Store(
            kind="s3",
            url="s3://models",
            port=port,
            options={"endpointurl": f"http://127.0.0.1:{port}"},
            variables=variables,
        )
        wrong = {**variables, "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
        yield replace(store, refused=replace(store, variables=wrong))


def _first_user(port: int) -> dict[str, str]:
    """Make a bucket and a user who may use it; from then on nobody else may."""
    anybody = {"AWS_ACCESS_KEY_ID": "first", "AWS_SECRET_ACCESS_KEY": "first", **_REGION}
    _client("s3", port, anybody).create_bucket(Bucket="models")
    iam = _client("iam", port, anybody)
    iam.create_user(UserName="job")
    policy = (
        '{"Version": "2012-10-17", "Statement": '
        '[{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    )
    iam.put_user_policy(UserName="job", PolicyName="models", PolicyDocument=policy)
    key = iam.create_access_key(UserName="job")["AccessKey"]
    httpx.post(f"http://127.0.0.1:{port}/moto-api/reset-auth", content=b"0").raise_for_status()
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        **_REGION,
    }


def _client(service: str, port: int, variables: Mapping[str, str]) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


@contextlib.contextmanager
def _ssh(folder: Path) -> Iterator[Store]:
    """Run OpenSSH's server, which lets in one key."""
    assert SSHD is not None
    for name in ("host", "key", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "key.pub", folder / "authorized")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's sshd wants to live
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'authorized'}\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    files = folder / "files"
    files.mkdir()
    with (
        (folder / "log").open("wb") as log,
        _running([SSHD, "-D", "-e", "-f", str(config)], stderr=log) as server,
    ):
        wait_for(port, server)
        store = Store(
            kind="ssh",
            url=f"ssh://{getpass.getuser()}@127.0.0.1:{port}{files}",
            port=port,
            secrets={"keyfile": str(folder / "key")},
            folder=files,
        )
        wrong = {"keyfile": str(folder / "other")}
        yield replace(store, refused=replace(store, secrets=wrong))


@contextlib.contextmanager
def _nginx(folder: Path, kind: str) -> Iterator[Store]:
    """Run nginx, which keeps files for whoever has the password."""
    assert NGINX is not None
    port = free_port()
    files = folder / "files"
    files.mkdir()
    (folder / "users").write_text("job:{PLAIN}secret\n")
    places = "".join(
        f"{name}_temp_path {folder / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    dav = "dav_ext_methods PROPFIND OPTIONS;" if kind == "webdav" else ""
    (folder / "nginx.conf").write_text(
        f"{f'load_module {DAV};' if dav else ''}\ndaemon off;\nmaster_process off;\n"
        f"pid {folder / 'pid'};\nevents {{}}\nhttp {{\naccess_log off;\n{places}"
        f"client_max_body_size 0;\nserver {{\nlisten 127.0.0.1:{port};\nroot {files};\n"
        f"auth_basic models;\nauth_basic_user_file {folder / 'users'};\n"
        f"dav_methods PUT DELETE MKCOL COPY MOVE;\n{dav}\ncreate_full_put_path on;\n}}\n}}\n"
    )
    log = str(folder / "log")
    command = [NGINX, "-p", str(folder), "-e", log, "-c", str(folder / "nginx.conf")]
    with _running(command) as server:
        wait_for(port, server)
        scheme = "webdav" if kind == "webdav" else "http"
        store = Store(
            kind=kind,
            url=f"{scheme}://127.0.0.1:{port}",
            port=port,
            options={"auth": "basic", "method": "PUT"} if kind == "http" else {},
            secrets={"user": "job", "password": "secret"},
            folder=files,
        )
        wrong = {"user": "job", "password": "guessed"}
        yield replace(store, refused=replace(store, secrets=wrong))


_SERVERS: Mapping[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "local": _local,
    "s3": _s3,
    "ssh": _ssh,
    "webdav": lambda folder: _nginx(folder, "webdav"),
    "http": lambda folder: _nginx(folder, "http"),
}


@contextlib.contextmanager
def _running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, **options) as server:
        try:
            yield server
        finally:
            server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, f"{server.args!r} ended with {server.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on {port}")


@dataclass
class Wire:
    """Passes connections on to ``target``, and cuts the next ``cuts`` that send many bytes back.

    ``after`` is how many bytes of an answer get through; ``passed`` counts those of all.
    """

    target: int
    after: int = 1 << 20
    cuts: int = 0
    made: int = 0
    passed: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take_cut(self) -> bool:
        """Whether this connection is to be cut now."""
        with self.lock:
            if self.made >= self.cuts:
                return False
            self.made += 1
            return True


@contextlib.contextmanager
def wire(target: int) -> Iterator[Wire]:
    """Listen on a port of its own until the end of the ``with`` block."""
    found = Wire(target)
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def begin(act: Any, *given: object) -> None:
        threads.append(threading.Thread(target=act, args=given))
        threads[-1].start()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", target))
                ends.extend((client, server))
                begin(_pass_on, client, server, None)
                begin(_pass_on, server, client, found)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        found.port = listener.getsockname()[1]
        begin(accept)
        try:
            yield found
        finally:
            _close(listener)
            threads[0].join()
            for one in ends:
                _close(one)
            for thread in threads:
                thread.join()


def _pass_on(source: socket.socket, sink: socket.socket, limits: Wire | None) -> None:
    sent = 0
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sent += len(data)
            if limits is not None:
                limits.passed += len(data)
                if sent > limits.after and limits.take_cut():
                    break
            sink.sendall(data)
    _close(source)
    _close(sink)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
