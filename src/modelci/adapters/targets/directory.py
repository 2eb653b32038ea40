"""A folder of releases, and a link to the one that runs: for whatever reads a model's file.

``PATH/ARTIFACT/current`` always leads to a whole release. Who reads it is not seen from here, so
there is no traffic to divide or to watch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from modelci.adapters.targets.probing import Probe, ProcessProbe
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.shelves import ShelvedTarget
from modelci.domain.deployment import Observation, Release, Running, TargetState
from modelci.domain.golden import Environment, Health
from modelci.errors import DeploymentError

CURRENT = "current"


def connect(settings: TargetSettings) -> "DirectoryTarget":
    """Return the target of the settings' folder, which need not exist yet."""
    return DirectoryTarget(
        settings,
        probe=ProcessProbe(
            environment_variables=settings.bare, timeout_seconds=settings.config.timeout_seconds
        ),
    )


class DirectoryTarget(ShelvedTarget):
    """The ``Target`` that switches a link."""

    kind = "directory"

    def __init__(self, settings: TargetSettings, *, probe: Probe) -> None:
        super().__init__(settings)
        self._probe = probe

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, and let each link lead to where the state says, whoever died before."""
        with self._shelves.lock():
            for artifact in self.artifacts():
                running = self.read(artifact).running
                if running is not None:
                    self._link(running)
            yield

    def read(self, artifact: str) -> TargetState:
        """Return what runs, ran and is staged; a release whose folder is gone runs no more."""
        state = super().read(artifact)
        running = state.running
        is_gone = running is not None and running.release not in state.staged
        return replace(state, running=None) if is_gone else state

    def environment(self) -> Environment:
        """Return what the target's Python has."""
        return self._probe.environment(self._python)

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Read every byte again, then load the model in the Python that it was staged for."""
        shelf = self._shelves.of(release.artifact)
        if not shelf.is_whole(release):
            return Health(ok=False, problems=(f"{release.id} has other bytes than were staged",))
        python = shelf.python(release.id) or self._python
        return self._probe.check(shelf.path(release.id), python=python, latency_ms=latency_ms)

    def switch(self, running: Running) -> None:
        """Let ``current`` lead to the release."""
        self._shelves.require(running)
        self._shelves.of(running.artifact).switch(running)
        self._link(running)

    def _link(self, running: Running) -> None:
        """Let the link lead to the release from one moment to the next, if it does not yet."""
        folder = self._shelves.of(running.artifact).folder
        link, fresh = folder / CURRENT, folder / f".{CURRENT}.part"
        to = Path("releases", running.release)
        try:
            if link.is_symlink() and link.readlink() == to:
                return
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(to)
            fresh.replace(link)
        except OSError as error:
            raise DeploymentError(
                f"{link} cannot be made to lead to {running.release}: {error.strerror}.",
                hint="Whoever deploys must be able to write to the target's path.",
            ) from error

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Refuse: whoever reads the folder reads all of it."""
        if share or shadow:
            raise DeploymentError(
                f"{self.name} is a folder, which divides no traffic.",
                hint="Deploy there with --strategy all; a target of kind server can do canaries.",
            )
        self._shelves.of(release.artifact).set_trial(release.artifact, None)

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return None: who reads the folder is not seen."""
        del release, seconds
        return None
