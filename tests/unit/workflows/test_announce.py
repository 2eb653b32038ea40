from dataclasses import replace

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.progress import RecordedProgress

from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.errors import ConfigError
from modelci.ports import DeploymentStatus, Forge
from modelci.workflows.announce import announce

BEGUN = Deployment(
    target="eu",
    kind="directory",
    artifact="m",
    tag="m#prod#1",
    version="v1.0.0",
    stage="prod",
    commit="c" * 40,
    outcome=DeployOutcome.PLANNED,
    run_url="https://ci.example/runs/7",
)


def tell(one: Deployment, forge: Forge) -> RecordedProgress:
    progress = RecordedProgress()
    announce(one, forge=lambda: forge, describe=lambda one: f"it {one.outcome}", progress=progress)
    return progress


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (DeployOutcome.DEPLOYED, DeploymentStatus.SUCCESS),
        (DeployOutcome.FAILED, DeploymentStatus.FAILURE),
        (DeployOutcome.SWITCHED_BACK, DeploymentStatus.FAILURE),
    ],
)
def test_the_forge_hears_of_the_beginning_and_of_the_end(
    outcome: DeployOutcome, status: DeploymentStatus
) -> None:
    forge = FakeForge()
    assert tell(BEGUN, forge).warnings == []
    (begun,) = forge.deployments("eu", limit=5)
    assert begun.deployment.status is DeploymentStatus.IN_PROGRESS
    tell(replace(BEGUN, outcome=outcome), forge)
    (ended,) = forge.deployments("eu", limit=5)
    found = ended.deployment
    assert (found.status, found.artifact, found.version) == (status, "m", "v1.0.0")
    assert (found.tag, found.sha, found.environment) == ("m#prod#1", "c" * 40, "eu")
    assert (found.description, found.log_url) == (f"it {outcome}", "https://ci.example/runs/7")
    assert found.is_production


def test_not_every_environment_is_production() -> None:
    forge = FakeForge()
    tell(replace(BEGUN, stage="dev"), forge)
    (found,) = forge.deployments("eu", limit=5)
    assert not found.deployment.is_production


def test_a_forge_that_refuses_costs_the_status_alone() -> None:
    (warning,) = tell(BEGUN, FakeForge(denied={"set_deployment"})).warnings
    assert "The forge was not told of the deployment: " in warning
    assert "`fake: write`" in warning


def test_a_forge_that_nobody_knows_is_no_failure_either() -> None:
    def unknown() -> Forge:
        raise ConfigError("Which forge?")

    progress = RecordedProgress()
    announce(BEGUN, forge=unknown, describe=str, progress=progress)
    assert "Which forge?" in progress.warnings[0]
