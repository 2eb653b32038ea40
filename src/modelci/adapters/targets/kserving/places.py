"""Where a service's objects are: what a cluster and a branch have in common."""

from collections.abc import Mapping
from typing import Protocol

from modelci.adapters.targets.kserving.manifest import Objects


class Place(Protocol):
    """Keeps the objects of services."""

    def services(self) -> Mapping[str, Objects]:
        """Return all that the target has, by the services' names."""

    def read(self, service: str) -> Objects:
        """Return what there is of a service."""

    def is_ready(self, service: str) -> bool | None:
        """Whether a service answers; None where that is not seen."""

    def write(self, service: str, before: Objects, after: Objects, *, why: str) -> None:
        """Bring it from ``before``, which was read, to ``after``; nothing where it is so already.

        Raises DeploymentError where somebody else came first, or it does not come to run.
        """
