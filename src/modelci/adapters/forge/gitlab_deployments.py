"""Deployments on GitLab: which tag, which commit, and how far they have come."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from modelci.adapters.forge.deploying import Known
from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.domain.tags import TagName
from modelci.errors import ForgeError
from modelci.ports import DeploymentStatus, ForgeDeployment

if TYPE_CHECKING:
    from modelci.adapters.forge.gitlab import GitLabForge

PAGE = 100

_WRITTEN = {
    DeploymentStatus.QUEUED: "running",
    DeploymentStatus.IN_PROGRESS: "running",
    DeploymentStatus.SUCCESS: "success",
    DeploymentStatus.FAILURE: "failed",
    DeploymentStatus.ERROR: "failed",
    DeploymentStatus.INACTIVE: "canceled",
}
_READ = {
    "running": DeploymentStatus.IN_PROGRESS,
    "success": DeploymentStatus.SUCCESS,
    "failed": DeploymentStatus.FAILURE,
    "canceled": DeploymentStatus.INACTIVE,
    "skipped": DeploymentStatus.INACTIVE,
}


class _User(msgspec.Struct):
    username: str


class _Environment(msgspec.Struct):
    id: int
    name: str


class _Deployment(msgspec.Struct):
    id: int
    ref: str
    sha: str
    status: str
    created_at: datetime
    updated_at: datetime | None = None
    user: _User | None = None
    environment: _Environment | None = None
    deployable: object = None


class GitLabDeployments:
    """A ``deploying.Store``; ``page`` is where the project is looked at.

    GitLab keeps no text and no links, and lets nothing that has ended run again. Of the
    deployments that succeeded the newest is the one that runs.
    """

    tells_replaced = True

    def __init__(self, forge: "GitLabForge", root: str, *, page: str) -> None:
        self._forge = forge
        self._path = f"{root}/deployments"
        self._page = page

    def history(self, environment: str | None, artifact: str | None) -> Iterator[Known]:
        """Read page after page, without those that GitLab makes for its own jobs."""
        query = {"order_by": "id", "sort": "desc", "per_page": PAGE}
        query |= {} if environment is None else {"environment": environment}
        replaced: set[tuple[str, str]] = set()
        for found in self._forge.walk(self._path, _Deployment, query):
            name = TagName.parse(found.ref)
            if found.deployable or name is None or artifact not in {None, name.artifact}:
                continue
            known = self._describe(found, name)
            place = (known.deployment.environment, name.artifact)
            if known.deployment.status is DeploymentStatus.SUCCESS and place in replaced:
                gone = replace(known.deployment, status=DeploymentStatus.INACTIVE)
                known = replace(known, deployment=gone)
            if known.deployment.status is DeploymentStatus.SUCCESS:
                replaced.add(place)
            yield known

    def keeps(self, wanted: ForgeDeployment) -> ForgeDeployment:
        """Leave the status as GitLab knows it, without what it has no place for."""
        return replace(
            wanted,
            status=_READ[_WRITTEN[wanted.status]],
            description="",
            log_url=None,
            environment_url=None,
        )

    def create(self, wanted: ForgeDeployment) -> Known:
        """Create the deployment, and the environment where there is none of that name."""
        body = {
            "environment": wanted.environment,
            "sha": wanted.sha,
            "ref": wanted.tag,
            "tag": True,
            "status": _WRITTEN[wanted.status],
        }
        try:
            made = self._forge.ask("post", self._path, _Deployment, body)
        except ForgeError as error:
            if "tag does not exist" not in str(error):
                raise
            raise NotFoundError(
                f"GitLab has no tag {wanted.tag} to deploy.",
                hint=f"Push it first: git push origin {wanted.tag}",
            ) from error
        return replace(self._describe(made, None), deployment=wanted)

    def update(self, known: Known, wanted: ForgeDeployment) -> Known:
        """Set the status; one that has ended waits for how it ends this time."""
        if wanted.status is DeploymentStatus.IN_PROGRESS:
            return known
        body = {"status": _WRITTEN[wanted.status]}
        made = self._forge.ask("put", f"{self._path}/{known.key}", _Deployment, body)
        return replace(self._describe(made, None), deployment=wanted)

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._forge.wait(error, tries=tries)

    def _describe(self, found: _Deployment, name: TagName | None) -> Known:
        place = found.environment
        deployment = ForgeDeployment(
            environment=place.name if place else "",
            artifact=name.artifact if name else "",
            version=f"v{name.version}" if name and name.version else None,
            tag=found.ref,
            sha=found.sha,
            status=_READ.get(found.status, DeploymentStatus.QUEUED),
        )
        return Known(
            key=found.id,
            deployment=deployment,
            url=f"{self._page}/-/environments/{place.id}" if place else None,
            seconds=int((found.updated_at or found.created_at).timestamp()),
            creator=found.user.username if found.user else None,
        )
