"""Deployments on Gitea and Forgejo, which know none: a commit's status says the same."""

from urllib.parse import quote

import msgspec

from modelci.adapters.forge.deploying import clip
from modelci.adapters.forge.http import ForgeClient
from modelci.ports import DeploymentStatus, ForgeDeployment, PostedDeployment

KIND = "commit status"
PAGE = 50
MAX_DESCRIPTION_BYTES = 255

_STATES = {
    DeploymentStatus.QUEUED: "pending",
    DeploymentStatus.IN_PROGRESS: "pending",
    DeploymentStatus.SUCCESS: "success",
    DeploymentStatus.FAILURE: "failure",
    DeploymentStatus.ERROR: "error",
    DeploymentStatus.INACTIVE: "warning",
}


class _Status(msgspec.Struct):
    status: str
    context: str
    description: str = ""
    target_url: str = ""


def set_deployment(client: ForgeClient, root: str, wanted: ForgeDeployment) -> PostedDeployment:
    """Set the status of the deployed commit, unless it says so already."""
    path = f"{root}/statuses/{quote(wanted.sha, safe='')}"
    new = _describe(wanted)
    reply = client.send("GET", f"{path}?sort=highestindex&limit={PAGE}")  # the newest first
    statuses = client.decode(reply, list[_Status])
    known = next((one for one in statuses if one.context == new.context), None)
    if known != new:
        body = {
            "state": new.status,
            "context": new.context,
            "description": new.description,
            "target_url": new.target_url,
        }
        # The newest status of a context counts: it may be sent twice.
        client.send("POST", path, body, repeatable=True)
    return PostedDeployment(
        deployment=wanted,
        kind=KIND,
        action="unchanged" if known == new else "updated" if known else "created",
        url=new.target_url or None,
    )


def _describe(wanted: ForgeDeployment) -> _Status:
    """Return the status, whose context has the artifact: a commit may bring several."""
    said = ": ".join(filter(None, [wanted.tag, wanted.description]))
    return _Status(
        status=_STATES[wanted.status],
        context=f"deploy/{wanted.environment}/{wanted.artifact}",
        description=clip(said, MAX_DESCRIPTION_BYTES),
        target_url=wanted.log_url or wanted.environment_url or "",
    )
