"""How a deployment is kept: one for a tag in an environment, found again; the same everywhere.

A run that was cut short finds its deployment and goes on with it. What was replaced since is not
found: deployed anew, it is another deployment, and the newest. Two runs that look before either
creates can still cross: no forge refuses a second deployment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from typing import Protocol

from modelci.adapters.forge.failures import LookAgainError
from modelci.ports import DeploymentStatus, ForgeDeployment, PostedDeployment

KIND = "deployment"
ENOUGH = 3
"""After so many that are inactive already, none is looked for among the older ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A deployment that a forge has; ``key`` is what its store finds it by."""

    key: int
    deployment: ForgeDeployment
    url: str | None = None
    seconds: int | None = None
    creator: str | None = None

    def post(self, action: str) -> PostedDeployment:
        """Return it as the port tells it."""
        return PostedDeployment(
            deployment=self.deployment,
            kind=KIND,
            action=action,
            url=self.url,
            seconds=self.seconds,
            creator=self.creator,
        )


class Store(Protocol):
    """A forge's deployments; a request that may have done its work raises LookAgainError."""

    @property
    def tells_replaced(self) -> bool:
        """Whether ``history`` says by itself what is inactive since something replaced it."""

    def history(self, environment: str | None, artifact: str | None) -> Iterator[Known]:
        """Yield the deployments of an artifact to an environment, the newest first.

        None stands for all of them. More is asked for only as more is taken.
        """

    def keeps(self, wanted: ForgeDeployment) -> ForgeDeployment:
        """Return as much of a deployment as the forge keeps."""

    def create(self, wanted: ForgeDeployment) -> Known:
        """Create the deployment with its status."""

    def update(self, known: Known, wanted: ForgeDeployment) -> Known:
        """Set the status, as far as the forge lets it follow the present one."""

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause before looking again."""


def set_deployment(store: Store, wanted: ForgeDeployment) -> PostedDeployment:
    """Bring the deployment about, whatever an earlier run has left of it."""
    wanted = store.keeps(wanted)
    for tries in count():
        try:
            return _bring(store, wanted)
        except LookAgainError as error:
            store.wait(error, tries=tries)
    raise AssertionError  # unreachable: count() never ends


def list_deployments(
    store: Store, environment: str | None, limit: int
) -> tuple[PostedDeployment, ...]:
    """Return the newest deployments, at most ``limit``."""
    return tuple(one.post("unchanged") for one in islice(store.history(environment, None), limit))


def clip(text: str, max_bytes: int) -> str:
    """Return the text on one line of at most ``max_bytes`` of UTF-8."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    data = line.encode()
    if len(data) <= max_bytes:
        return line
    return data[: max_bytes - len("…".encode())].decode(errors="ignore") + "…"


def _bring(store: Store, wanted: ForgeDeployment) -> PostedDeployment:
    past = store.history(wanted.environment, wanted.artifact)
    known, running = _find(past, wanted)
    if known is None:
        posted = store.create(wanted).post("created")
    elif _status(known.deployment) == _status(wanted):
        posted = known.post("unchanged")
    else:
        after = store.update(known, wanted)
        posted = after.post("updated" if after != known else "unchanged")
    if wanted.status is DeploymentStatus.SUCCESS and not store.tells_replaced:
        _retire(store, chain(running, past), by=wanted.tag)
    return posted


def _find(past: Iterator[Known], wanted: ForgeDeployment) -> tuple[Known | None, tuple[Known, ...]]:
    """Look for the deployment up to what runs since; return that, too, where it was met."""
    for one in past:
        if (one.deployment.tag, one.deployment.sha) == (wanted.tag, wanted.sha):
            is_gone = one.deployment.status is DeploymentStatus.INACTIVE
            return (None if is_gone and wanted.status != one.deployment.status else one), ()
        if one.deployment.status is DeploymentStatus.SUCCESS:
            return None, (one,)
    return None, ()


def _retire(store: Store, past: Iterator[Known], *, by: str) -> None:
    """Make inactive what ran before, also what a run that was cut short has left."""
    inactive = 0
    for one in past:
        if one.deployment.status is DeploymentStatus.SUCCESS:
            gone = replace(
                one.deployment, status=DeploymentStatus.INACTIVE, description=f"Replaced by {by}"
            )
            store.update(one, store.keeps(gone))
        inactive += one.deployment.status is DeploymentStatus.INACTIVE
        if inactive == ENOUGH:
            return


def _status(one: ForgeDeployment) -> tuple[object, ...]:
    return one.status, one.description, one.log_url, one.environment_url
