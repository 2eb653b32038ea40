"""Images at a registry, one for each release, and a tag that leads to the one that is to run.

``REPOSITORY:STAGE`` is what consumers pull, and moving it is the switch. What is told of it (which
tag asked, when, by whom) is an image beside it, ``modelci.STAGE``, so that every machine, also a
runner of CI that is new each time, finds it. Where the two disagree the tag is right.
"""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from modelci.adapters.targets.oci.assembly import Assembly
from modelci.adapters.targets.oci.notes import Notes
from modelci.adapters.targets.oci.registry import Registry
from modelci.adapters.targets.oci.store import ImageStore
from modelci.adapters.targets.probing import Probe, ProcessProbe
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.shelves import Shelves
from modelci.adapters.targets.tools import Tools
from modelci.domain.deployment import Observation, Release, Running, TargetState
from modelci.domain.golden import Environment, Health
from modelci.domain.images import ARTIFACT, stage_tag, version_tag
from modelci.domain.switches import Switches
from modelci.errors import DeploymentError
from modelci.ports import Target

_NOTES = "modelci."


def connect(settings: TargetSettings) -> Target:
    """Return the target of the settings' repository, which need not exist yet."""
    seconds = settings.config.timeout_seconds
    return ImageTarget(
        settings,
        probe=ProcessProbe(environment_variables=settings.bare, timeout_seconds=seconds),
        tools=Tools(environment=settings.environment, timeout_seconds=seconds),
    )


class ImageTarget:
    """The ``Target`` that moves a tag. ``tools`` reach the registry, ``probe`` runs a model."""

    kind = "image"

    def __init__(self, settings: TargetSettings, *, probe: Probe, tools: Tools) -> None:
        self.name = settings.name
        self._settings = settings
        self._images = ImageStore(settings, probe=probe, tools=tools)
        self._tag = _moving_tag(settings)
        self._notes = Notes(
            tag=f"{_NOTES}{self._tag}", assembly=Assembly(settings.path / "notes", tools)
        )

    def lock(self) -> AbstractContextManager[None]:
        """Lock the folder in which images are made: others on this machine wait.

        Registries have no locks: of two machines the one that moves the tag last wins. Let the
        jobs that deploy be one concurrency group.
        """
        return Shelves(self.name, self._settings.path).lock()

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts that have a note: the repository's, or those that tags speak of."""
        if ARTIFACT not in (self._settings.config.image.repository or ""):
            noted = self._notes.read(self._images.registry("x"))
            return () if noted is None else (noted.artifact,)
        known = sorted(self._settings.known())
        return tuple(name for name in known if self._read_notes(name) is not None)

    def read(self, artifact: str) -> TargetState:
        """Return what the tag leads to, and what is told of it."""
        return self._switches(artifact).state(staged=self._images.staged(artifact))

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return the release that an image says it is."""
        return self._images.release(artifact, release_id)

    def answers(self, artifact: str) -> bool | None:
        """Return None: who runs the image is not seen."""
        del artifact
        return None

    def environment(self) -> Environment:
        """Return what the Python has whose packages go into images."""
        return self._images.environment()

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        """Make the release's image and push it: its manifest comes last, so it is there or not."""
        self._switches(release.artifact)  # not into the repository of another artifact
        self._images.stage(release, folder, python=python)

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Pull the image back, hash it, and replay the golden requests from its files."""
        return self._images.check(release, latency_ms=latency_ms)

    def switch(self, running: Running) -> None:
        """Write down what is to come, and let the tags lead to the release's image.

        The version's tag is moved first, the one that consumers follow last, and then asked for.
        """
        registry = self._images.registry(running.artifact)
        digest = self._images.digest(running.artifact, running.release)
        if digest is None:
            raise DeploymentError(
                f"{registry} has no image of {running.release}.", hint="Deploy it again."
            )
        before = self._switches(running.artifact)
        after = before.after(replace(running, image=f"{registry}@{digest}"))
        if after != before:
            self._notes.write(registry, after)
        if running.version is not None:
            self._move(registry, version_tag(running.version), digest)
        self._move(registry, self._tag, digest)

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Refuse: whoever pulls the tag gets one image."""
        del release
        if share or shadow:
            raise DeploymentError(
                f"{self.name} is a tag at a registry, which divides no traffic.",
                hint="Deploy there with --strategy all; targets of kind server and kserve can do "
                "canaries, and a server also copies requests (shadow).",
            )

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return None: who runs the image is not seen."""
        del release, seconds
        return None

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Tidy up this machine, and the registry if ``image.prune`` says so."""
        return self._images.prune(artifact, self.read(artifact), keep=keep)

    # -- what is written down ----------------------------------------------------------------------

    def _switches(self, artifact: str) -> Switches:
        """Return the switches up to the one that the tag shows to be the last."""
        noted = self._read_notes(artifact)
        if noted is None:
            return Switches(artifact=artifact)
        registry = self._images.registry(artifact)
        digest = registry.digest(self._tag)
        found = noted.now(f"{registry}@{digest}")
        if digest is not None and not found.history:
            self._settings.progress.warn(
                f"{registry}:{self._tag} leads to {digest}, which modelci did not put there."
            )
        return found

    def _read_notes(self, artifact: str) -> Switches | None:
        registry = self._images.registry(artifact)
        noted = self._notes.read(registry)
        if noted is not None and noted.artifact != artifact:
            raise DeploymentError(
                f"{registry} holds images of {noted.artifact}, and not of {artifact}.",
                hint="image.repository with {artifact} in it gives each a repository of its own.",
            )
        return noted

    def _move(self, registry: Registry, tag: str, digest: str) -> None:
        if registry.digest(tag) == digest:
            return
        registry.retag(digest, tag)
        found = registry.digest(tag)
        if found != digest:
            raise DeploymentError(
                f"{registry}:{tag} leads to {found} just after it was moved to {digest}.",
                hint="Somebody else moves that tag, too: deploy from one place alone.",
            )


def _moving_tag(settings: TargetSettings) -> str:
    config = settings.config
    stage = config.stages[0] if len(config.stages) == 1 else settings.name
    return config.image.tag or stage_tag(stage)
