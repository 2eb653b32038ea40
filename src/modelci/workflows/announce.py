"""Telling the forge how a deployment stands: one of a tag to an environment, with its statuses."""

from collections.abc import Callable

from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.errors import ModelCIError
from modelci.ports import DeploymentStatus, Forge, ForgeDeployment, Progress

_STATUSES = {
    DeployOutcome.PLANNED: DeploymentStatus.IN_PROGRESS,
    DeployOutcome.DEPLOYED: DeploymentStatus.SUCCESS,
    DeployOutcome.UNCHANGED: DeploymentStatus.SUCCESS,
    DeployOutcome.FAILED: DeploymentStatus.FAILURE,
    DeployOutcome.SWITCHED_BACK: DeploymentStatus.FAILURE,
}
_PRODUCTION = frozenset({"prod", "production"})

Describe = Callable[[Deployment], str]
"""Says in a line what a deployment came to."""


def announce(
    deployment: Deployment, *, forge: Callable[[], Forge], describe: Describe, progress: Progress
) -> None:
    """Set the status of the deployment on the forge; the target is its environment.

    A forge that refuses costs the status, never the deployment.
    """
    try:
        forge().set_deployment(
            ForgeDeployment(
                environment=deployment.target,
                artifact=deployment.artifact,
                version=deployment.version,
                tag=deployment.tag,
                sha=deployment.commit,
                status=_STATUSES[deployment.outcome],
                description=describe(deployment),
                log_url=deployment.run_url,
                is_production=not _PRODUCTION.isdisjoint({deployment.target, deployment.stage}),
            )
        )
    except ModelCIError as error:
        progress.warn(
            f"The forge was not told of the deployment: {error} {error.hint or ''}".strip()
        )
