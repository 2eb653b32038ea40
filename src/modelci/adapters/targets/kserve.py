"""Releases as InferenceServices of KServe: told to a cluster, or to the branch that it follows.

The images are those of ``images`` (built, pushed and checked as the target ``image`` does). What
runs is read from the cluster, or the branch, alone: nothing is kept elsewhere.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from modelci.adapters.targets.kserving.branch import Branch
from modelci.adapters.targets.kserving.cluster import Cluster
from modelci.adapters.targets.kserving.manifest import (
    Objects,
    Subject,
    label,
    make_objects,
    service_name,
)
from modelci.adapters.targets.kserving.places import Place
from modelci.adapters.targets.kserving.traffic import Counters, add_up, describe
from modelci.adapters.targets.oci.store import ImageStore
from modelci.adapters.targets.probing import Probe, ProcessProbe
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.shelves import Shelves
from modelci.adapters.targets.tools import Tools
from modelci.domain.deployment import Observation, Release, Running, TargetState
from modelci.domain.golden import Environment, Health
from modelci.domain.switches import Switches
from modelci.errors import ConfigError, DeploymentError
from modelci.ports import Target


def connect(settings: TargetSettings) -> Target:
    """Return the target of the settings' cluster, or branch."""
    seconds = settings.config.timeout_seconds
    tools = Tools(environment=settings.environment, timeout_seconds=seconds)
    return KServeTarget(
        settings,
        probe=ProcessProbe(environment_variables=settings.bare, timeout_seconds=seconds),
        tools=tools,
        place=_place(settings, tools),
    )


def _place(settings: TargetSettings, tools: Tools) -> Place:
    kserve = settings.config.kserve
    if kserve.apply:
        return Cluster(
            target=settings.name,
            namespace=kserve.namespace,
            context=kserve.context,
            tools=tools,
        )
    if settings.remote is None:
        raise ConfigError(
            f"Target {settings.name} commits to a branch, and this repository has no remote.",
            hint="`git remote add origin URL`, or `kserve: {apply: true}`.",
        )
    return Branch(
        settings.root,
        target=settings.name,
        remote=settings.remote,
        branch=kserve.branch or "",
        folder=kserve.path,
    )


class KServeTarget:
    """The ``Target`` that an InferenceService is. ``place`` is where it is told."""

    kind = "kserve"

    def __init__(
        self, settings: TargetSettings, *, probe: Probe, tools: Tools, place: Place
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._config = settings.config.kserve
        self._images = ImageStore(settings, probe=probe, tools=tools)
        self._place = place
        self._counted: dict[str, Mapping[str, Counters]] = {}

    def lock(self) -> AbstractContextManager[None]:
        """Lock the folder in which images are made: others on this machine wait.

        Of two machines on one branch the second is refused when it pushes; on a cluster the last
        one wins. Let the jobs that deploy be one concurrency group.
        """
        return Shelves(self.name, self._settings.path).lock()

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts of the services that are this target's."""
        services = self._place.services().values()
        return tuple(sorted({one.switches("").artifact for one in services} - {""}))

    def read(self, artifact: str) -> TargetState:
        """Return what the service runs, and what is told of it."""
        objects = self._read(artifact)
        switches = self._now(objects, artifact)
        return switches.state(staged=self._images.staged(artifact), trial=objects.trial)

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return the release that an image says it is."""
        return self._images.release(artifact, release_id)

    def answers(self, artifact: str) -> bool | None:
        """Whether KServe says that the service is ready; None for a branch."""
        return self._place.is_ready(self._service(artifact))

    def environment(self) -> Environment:
        """Return what the Python has whose packages go into images."""
        return self._images.environment()

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        """Make the release's image and push it."""
        self._images.stage(release, folder, python=python)

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Pull the image back, hash it, and replay the golden requests from its files."""
        return self._images.check(release, latency_ms=latency_ms)

    def switch(self, running: Running) -> None:
        """Let the service be the release's, and all of its traffic go there.

        On a cluster this returns when it is ready, and raises DeploymentError where it does not
        become so. On a branch it is done with the commit.
        """
        before = self._read(running.artifact)
        switches = self._now(before, running.artifact)
        image = self._image(running, switches)
        after = make_objects(
            Subject.of(running, image),
            switches.after(replace(self._as_told(running), image=image)),
            self._config,
            target=self.name,
        )
        self._begin(running.artifact, running.release)
        self._write(running.artifact, before, after, why=_explain(running, self.name))

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Let KServe give the release a share of the traffic; its word for it is canary."""
        if shadow:
            raise DeploymentError(
                f"{self.name} is an InferenceService, and KServe copies no requests.",
                hint="A target of kind server can do shadows; here --strategy canary tries it.",
            )
        if share and not self._config.apply:
            raise DeploymentError(
                f"{self.name} is a branch, from where no traffic is seen: a trial proves nothing.",
                hint="`kserve: {apply: true}` of the target, or --strategy all.",
            )
        before = self._read(release.artifact)
        switches = self._now(before, release.artifact)
        subject = self._subject(release, switches, share=share)
        if subject is None:
            return  # nothing is tried, and nothing ran before
        after = make_objects(subject, switches, self._config, target=self.name, share=share or None)
        self._begin(release.artifact, release.id)
        what = f"Give {release.id} {share:.0%} of the requests" if share else "End the trial"
        self._write(release.artifact, before, after, why=f"{what} on {self.name}\n")

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return what the release's pods have answered since it was given traffic here.

        None for a branch, and where this user may not ask the pods.
        """
        found = self._counters(release.artifact, release.id)
        if found is None:
            return None
        before = self._counted.setdefault(release.id, found)
        grown = (one.since(before.get(pod, Counters())) for pod, one in found.items())
        return describe(add_up(grown), seconds=seconds)

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Tidy up this machine, and the registry if ``image.prune`` says so."""
        return self._images.prune(artifact, self.read(artifact), keep=keep)

    # -- what the service is -----------------------------------------------------------------------

    def _service(self, artifact: str) -> str:
        return service_name(self._config.service, artifact)

    def _read(self, artifact: str) -> Objects:
        """Return the artifact's service; DeploymentError where it is not ours to change."""
        service = self._service(artifact)
        found = self._place.read(service)
        if found.service is None and found.notes is None:
            return found
        if found.target != label(self.name):
            owner = f"is target {found.target}'s" if found.target else "was not made by modelci"
            raise DeploymentError(
                f"The InferenceService {service} of {self._config.namespace} {owner}.",
                hint="kserve.service of the target gives its own another name.",
            )
        told = found.switches(artifact).artifact
        if told != artifact:
            raise DeploymentError(
                f"The InferenceService {service} is that of {told}, not of {artifact}.",
                hint="kserve.service with {artifact} in it gives each a service of its own.",
            )
        return found

    def _now(self, objects: Objects, artifact: str) -> Switches:
        switches = objects.switches(artifact)
        return switches if objects.trial is not None else switches.now(objects.image)

    def _image(self, one: Running, switches: Switches) -> str:
        """Return a release's image by digest: as the registry has it, or else as it ran.

        The way back does not depend on the registry: clusters keep the images that they run.
        """
        ran = (past.image for past in switches.history if past.release == one.release)
        known = next(ran, None)
        try:
            return self._pushed(one.artifact, one.release)
        except DeploymentError:
            if known is None:
                raise
            return known

    def _pushed(self, artifact: str, release_id: str) -> str:
        digest = self._images.digest(artifact, release_id)
        registry = self._images.registry(artifact)
        if digest is None:
            raise DeploymentError(
                f"{registry} has no image of {release_id}.", hint="Deploy it again."
            )
        return f"{registry}@{digest}"

    def _subject(self, release: Release, switches: Switches, *, share: float) -> Subject | None:
        """Return what the service is to be: the release on trial, or what runs without one."""
        if share:
            return Subject.of(release, self._pushed(release.artifact, release.id))
        running = switches.history[0] if switches.history else None
        return Subject.of(running, running.image or "") if running else None

    def _as_told(self, running: Running) -> Running:
        """Return what is written down of a switch.

        Nobody watches a branch from here: what is committed stays, until something else is.
        """
        return running if self._config.apply else replace(running, settled=True)

    def _write(self, artifact: str, before: Objects, after: Objects, *, why: str) -> None:
        self._place.write(self._service(artifact), before, after, why=why)

    # -- traffic -----------------------------------------------------------------------------------

    def _begin(self, artifact: str, release_id: str) -> None:
        """Remember what the release has answered before it is given (other) traffic."""
        self._counted[release_id] = self._counters(artifact, release_id) or {}

    def _counters(self, artifact: str, release_id: str) -> Mapping[str, Counters] | None:
        if not isinstance(self._place, Cluster):
            return None
        return self._place.counters(self._service(artifact), release_id)


def _explain(running: Running, target: str) -> str:
    """Return a commit's message: what, why, and by whom."""
    told = {
        "Modelci-Tag": running.tag,
        "Modelci-Release": running.release,
        "Modelci-Commit": running.commit,
        "Modelci-By": running.by,
        "Modelci-Run": running.run_url or "",
    }
    trailers = "".join(f"{key}: {_line(value)}\n" for key, value in told.items() if value)
    why = f"\n{running.reason.strip()}\n" if running.reason else ""
    return f"Deploy {running.artifact} {running.label} to {target}\n{why}\n{trailers}"


def _line(text: str) -> str:
    return " ".join(text.split())
