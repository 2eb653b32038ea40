"""An ``image`` target, a real registry on this machine, and packages that are quickly packed."""
# ruff: noqa: ARG002

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.ports import free_port
from tests.fakes.progress import RecordedProgress

from modelci.adapters.targets.image import ImageTarget
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.config.model import ImageTargetConfig, TargetConfig, TargetKind
from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile, Running
from modelci.domain.golden import Environment, Health

ARTIFACT = "credit"
NEEDED = ("umoci", "skopeo", "docker-registry")
RECORDED = Environment(
    python=".".join(map(str, sys.version_info[:3])),
    packages={"thing": "1.2.3", "absent": "9"},
    needs=("thing",),
)
USER, PASSWORD = "deployer", "correct-horse"
# As htpasswd writes it, by bcrypt with few rounds.
HTPASSWD = f"{USER}:$2b$05$EoKGazCpgguy4HQotTKXWuKc8RCrK1phqKOQc33jlLEYFLme66XjK"


def need_tools() -> None:
    missing = [one for one in NEEDED if shutil.which(one) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: `make images`")


@dataclass(kw_only=True)
class Registry:
    """Debian's docker-registry on a free port; what it stores lies in ``folder / "store"``."""

    folder: Path
    port: int
    needs_login: bool = False
    deletes: bool = True
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "store")},
                "delete": {"enabled": self.deletes},
            },
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        if self.needs_login:
            (self.folder / "htpasswd").write_text(f"{HTPASSWD}\n", encoding="utf-8")
            config["auth"] = {
                "htpasswd": {"realm": "test", "path": str(self.folder / "htpasswd")},
            }
        file = self.folder / "registry.yml"
        file.write_text(json.dumps(config), encoding="utf-8")
        with (self.folder / "registry.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", str(file)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 100
        while not self.is_up():
            assert time.monotonic() < deadline, (self.folder / "registry.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(100)
            self.process = None

    def is_up(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in {200, 401}
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def blob(self, digest: str) -> Path:
        kind, _, value = digest.partition(":")
        return self.folder / f"store/docker/registry/v2/blobs/{kind}/{value[:2]}/{value}/data"


@contextmanager
def running_registry(folder: Path, *, needs_login: bool = False) -> Iterator[Registry]:
    need_tools()
    folder.mkdir(parents=True, exist_ok=True)
    registry = Registry(folder=folder, port=free_port(), needs_login=needs_login)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


@dataclass(kw_only=True)
class Probe:
    """Believes in every release; remembers where it was to be looked at."""

    asked: list[tuple[Path, Path | None]] = field(default_factory=list)

    def check(self, folder: Path, *, python: Path | None, latency_ms: float | None) -> Health:
        self.asked.append((folder, python))
        return Health(ok=True, rows=8)

    def environment(self, python: Path | None) -> Environment:
        return RECORDED


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingTools(Tools):
    """Tools of which commands with all of these words fail, as long as there are some."""

    words: list[str]
    ran: list[str] = field(default_factory=list)

    def run(self, command: Sequence[str], *, stdin: bytes = b"") -> bytes:
        line = " ".join(command)
        if self.words and all(word in line for word in self.words):
            raise ToolError("the machine was switched off")
        self.ran.append(line)
        return Tools.run(self, command, stdin=stdin)


@dataclass(frozen=True, kw_only=True)
class World:
    """A machine with a folder; ``at`` is the registry's address, ``python`` has the packages."""

    folder: Path
    at: str
    python: Path
    base: str
    seed: Path | None = None
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    probe: Probe = field(default_factory=Probe)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    repository: str = "models/{artifact}"
    image: Mapping[str, Any] = field(default_factory=dict)
    insecure: bool = True

    @property
    def tools(self) -> Tools:
        return Tools(environment=self.environment, timeout_seconds=200)

    @property
    def settings(self) -> TargetSettings:
        image = ImageTargetConfig(
            repository=f"{self.at}/{self.repository}",
            base=self.base,
            insecure=self.insecure,
            **self.image,
        )
        config = TargetConfig(
            kind=TargetKind.IMAGE, stages=("prod",), image=image, python=str(self.python)
        )
        return TargetSettings(
            name="registry",
            config=config,
            root=self.folder,
            progress=self.progress,
            environment=self.environment,
            bare=dict(os.environ),
            known=lambda: ("credit", "scores"),
        )

    def target(self, tools: Tools | None = None) -> ImageTarget:
        """Return the target; what makes images slow is there already."""
        layout = self.settings.path / "layout"
        if self.seed is not None and not layout.exists():
            shutil.copytree(self.seed, layout)
        return ImageTarget(self.settings, probe=self.probe, tools=tools or self.tools)

    def release(self, content: str, *, artifact: str = ARTIFACT, **fields: Any) -> Release:
        return write_release(self.folder / "releases" / content, content, artifact, **fields)

    def path(self, content: str) -> Path:
        return self.folder / "releases" / content

    def stage(self, content: str, *, artifact: str = ARTIFACT) -> Release:
        release = self.release(content, artifact=artifact)
        self.target().stage(release, self.path(content), python=None)
        return release

    def deploy(self, content: str, *, artifact: str = ARTIFACT, number: int = 1) -> Release:
        release = self.stage(content, artifact=artifact)
        self.target().switch(running(release, number))
        return release

    def elsewhere(self, name: str, **fields: Any) -> "World":
        """Return another machine, which knows nothing of this one."""
        folder = self.folder.with_name(name)
        folder.mkdir()
        return replace(self, folder=folder, probe=Probe(), progress=RecordedProgress(), **fields)

    def inspect(self, tag: str, *options: str, artifact: str = ARTIFACT) -> bytes:
        """Ask the registry past our own code."""
        name = self.repository.replace("{artifact}", artifact)
        command = ("skopeo", "inspect", "--tls-verify=false", "--raw", *options)
        return self.tools.run([*command, f"docker://{self.at}/{name}:{tag}"])

    def digest(self, tag: str, *, artifact: str = ARTIFACT) -> str:
        return f"sha256:{sha256(self.inspect(tag, artifact=artifact)).hexdigest()}"


def write_release(folder: Path, content: str, artifact: str, **fields: Any) -> Release:
    """Write a release's folder the way the workflow does, and return its document."""
    data = content.encode() * 1000
    digest = sha256(data).hexdigest()
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model/credit.skops").write_bytes(data)
    release = Release(
        **{
            "id": f"v1.0.0-{digest[:12]}",
            "artifact": artifact,
            "version": "v1.0.0",
            "commit": "c" * 40,
            "model": "model/credit.skops",
            "files": (ReleaseFile(path="model/credit.skops", sha256=digest, bytes=len(data)),),
            "environment": RECORDED,
            **fields,
        }
    )
    codec.write(release, folder / "release.json")
    return release


def running(release: Release, number: int = 1, **fields: Any) -> Running:
    one = Running(
        release=release.id,
        artifact=release.artifact,
        version=release.version,
        tag=f"{release.artifact}#prod#{number}",
        commit=release.commit,
        assigned_seconds=number,
        since=f"2026-01-01T00:00:{number:02}+00:00",
        by="Ann",
    )
    return replace(one, **fields)


def make_python(folder: Path) -> Path:
    """Make an interpreter with stand-ins for what serving needs, and a package for the model."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in ("httptools", "msgspec", "numpy", "starlette", "uvicorn", "uvloop", "thing"):
        requires = ("other>=1",) if name == "thing" else ()
        add_package(site, name, "1.2.3", requires=requires)
    add_package(site, "other", "2.0")
    add_package(site, "unasked", "3.0")
    import packaging  # the interpreter is asked by means of the real one

    shutil.copytree(
        Path(packaging.__file__).parent,
        site / "packaging",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    files = sorted(one.relative_to(site) for one in (site / "packaging").rglob("*.py"))
    add_package(site, "packaging", packaging.__version__, files=[str(one) for one in files])
    return folder / "bin/python"


def add_package(
    site: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    files: Sequence[str] = (),
    direct_url: str | None = None,
) -> None:
    """Write a package the way pip leaves one behind, with what only this machine has of it."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/INSTALLER": f"installer of {site}\n",
    }
    if direct_url is not None:
        texts[f"{info}/direct_url.json"] = direct_url
    if not files:
        texts[f"{name}/__init__.py"] = f"version = {version!r}\n"
    for path, text in texts.items():
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_text(text, encoding="utf-8")
    listed = [*texts, *files, f"{info}/RECORD", f"../../../bin/{name}"]
    record = "".join(f"{path},sha256=x{name}{version},1\n" for path in listed)
    (site / info / "RECORD").write_text(record, encoding="utf-8")


def make_base(folder: Path, *, python: str = RECORDED.python, machine: str | None = None) -> str:
    """Make an image that stands for one with Python, and return how to name it as a base."""
    layout, archive = folder / "base", folder / "base.tar"
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("usr/bin/python3")
        tar.addfile(info)
    image = ("--image", f"{layout}:it")
    machines = [f"--architecture={machine}"] if machine else []
    for command in (
        ("init", "--layout", str(layout)),
        ("new", *image),
        ("config", *image, f"--config.env=PYTHON_VERSION={python}", "--config.cmd=python3"),
        ("config", *image, "--created=1970-01-01T00:00:00Z", *machines),
        ("raw", "add-layer", *image, str(archive)),
    ):
        subprocess.run(["umoci", *command], check=True, capture_output=True)
    return f"oci:{layout}:it"


@contextmanager
def cut_after(port: int, limit: int) -> Iterator[tuple[int, threading.Event]]:
    """Listen before a port; until the event is set, connections die after ``limit`` bytes."""
    is_well = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                with suppress(TimeoutError):
                    client, _ = server.accept()
                    threading.Thread(
                        target=_relay, args=(client, port, limit, is_well), daemon=True
                    ).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], is_well
        finally:
            is_over.set()
            thread.join()


def _relay(client: socket.socket, port: int, limit: int, is_well: threading.Event) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as upstream:
        back = threading.Thread(target=_copy, args=(upstream, client), daemon=True)
        back.start()
        sent = 0
        with suppress(OSError):
            while data := client.recv(4096):
                sent += len(data)
                if sent > limit and not is_well.is_set():
                    break
                upstream.sendall(data)
        for one in (client, upstream):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        back.join(5)


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
