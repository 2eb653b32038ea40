"""Who answers: what the supervisor tells a switch, whole each time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from modelci.adapters.targets.layout import Place
from modelci.domain.deployment import Trial

ROUTES = "routes.json"
"""The file that a switch reads when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers for an artifact; the trial's share is of all requests, or copies of them."""

    artifact: str
    running: str
    trial: Trial | None = None

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases that are asked."""
        trial = (self.trial.release,) if self.trial else ()
        return (self.running, *trial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """All artifacts of a target, and the ``sockets`` of the releases that are up, asked or not."""

    routes: tuple[Route, ...] = ()
    sockets: Mapping[str, str] = field(default_factory=dict)

    def find(self, artifact: str) -> Route | None:
        """Return an artifact's route."""
        return next((one for one in self.routes if one.artifact == artifact), None)


def wanted(places: Mapping[str, Place]) -> Mapping[str, str]:
    """Return the releases whose processes are to run, with their artifacts.

    Those are the ones that answer, and one to go back to.
    """
    return {name: artifact for artifact, place in places.items() for name in place.releases}


def routes_of(
    places: Mapping[str, Place], *, ready: frozenset[str], live: Routes
) -> tuple[Route, ...]:
    """Return the routes that are asked for, as far as those releases are ``ready``.

    Nothing is taken from a release that answers for one that does not yet: what is ``live`` then
    stays until the other is ready.
    """
    routes = []
    for artifact, place in sorted(places.items()):
        if place.running is None:
            continue
        running, before = place.running.release, live.find(artifact)
        if running not in ready and before is not None and before.running in ready:
            running = before.running
        trial = place.trial if place.trial and place.trial.release in ready else None
        if trial is not None and trial.release == running:
            trial = None
        routes.append(Route(artifact=artifact, running=running, trial=trial))
    return tuple(routes)


def by_length(artifacts: Iterable[str]) -> list[str]:
    """Return names in the order in which a path is held against them."""
    return sorted(artifacts, key=lambda name: (-len(name), name))


INDEX = "/v2/models"
"""The path at which all models are listed, wherever there are several."""


def index_of(artifacts: Iterable[str]) -> bytes:
    """Return the answer there, as a model's own server gives it: the artifacts' names."""
    return msgspec.json.encode({"models": sorted(artifacts)})


def path_prefix(artifact: str) -> str:
    """Return what the paths of an artifact's own requests begin with (unquoted)."""
    return f"/v2/models/{artifact}"
