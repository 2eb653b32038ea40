"""``modelci deploy`` to a target that serves, and ``modelci serve --target`` that keeps it up."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo
from tests.e2e.test_serve import DVC_YAML, Project
from tests.fakes.ports import free_port
from tests.fakes.serving import ROW, score, write_release
from tests.integration.serving import wait_for

from modelci.cli import main
from modelci.wiring import App

SETTINGS = """\
deploy:
  strategy: {{kind: all, watch_seconds: 0.2}}
  targets:
    prod:
      kind: server
      path: {path}
      stages: [prod]
      environment: current
      server: {{listen: "127.0.0.1:{port}", switch: builtin}}
    files: {{kind: directory, path: files}}
serve: {{drain_seconds: 0, timeout_seconds: 5}}
"""


@dataclass(frozen=True)
class Site:
    project: Project
    port: int

    def modelci(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["-C", str(self.project.root), *arguments])

    def ask(self) -> dict[str, object]:
        reply = httpx.post(f"http://127.0.0.1:{self.port}/predict", json=[ROW], timeout=60)
        assert reply.status_code == 200, reply.text
        content: dict[str, object] = reply.json()
        return content

    def promote(self, release: Path, version: str, number: int) -> None:
        self.project.commit(release)
        with Repo(self.project.root) as repo:
            repo.push()
        for name in (f"credit@{version}", f"credit#prod#{number}"):
            self.project.git("tag", "--annotate", name, "--message", "Promote")
        self.project.git("push", "origin", "main", "--tags")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    project = Project(tmp_path / "project")
    project.root.mkdir()
    subprocess.run(["git", "init", "--bare", "--quiet", str(tmp_path / "origin")], check=True)
    project.git("init")
    project.git("remote", "add", "origin", str(tmp_path / "origin"))
    with Repo.init(str(project.root)) as repo, repo.config.edit() as config:
        config["core"]["remote"] = "store"
        config["remote"]["store"] = {"url": str(tmp_path / "store")}
    (project.root / "dvc.yaml").write_text(DVC_YAML)
    text = SETTINGS.format(path=tmp_path / "target", port=port)
    (project.root / "modelci.yaml").write_text(text)
    write_release(tmp_path / "one", slope=1)
    write_release(tmp_path / "two", slope=2)
    made = Site(project, port)
    made.promote(tmp_path / "one", "v1.0.0", 1)
    try:
        yield made
    finally:
        App(str(project.root)).deploying.server_target("prod").stop()


def test_what_was_promoted_answers_and_is_kept_up_by_systemds_command(
    site: Site, tmp_path: Path
) -> None:
    done = site.modelci("deploy", "credit#prod")
    assert done.exit_code == 0, done.output
    answer = site.ask()
    assert answer["version"] == "v1.0.0"
    assert answer["predictions"] == [{"score": pytest.approx(score(ROW, 1))}]
    stopped = site.modelci("serve", "--target", "prod", "--stop")
    assert stopped.output == f"prod: stopped; nobody answers at 127.0.0.1:{site.port} any more.\n"
    again = site.modelci("serve", "--target", "prod", "--stop")
    assert (again.exit_code, again.output) == (0, "prod: nothing was running.\n")
    listed = site.modelci("deployments", "--plain")
    assert listed.output.endswith("\tdown\n")
    with keeping(site) as served:
        wait_for(lambda: answers(site), seconds=200)
        site.promote(tmp_path / "two", "v2.0.0", 2)
        done = site.modelci("deploy", "credit#prod")
        assert done.exit_code == 0, done.output
        assert site.ask()["version"] == "v2.0.0"
        assert site.modelci("deployments", "--plain").output.endswith("\tcurrent\n")
        served.send_signal(signal.SIGTERM)
        assert served.wait(100) == 0
    with pytest.raises(httpx.ConnectError):
        site.ask()


@contextmanager
def keeping(site: Site) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "modelci", "serve", "--target", "prod"]
    with subprocess.Popen(command, cwd=site.project.root) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(site: Site) -> bool:
    try:
        site.ask()
    except httpx.TransportError:
        return False
    return True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "moon"), "has no 'moon' of kind server"),
        (("--target", "files"), "has no 'files' of kind server"),
        (("--stop",), "--stop goes with --target"),
        (("--target", "prod", "credit"), "and model something else"),
        (("--target", "prod", "--port", "1", "--pull"), "and --port, --pull something else"),
    ],
)
def test_what_no_target_serves_is_an_error(
    site: Site, arguments: tuple[str, ...], said: str
) -> None:
    done = site.modelci("serve", *arguments)
    assert done.exit_code == 2
    assert said in done.output
    assert "Hint: " in done.output
