"""A ``server`` target with the stand-in for the model server, and clients that ask it."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes import model_server
from tests.fakes.model_server import Behaviour
from tests.fakes.ports import free_port
from tests.fakes.progress import RecordedProgress

from modelci.adapters.targets.server import ServerTarget
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.switching import launch
from modelci.config.model import ServerTargetConfig, SwitchKind, TargetConfig, TargetKind
from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile, Running
from modelci.domain.golden import Environment, Health

ARTIFACT = "credit"


class FakeProbe:
    """Believes what the stand-in says of its health, without a process for it."""

    def check(self, folder: Path, *, python: Path | None, latency_ms: float | None) -> Health:
        del python, latency_ms
        release = codec.read(Release, folder / "release.json")
        told = json.loads((folder / release.model).read_text(encoding="utf-8"))
        problems = () if told["is_healthy"] else ("row 1: score is 0.5, not 0.7",)
        return Health(ok=told["is_healthy"], problems=problems, rows=20, p99_ms=0.2)

    def environment(self, python: Path | None) -> Environment:
        del python
        return Environment(python="3.11.7")


@dataclass(frozen=True, kw_only=True)
class World:
    """A target in ``folder`` that listens on ``port``."""

    folder: Path
    port: int
    config: TargetConfig

    @classmethod
    def make(cls, tmp_path: Path, *, switch: str = "builtin") -> Self:
        return cls.at(tmp_path, free_port(), switch)

    @classmethod
    def at(cls, tmp_path: Path, port: int, switch: str) -> Self:
        """Return the world that there is, as another process finds it."""
        config = TargetConfig(
            kind=TargetKind.SERVER,
            path=str(tmp_path / "prod"),
            server=ServerTargetConfig(listen=f"127.0.0.1:{port}", switch=SwitchKind(switch)),
            timeout_seconds=60,
        )
        return cls(folder=tmp_path, port=port, config=config)

    @property
    def target(self) -> ServerTarget:
        """The target as another process would find it."""
        settings = TargetSettings(
            name="prod",
            config=self.config,
            root=self.folder,
            progress=RecordedProgress(),
            serving={"timeout_seconds": 5.0, "drain_seconds": 0.0},
        )
        server = (str(Path(model_server.__file__)),)
        return ServerTarget(settings, probe=FakeProbe(), server=server)

    @property
    def run(self) -> Path:
        return self.folder / "prod/.server"

    def release(self, name: str, *, artifact: str = ARTIFACT, **behaviour: object) -> Release:
        """Write a release's folder and return its document."""
        folder = self.folder / "work" / artifact / name
        told = Behaviour(name=name, **behaviour)  # type: ignore[arg-type]
        data = model_server.write_behaviour(folder, told)
        digest = hashlib.sha256(artifact.encode() + data).hexdigest()
        release = Release(
            id=f"{name}-{digest[:12]}",
            artifact=artifact,
            version=None,
            commit="c" * 40,
            model="model/behaviour.json",
            files=(
                ReleaseFile(
                    path="model/behaviour.json",
                    sha256=hashlib.sha256(data).hexdigest(),
                    bytes=len(data),
                ),
            ),
        )
        codec.write(release, folder / "release.json")
        return release

    def stage(self, name: str, *, artifact: str = ARTIFACT, **behaviour: object) -> Release:
        release = self.release(name, artifact=artifact, **behaviour)
        folder = self.folder / "work" / artifact / name
        self.target.stage(release, folder, python=None)
        return release

    def deploy(self, name: str, *, artifact: str = ARTIFACT, **behaviour: object) -> Release:
        """Stage, check and switch to a release."""
        release = self.stage(name, artifact=artifact, **behaviour)
        health = self.target.check(release, latency_ms=None)
        assert health.ok, health
        self.target.switch(running(release))
        return release

    def play(self, script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run a script in a process of its own, which is told where everything is."""
        return subprocess.run(
            self._command(script, arguments),
            cwd=TOP,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    @contextmanager
    def start(self, script: str) -> "Iterator[subprocess.Popen[bytes]]":
        """Run a script while the block runs; it may end itself."""
        with subprocess.Popen(self._command(script, ()), cwd=TOP) as process:
            try:
                yield process
            finally:
                process.kill()

    def _command(self, script: str, arguments: Sequence[object]) -> list[str]:
        where = (self.folder, self.port, self.config.server.switch)
        return [sys.executable, "-c", script, *map(str, (*where, *arguments))]

    def ask(self, value: float = 0.0, *, artifact: str = ARTIFACT) -> dict[str, Any]:
        """Ask for one prediction and return the answer."""
        status, document = ask(self.port, value, artifact=artifact)
        assert status == 200, document
        return document

    def answering(self, *, artifact: str = ARTIFACT) -> str:
        """Return the id of the release that answers."""
        return str(self.ask(artifact=artifact)["model_version"])

    def status(self) -> dict[str, Any]:
        status = self.target.status()
        assert status is not None
        return dict(status)

    def pid_of(self, release: Release) -> int:
        return int(self.status()["releases"][release.id]["pid"])


def running(release: Release, *, tag: str = "", reason: str | None = None) -> Running:
    return Running(
        release=release.id,
        artifact=release.artifact,
        version=release.version,
        tag=tag or f"{release.artifact}#prod#{release.id}",
        commit=release.commit,
        assigned_seconds=1,
        since="2026-01-01T00:00:00+00:00",
        reason=reason,
    )


def ask(
    port: int, value: float = 0.0, *, artifact: str = ARTIFACT, seconds: float = 60
) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        return _predict(connection, value, artifact)
    finally:
        connection.close()


def _predict(connection: HTTPConnection, value: float, artifact: str) -> tuple[int, dict[str, Any]]:
    connection.request(
        "POST",
        f"/v2/models/{artifact}/infer",
        body=json.dumps({"value": value}),
        headers={"content-type": "application/json"},
    )
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def wait_for(what: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait until something is true; an error is not yet true."""
    ends = time.monotonic() + seconds
    while True:
        try:
            if what():
                return
        except (AssertionError, KeyError, OSError, HTTPException) as error:
            if time.monotonic() > ends:
                raise AssertionError("it did not come to that") from error
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)


@dataclass
class Load:
    """Clients that ask one prediction after the other, on connections that stay."""

    port: int
    clients: int = 4
    artifact: str = ARTIFACT
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for one in self._threads:
            one.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    @property
    def count(self) -> int:
        return sum(self.answers.values()) + len(self.failures)

    def more(self, requests: int, *, seconds: float = 60.0) -> None:
        """Wait for so many more requests."""
        until = self.count + requests
        wait_for(lambda: self.count >= until, seconds=seconds)

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._over.is_set():
            began = time.perf_counter()
            try:
                status, document = _predict(connection, 0.5, self.artifact)
            except (OSError, HTTPException, ValueError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
                continue
            self.latencies.append(time.perf_counter() - began)
            if status == 200:
                self.answers[document["model_version"]] += 1
            else:
                self.failures.append(f"{status}: {document}")
        connection.close()


@contextmanager
def served(world: World) -> Iterator[World]:
    """Stop whatever the target has started, in the end."""
    try:
        yield world
    finally:
        world.target.stop()


def with_config(world: World, **server: object) -> World:
    changed = replace(world.config.server, **server)  # type: ignore[arg-type]
    return replace(world, config=replace(world.config, server=changed))


def get(port: int, path: str) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def is_alive(pid: int) -> bool:
    return launch.identity(pid) is not None


BOOT = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
TOP = Path(__file__).parents[2]
