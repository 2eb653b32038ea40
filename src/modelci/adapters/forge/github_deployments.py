"""Deployments on GitHub, and the statuses that say how far they have come."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from modelci.adapters.forge.deploying import Known, clip
from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.github_identity import User
from modelci.adapters.forge.github_lists import pages
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError
from modelci.ports import DeploymentStatus, ForgeDeployment

TASK = "deploy:modelci"
"""Tells ours from those that GitHub makes for a workflow's job with an ``environment:``."""

PAGE = 100
MAX_PAGES = 10
MAX_DESCRIPTION_BYTES = 140

WRITE = "deployments: write"
READ = "deployments: read"


class _Deployment(msgspec.Struct):
    id: int
    ref: str
    sha: str
    task: str
    environment: str
    created_at: datetime
    payload: dict[str, Any] | str = ""
    creator: User | None = None
    production_environment: bool = False

    def told(self, key: str) -> str | None:
        value = self.payload.get(key) if isinstance(self.payload, dict) else None
        return value if isinstance(value, str) else None


class _Status(msgspec.Struct):
    id: int
    state: str
    created_at: datetime
    description: str | None = None
    log_url: str | None = None
    environment_url: str | None = None


class GitHubDeployments:
    """A ``deploying.Store``; ``root`` is ``/repos/OWNER/NAME``, ``pages`` where people look.

    ``needs`` is the permission that it takes.

    GitHub by itself makes inactive whatever has the environment's name, also other artifacts, and
    nothing that is in production: it is told not to, and we do.
    """

    tells_replaced = False

    def __init__(self, client: ForgeClient, root: str, *, pages: str, needs: str = WRITE) -> None:
        self._client = client
        self._root = root
        self._pages = pages
        self._needs = needs

    def history(self, environment: str | None, artifact: str | None) -> Iterator[Known]:
        """Read page after page, and of each deployment that is taken its statuses."""
        for one in self._list(environment):
            if artifact is None or one.told("artifact") == artifact:
                path = f"{self._root}/deployments/{one.id}/statuses?per_page={PAGE}"
                reply = self._client.send("GET", path, needs=self._needs)
                statuses = self._client.decode(reply, list[_Status])
                yield self._describe(one, max(statuses, key=lambda status: status.id, default=None))

    def keeps(self, wanted: ForgeDeployment) -> ForgeDeployment:
        """Cut the description to what GitHub takes."""
        return replace(wanted, description=clip(wanted.description, MAX_DESCRIPTION_BYTES))

    def create(self, wanted: ForgeDeployment) -> Known:
        """Create the deployment of a tag that is where we take it to be."""
        try:
            reply = self._client.send(
                "POST", f"{self._root}/deployments", _describe_new(wanted), needs=self._needs
            )
        except ForgeError as error:
            if "No ref found" not in str(error):
                raise
            raise NotFoundError(
                f"GitHub has no tag {wanted.tag} to deploy.",
                hint=f"Push it first: git push origin {wanted.tag}",
            ) from error
        made = self._client.decode(reply, _Deployment)
        if made.sha != wanted.sha:
            self._refuse(made, wanted)
        return self._describe(made, self._post(made.id, wanted))

    def update(self, known: Known, wanted: ForgeDeployment) -> Known:
        """Add a status: the newest counts."""
        status = self._post(known.key, wanted)
        return replace(known, deployment=wanted, seconds=int(status.created_at.timestamp()))

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._client.wait(error, tries=tries)

    def _list(self, environment: str | None) -> Iterator[_Deployment]:
        query = {"task": TASK, "per_page": PAGE}
        query |= {} if environment is None else {"environment": environment}
        url = f"{self._root}/deployments?{urlencode(query, safe='', quote_via=quote)}"
        for page in pages(self._client, url, _Deployment, needs=self._needs, most=MAX_PAGES):
            # GitHub ignores a filter that it does not understand: what it lists is compared again.
            yield from (
                one
                for one in sorted(page, key=lambda one: one.id, reverse=True)
                if one.task == TASK and environment in {None, one.environment}
            )

    def _post(self, number: int, wanted: ForgeDeployment) -> _Status:
        body = {
            "state": wanted.status.value,
            "description": wanted.description,
            "log_url": wanted.log_url or "",
            "environment_url": wanted.environment_url or "",
            "auto_inactive": False,
        }
        path = f"{self._root}/deployments/{number}/statuses"
        return self._client.decode(
            self._client.send("POST", path, body, needs=self._needs), _Status
        )

    def _refuse(self, made: _Deployment, wanted: ForgeDeployment) -> None:
        """End a deployment that GitHub made of another commit."""
        said = f"The tag is at {made.sha[:7]}, and {wanted.sha[:7]} was to be deployed"
        self._post(made.id, replace(wanted, status=DeploymentStatus.ERROR, description=said))
        raise ForgeError(
            f"On GitHub {wanted.tag} is at {made.sha[:7]}; {wanted.sha[:7]} was to be deployed.",
            hint="A tag of the registry never moves: see who moved it, and fetch it anew.",
        )

    def _describe(self, found: _Deployment, status: _Status | None) -> Known:
        deployment = ForgeDeployment(
            environment=found.environment,
            artifact=found.told("artifact") or "",
            version=found.told("version"),
            tag=found.ref,
            sha=found.sha,
            status=_read_state(status),
            description=(status.description if status else None) or "",
            log_url=(status.log_url if status else None) or None,
            environment_url=(status.environment_url if status else None) or None,
            is_production=found.production_environment,
        )
        return Known(
            key=found.id,
            deployment=deployment,
            url=f"{self._pages}/deployments/{quote(found.environment, safe='')}",
            seconds=int((status or found).created_at.timestamp()),
            creator=found.creator.login if found.creator else None,
        )


def _describe_new(wanted: ForgeDeployment) -> dict[str, object]:
    name = f"{wanted.artifact} {wanted.version or wanted.sha[:7]}"
    return {
        "ref": wanted.tag,
        "task": TASK,
        "environment": wanted.environment,
        "production_environment": wanted.is_production,
        "transient_environment": False,
        "description": clip(name, MAX_DESCRIPTION_BYTES),
        "payload": {"artifact": wanted.artifact, "version": wanted.version},
        # What was promoted is deployed as it is: nothing is merged into it, no check awaited.
        "auto_merge": False,
        "required_contexts": [],
    }


def _read_state(status: _Status | None) -> DeploymentStatus:
    """Return what a status says; none yet, and what only GitHub sets, is queued."""
    known = {one.value: one for one in DeploymentStatus}
    return known.get(status.state if status else "", DeploymentStatus.QUEUED)
