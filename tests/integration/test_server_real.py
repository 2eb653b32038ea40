"""The target ``server`` with the real model server, real models and real checks."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from tests.fakes.ports import free_port
from tests.fakes.progress import RecordedProgress
from tests.fakes.serving import ROW, score, write_release
from tests.integration.serving import running, wait_for

from modelci.adapters.ci import bare_environment
from modelci.adapters.targets import connect
from modelci.adapters.targets.server import ServerTarget
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.switching.switches import find_haproxy
from modelci.config.model import ServerTargetConfig, SwitchKind, TargetConfig, TargetKind
from modelci.domain.deployment import Release
from modelci.domain.golden import Health
from modelci.serving.settings import LogSettings, Settings


@dataclass
class Real:
    settings: TargetSettings
    port: int

    @property
    def target(self) -> ServerTarget:
        target = connect(self.settings)
        assert isinstance(target, ServerTarget)
        return target

    def stage(self, version: str, *, slope: float, said: float | None = None) -> Release:
        folder = self.settings.root / version
        release = write_release(folder, version=version, slope=slope, said=said)
        self.target.stage(release, folder, python=None)
        return release

    def deploy(self, version: str, *, slope: float) -> tuple[Release, Health]:
        release = self.stage(version, slope=slope)
        health = self.target.check(release, latency_ms=1000)
        assert health.ok, health
        self.target.switch(running(release))
        return release, health

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)


@pytest.fixture(params=["builtin", "haproxy"])
def real(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Real]:
    if request.param == "haproxy" and find_haproxy() is None:
        pytest.skip("there is no HAProxy here and `make haproxy` could not install it")
    port = free_port()
    serving = Settings(drain_seconds=0, log=LogSettings(path=str(tmp_path / "requests")))
    settings = TargetSettings(
        name="prod",
        config=TargetConfig(
            kind=TargetKind.SERVER,
            path="target",
            server=ServerTargetConfig(
                listen=f"127.0.0.1:{port}", switch=SwitchKind(request.param), workers=2
            ),
            timeout_seconds=200,
        ),
        root=tmp_path,
        progress=RecordedProgress(),
        bare=bare_environment(),
        serving=serving.as_json(),
    )
    made = Real(settings, port)
    try:
        yield made
    finally:
        made.target.stop()


def test_a_model_is_asked_switched_killed_and_gone_back_to(real: Real) -> None:
    first, health = real.deploy("v1.0.0", slope=1.0)
    assert health.rows > 0
    assert health.p99_ms is not None
    with real.client() as client:
        said = client.post("/predict", json=[ROW]).json()
        assert said["version"] == "v1.0.0"
        assert said["predictions"][0]["score"] == pytest.approx(score(ROW, 1.0), abs=1e-5)
        second, _ = real.deploy("v2.0.0", slope=2.0)
        said = client.post("/predict", json=[ROW]).json()
        assert said["version"] == "v2.0.0"
        assert said["predictions"][0]["score"] == pytest.approx(score(ROW, 2.0), abs=1e-5)
        assert client.get("/v2/models/credit").json()["versions"] == ["v2.0.0"]
        # The supervisor of its two workers is killed: they must not go on without it.
        status = real.target.status()
        assert status is not None
        os.kill(status["releases"][second.id]["pid"], signal.SIGKILL)
        wait_for(lambda: is_answered(client), seconds=200)
        real.target.switch(running(first, reason="back"))
        assert client.post("/predict", json=[ROW]).json()["version"] == "v1.0.0"
    assert list((real.settings.root / "requests").iterdir())


def is_answered(client: httpx.Client) -> bool:
    """Say whether a row is scored; a kill may cut the answer that is being written."""
    try:
        return client.post("/predict", json=[ROW]).status_code == 200
    except httpx.TransportError:
        return False


def test_a_model_that_does_not_answer_as_at_training_is_not_let_near(real: Real) -> None:
    real.deploy("v1.0.0", slope=1.0)
    wrong = real.stage("v2.0.0", slope=2.0, said=1.0)
    health = real.target.check(wrong, latency_ms=None)
    assert not health.ok
    assert "row 1: score is" in health.problems[0]
    slow = real.target.check(real.stage("v3.0.0", slope=3.0), latency_ms=1e-9)
    assert not slow.ok
    with real.client() as client:
        assert client.post("/predict", json=[ROW]).json()["version"] == "v1.0.0"


def test_a_canary_of_real_models_is_compared(real: Real) -> None:
    real.deploy("v1.0.0", slope=1.0)
    second = real.stage("v2.0.0", slope=2.0)
    real.target.try_out(second, share=0.5, shadow=False)
    with real.client() as client:
        for _ in range(60):
            assert client.post("/predict", json=[ROW]).status_code == 200
    seen = real.target.observe(second, seconds=60)
    assert seen is not None
    assert 5 < seen.requests < 55
    assert seen.errors == 0
    if real.settings.config.server.switch == "builtin":
        wait_for(lambda: compared(real, second) > 5)
        seen = real.target.observe(second, seconds=60)
        assert seen is not None
        assert seen.divergence == pytest.approx(score(ROW, 2.0) - score(ROW, 1.0), abs=1e-4)


def compared(real: Real, release: Release) -> int:
    seen = real.target.observe(release, seconds=60)
    return seen.compared if seen else 0


def test_only_who_has_the_token_is_answered(real: Real) -> None:
    settings = Settings(drain_seconds=0).with_tokens("secret")
    real.settings = replace(real.settings, serving=settings.as_json())
    real.deploy("v1.0.0", slope=1.0)
    with real.client() as client:
        assert client.post("/predict", json=[ROW]).status_code == 401
        bearer = {"authorization": "Bearer secret"}
        assert client.post("/predict", json=[ROW], headers=bearer).status_code == 200
