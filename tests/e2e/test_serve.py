"""``modelci serve`` as people start it, in a project whose model DVC keeps."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from click.testing import CliRunner, Result
from dvc.repo import Repo
from tests.fakes.serving import ROW, score, write_release

from modelci.cli import main

DVC_YAML = "artifacts:\n  credit:\n    path: models/credit.onnx\n    type: model\n"


@dataclass(frozen=True)
class Project:
    """A repository with two versions of a model; only DVC's cache has the files."""

    root: Path

    def git(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, **(environment or {})},
            check=True,
            capture_output=True,
        )

    def commit(self, release: Path) -> None:
        models = self.root / "models"
        models.mkdir(exist_ok=True)
        shutil.copy(release / "model" / "credit.onnx", models / "credit.onnx")
        shutil.copy(release / "golden.json", models / "credit.golden.json")
        with Repo(self.root) as repo:
            repo.add([str(models / "credit.onnx"), str(models / "credit.golden.json")])
        self.git("add", "--all")
        self.git("commit", "--message", "A model")

    def serve(self, *arguments: str) -> Result:
        """Run the command to its end, which is an error."""
        return CliRunner().invoke(main, ["-C", str(self.root), "serve", *arguments])

    @contextmanager
    def serving(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Client]:
        """Run the command in a process, and give a client of it."""
        with self.started(*arguments, environment=environment) as (client, _):
            yield client

    @contextmanager
    def started(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
        """Run the command in a process, and give a client of it, and the process.

        Who reads where it answers may ask at once.
        """
        port = "0"
        with subprocess.Popen(
            [sys.executable, "-m", "modelci", "serve", "--port", port, *arguments],
            cwd=self.root,
            env={**os.environ, **(environment or {})},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said = []
            try:
                for line in process.stderr:
                    said.append(line)
                    if " answers at " in line:
                        break
                else:
                    raise AssertionError("".join(said))
                url = line.partition(" answers at ")[2].split()[0]
                with httpx.Client(base_url=url, timeout=100) as client:
                    yield client, process
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(100) == 0


@pytest.fixture(scope="module")
def template(untouched_by_the_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("serve")
    write_release(folder / "one", slope=1)
    write_release(folder / "two", slope=2)
    project = Project(folder / "project")
    project.root.mkdir()
    project.git("init")
    with Repo.init(str(project.root)):
        pass
    (project.root / "dvc.yaml").write_text(DVC_YAML)
    project.commit(folder / "one")
    project.git("tag", "--annotate", "credit@v1.0.0", "--message", "Register")
    project.git("tag", "--annotate", "credit#prod#1", "--message", "Assign")
    project.commit(folder / "two")
    return project


@pytest.fixture
def project(template: Project, tmp_path: Path) -> Project:
    shutil.copytree(template.root, tmp_path / "project", symlinks=True)
    for file in (tmp_path / "project" / "models").glob("credit.*"):
        if file.suffix != ".dvc":
            file.unlink()
    return Project(tmp_path / "project")


def ask(client: httpx.Client) -> dict[str, object]:
    reply = client.post("/predict", json=[ROW])
    assert reply.status_code == 200, reply.text
    content: dict[str, object] = reply.json()
    return content


@pytest.mark.parametrize("arguments", [(), ("credit",), ("models/credit.onnx",)])
def test_the_checkouts_model_is_served_from_the_cache(
    project: Project, arguments: tuple[str, ...]
) -> None:
    with project.serving(*arguments) as client:
        answer = ask(client)
        assert answer["model"] == "credit"
        assert answer["predictions"] == [{"score": pytest.approx(score(ROW, 2))}]
        # Its golden requests came along: types are known.
        assert client.post("/predict", json=[{**ROW, "amount": "x"}]).status_code == 422


@pytest.mark.parametrize("name", ["credit@v1.0.0", "credit#prod"])
def test_a_version_is_served_whatever_is_checked_out(project: Project, name: str) -> None:
    with project.serving(name, "--workers", "2") as client:
        answer = ask(client)
        assert answer["version"] == "v1.0.0"
        assert answer["predictions"] == [{"score": pytest.approx(score(ROW, 1))}]


def test_a_hangup_lets_it_ask_the_registry_again(project: Project) -> None:
    project.git("tag", "--annotate", "credit@v2.0.0", "--message", "Register", "HEAD")
    with project.started("credit#prod") as (client, process):
        assert ask(client)["version"] == "v1.0.0"
        # Tags count by the second.
        environment = {"GIT_COMMITTER_DATE": "2099-01-01T00:00:00Z"}
        project.git("tag", "-a", "credit#prod#2", "-m", "Assign", environment=environment)
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while ask(client)["version"] != "v2.0.0" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert ask(client)["predictions"] == [{"score": pytest.approx(score(ROW, 2))}]


def test_quiet_it_says_nothing_but_errors(template: Project) -> None:
    with (
        TemporaryDirectory(dir="/tmp") as short,  # a socket's path must be
        subprocess.Popen(
            [
                *(sys.executable, "-m", "modelci", "-q", "serve", "../one"),
                *("--onnx", "--workers", "2", "--uds", f"{short}/s"),
            ],
            cwd=template.root,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        deadline = time.monotonic() + 200
        while not is_heard(f"{short}/s") and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=100)[1] == ""
        assert process.returncode == 0


def is_heard(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


def test_a_release_is_served_from_its_folder(template: Project) -> None:
    with template.serving("../one") as client:
        assert ask(client)["version"] == "v1.0.0"


def test_requests_are_logged_and_a_token_is_wanted(project: Project) -> None:
    environment = {"MODELCI_SERVE_TOKEN": "s3cret", "MODELCI_SERVE_LOG_SAMPLE": "1.0"}
    with project.serving("--log", "requests", environment=environment) as client:
        assert client.post("/predict", json=[ROW]).status_code == 401
        client.headers["authorization"] = "Bearer s3cret"
        answer = ask(client)
    (file,) = (project.root / "requests").iterdir()
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert row["id"] == answer["id"]
    assert "s3cret" not in file.read_text()


def test_the_configuration_counts(project: Project) -> None:
    (project.root / "modelci.yaml").write_text("serve:\n  max_rows: 2\n  log: {path: asked}\n")
    with project.serving() as client:
        assert client.post("/predict", json=[ROW] * 3).status_code == 422
        ask(client)
    assert (project.root / "asked").is_dir()


@pytest.mark.parametrize(
    ("arguments", "code", "said", "hint"),
    [
        (("models/none.skops",), 3, "models/none.skops is not in this revision", "dvc add"),
        (("credit@v9.0.0",), 2, "credit has no version v9.0.0", "There are v1.0.0."),
        (
            ("nothing#prod",),
            2,
            "no tag of this clone speaks of an artifact 'nothing'",
            "`modelci registry`",
        ),
        (("--max-rows", "3"), 2, "No such option", ""),
    ],
)
def test_what_cannot_be_served_is_told(
    project: Project, arguments: tuple[str, ...], code: int, said: str, hint: str
) -> None:
    done = project.serve(*arguments)
    assert (done.exit_code, said in done.stderr, hint in done.stderr) == (code, True, True), (
        done.stderr
    )


def test_a_model_that_nobody_has_says_how_to_get_it(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    done = project.serve("credit")
    assert done.exit_code == 3
    assert "models/credit.onnx is not in the local DVC cache" in done.stderr
    assert "pass --pull" in done.stderr
    done = project.serve("credit", "--pull")
    assert "the DVC remote gave nothing" in done.stderr


def test_a_file_outside_of_any_repository_is_served_by_itself(
    template: Project, tmp_path: Path
) -> None:
    shutil.copy(template.root.parent / "one" / "model" / "credit.onnx", tmp_path / "m.onnx")
    with Project(tmp_path).serving("m.onnx") as client:
        assert ask(client)["model"] == "m"
        description = client.get("/openapi.json").json()
        assert description["x-modelci"]["typed"] is False
    done = Project(tmp_path).serve("none")
    assert done.exit_code == 2
    assert "There is no file" in done.stderr
