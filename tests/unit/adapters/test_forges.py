"""How forges are opened: by kind, and without loading what another one wants."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge import FORGES, ForgeSettings
from modelci.adapters.forge.gitea import GiteaForge
from modelci.adapters.forge.github import GitHubForge
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.gitlab import GitLabForge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.local import LocalForge
from modelci.errors import ConfigError, ForgeError


def test_a_forge_is_opened_by_kind(tmp_path: Path) -> None:
    settings = ForgeSettings(
        progress=RecordedProgress(),
        repository="acme/credit",
        api_url="https://forge.example/api/v4",
        token="x",
        folder=tmp_path,
    )
    assert {kind: type(forge(settings)) for kind, forge in FORGES.items()} == {
        "gitea": GiteaForge,
        "github": GitHubForge,
        "gitlab": GitLabForge,
        "local": LocalForge,
    }


def test_a_local_forge_wants_a_folder() -> None:
    with pytest.raises(ConfigError, match="no folder"):
        FORGES["local"](ForgeSettings(progress=RecordedProgress()))


def test_the_local_forge_loads_no_http_library() -> None:
    code = (
        "import sys, modelci.adapters.forge, modelci.adapters.forge.local;"
        "sys.exit('httpx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def make_client(failure: Exception, *, slept: list[float]) -> ForgeClient:
    def fail(request: httpx.Request) -> httpx.Response:
        ticks.append(30.0)
        raise failure

    ticks: list[float] = []
    return ForgeClient(
        "GitHub",
        "https://ghe.example/api/v3/",
        "secret",
        judge=judge,
        progress=RecordedProgress(),
        sleep=slept.append,
        clock=lambda: sum(ticks),
        transport=httpx.MockTransport(fail),
    )


def test_time_spent_on_replies_that_never_came_is_waiting_too() -> None:
    slept: list[float] = []
    client = make_client(httpx.ReadTimeout("timed out"), slept=slept)
    with pytest.raises(ForgeError, match=r"did not answer GET /api/v3/x: timed out\. Another try"):
        client.send("GET", "/x")
    assert slept == [1]


def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    slept: list[float] = []
    client = make_client(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), slept=slept)
    with pytest.raises(ForgeError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        client.send("GET", "/x")
    assert "SSL_CERT_FILE" in (caught.value.hint or "")
    assert not slept


def test_a_post_that_was_never_sent_is_sent_again() -> None:
    slept: list[float] = []
    client = make_client(httpx.ConnectTimeout("timed out"), slept=slept)
    with pytest.raises(ForgeError, match="Another try"):
        client.send("POST", "/x", {})
    assert slept == [1]
