"""The deployment bug that really happens: a model that meets another scikit-learn than its own."""

import json
import os
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from sklearn import __version__ as ours
from tests.e2e.skew import (
    OLD,
    Model,
    Project,
    environments,
    make_old_python,
    old_environment,
    train,
)
from tests.fakes.ports import free_port
from tests.fakes.progress import RecordedProgress
from tests.fakes.sharing import once

pytestmark = pytest.mark.timeout(600)
assert ours != OLD


@pytest.fixture(scope="session")
def old_python(untouched_by_the_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the workers' folders lie beside each other: they share one
    return make_old_python(folder / "environments")


@pytest.fixture(scope="session")
def old_boosting(old_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    made = once(
        tmp_path_factory,
        "old",
        lambda folder: train("boosting", folder / "boosting", python=old_python),
    )
    return Model(folder=made / "boosting")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path)


def test_two_versions_of_scikit_learn_have_two_environments(
    old_python: Path, tmp_path: Path
) -> None:
    say = "import sklearn, modelci.serving; print(sklearn.__version__)"
    done = subprocess.run([old_python, "-I", "-c", say], capture_output=True, check=True)
    assert done.stdout.decode().strip() == OLD


def test_an_environment_is_found_again(old_python: Path) -> None:
    folder = old_python.parents[2]
    progress = RecordedProgress()
    assert environments().build(old_environment(), folder, progress=progress) == old_python
    assert progress.notes == []


def test_a_model_of_another_version_is_refused_before_the_switch(
    project: Project, old_boosting: Model
) -> None:
    project.release(old_boosting, "v0.0.1")
    done = project.checkout.modelci("deploy", "credit#prod", code=7)
    assert f"scikit-learn {OLD} at training, {ours} here" in done.err
    assert "environment: build" in done.err
    assert project.current is None
    assert project.checkout.document("deployment")["after"] is None


def test_what_ran_before_runs_on(project: Project, old_boosting: Model, tmp_path: Path) -> None:
    project.release(train("logistic", tmp_path / "new"), "v0.0.1")
    project.checkout.modelci("deploy", "credit#prod")
    before = project.current
    assert before is not None
    project.release(old_boosting, "v0.0.2")
    project.checkout.modelci("deploy", "credit#prod", code=7)
    assert project.current == before


def test_without_golden_requests_scikit_learns_warning_is_an_error(
    project: Project, old_boosting: Model
) -> None:
    project.release(old_boosting, "v0.0.1", has_golden=False)
    done = project.checkout.modelci("deploy", "credit#prod", code=7)
    assert OLD in done.err
    assert ours in done.err
    assert project.current is None


def test_a_model_is_refused_by_an_older_environment_too(
    project: Project, old_python: Path, tmp_path: Path
) -> None:
    """It would load there, and fail at its first request."""
    project.release(train("logistic", tmp_path / "new"), "v0.0.1", python=old_python)
    done = project.checkout.modelci("deploy", "credit#prod", code=7)
    assert f"scikit-learn {ours} at training, {OLD} here" in done.err
    assert project.current is None


def test_an_environment_built_as_recorded_answers_as_training_did(
    project: Project, old_boosting: Model
) -> None:
    project.release(old_boosting, "v0.0.1", environment="build")
    project.checkout.modelci("deploy", "credit#prod")

    document = project.checkout.document("deployment")
    assert document["outcome"] == "deployed"
    assert (document["health"]["ok"], document["health"]["rows"]) == (True, 8)
    python = json.loads((project.target / "credit/state.json").read_bytes())["pythons"][
        project.current
    ]
    assert answers(Path(python), project.target / "credit/current", old_boosting) == pytest.approx(
        json.loads(old_boosting.read("credit.golden.json"))["responses"][0]["score"]
    )


def answers(python: Path, release: Path, model: Model) -> float:
    """Serve a release, and return its answer to the first golden request."""
    row = json.loads(model.read("credit.golden.json"))["requests"][0]
    port = free_port()
    command = [python, "-I", "-m", "modelci.serving", "run", "--release", release]
    with subprocess.Popen([*map(str, command), "--port", str(port)]) as server:
        try:
            wait_until_ready(port, server)
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request(
                "POST", "/predict", json.dumps([row]), {"content-type": "application/json"}
            )
            answer = json.loads(connection.getresponse().read())
            connection.close()
        finally:
            server.terminate()
            server.wait(100)
    (said,) = answer["predictions"]
    return float(said["score"])


def wait_until_ready(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and server.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise AssertionError(f"the server is not ready (exit code {server.poll()})")
