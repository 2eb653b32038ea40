"""Releases as images at a registry: staged there, and checked as the registry serves them."""

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelci.adapters.targets.layout import has_bytes_of
from modelci.adapters.targets.oci.assembly import Assembly, list_layers, pull_whole
from modelci.adapters.targets.oci.layers import PACKAGES, RELEASE, unpack
from modelci.adapters.targets.oci.packages import list_packages
from modelci.adapters.targets.oci.registry import OtherBytesError, Registry
from modelci.adapters.targets.probing import Probe
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.documents import codec
from modelci.domain.deployment import Release, TargetState
from modelci.domain.environments import minor_version
from modelci.domain.golden import Environment, Health
from modelci.domain.images import (
    is_release_tag,
    parse_base,
    release_of,
    release_tag,
    repository_of,
)
from modelci.errors import ConfigError, DeploymentError

DOCUMENT = "modelci.release"
"""The label that holds a release's document."""

_OURS = 2  # the layers that modelci put on the base
_MOST_LABEL = 96 * 1024  # an argument of a command can be 128 KiB


class ImageStore:
    """The images of a target's repository, and the layout that they are made in."""

    def __init__(self, settings: TargetSettings, *, probe: Probe, tools: Tools) -> None:
        self._name = settings.name
        self._settings = settings
        self._config = settings.config.image
        self._probe = probe
        self._tools = tools
        self._assembly = Assembly(settings.path, tools)
        self._unpacked = settings.path / "unpacked"
        self._checked: dict[str, Path] = {}
        self._pythons: dict[str, Path | None] = {}

    def registry(self, artifact: str) -> Registry:
        """Return the repository of an artifact's images; ConfigError for an impossible name."""
        try:
            name = repository_of(self._config.repository or "", artifact)
        except ValueError as error:
            raise ConfigError(f"Target {self._name}: image.{error}.") from error
        return Registry(name, self._tools, insecure=self._config.insecure)

    def staged(self, artifact: str) -> tuple[str, ...]:
        """Return the releases that have an image."""
        tags = self.registry(artifact).tags()
        return tuple(release_of(tag) for tag in tags if is_release_tag(tag))

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return the release that an image says it is; None where it does not say."""
        labels = self.registry(artifact).labels(release_tag(release_id))
        try:
            release = codec.decode(
                Release, (labels or {}).get(DOCUMENT, "").encode(), source="the image's label"
            )
        except ConfigError:
            return None
        return release if (release.id, release.artifact) == (release_id, artifact) else None

    def digest(self, artifact: str, release_id: str) -> str | None:
        """Return the digest of a release's image at the registry; None where it has none."""
        return self.registry(artifact).digest(release_tag(release_id))

    def environment(self) -> Environment:
        """Return what the Python has whose packages go into images."""
        return self._probe.environment(self._python)

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> str:
        """Make the release's image, push it, and return its digest."""
        if not has_bytes_of(release, folder):
            raise DeploymentError(f"{folder} has other bytes than release {release.id} names.")
        tag = release_tag(release.id)
        registry = self.registry(release.artifact)
        interpreter = python or self._python
        self._pythons[release.id] = interpreter
        packages = list_packages(_recorded(release), interpreter, self._tools)
        base = parse_base(self._config.base or "")
        start = self._assembly.have_packages(base, packages, root=self._settings.root)
        labels = _labels(release, base=self._config.base or "")
        made = self._assembly.build(start, release, folder, name=tag, labels=labels)
        self._settings.progress.note(f"{self._name}: pushing {registry}:{tag} ({made})")
        pushed = registry.push(self._assembly.layout, tag, tag)
        if pushed != made:
            raise DeploymentError(
                f"The registry has {pushed} where {made} was pushed.",
                hint="Something between here and the registry rewrites images; push past it.",
            )
        return pushed

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Pull the image back, hash every byte, and replay its golden requests from its own files.

        They run in a Python of this machine, of the same minor version as the image's: all but
        the base is what a container would run. What was pulled is kept for a second look.
        """
        registry = self.registry(release.artifact)
        digest = registry.digest(release_tag(release.id))
        if digest is None:
            return Health(ok=False, problems=(f"{registry} has no image of {release.id}",))
        top = self._checked.get(digest)
        if top is None:
            try:
                top = self._pull(registry, digest)
            except OtherBytesError as error:
                return Health(ok=False, problems=(_damaged(registry, digest, str(error)),))
        if not has_bytes_of(release, top / RELEASE):
            problem = f"the image of {release.id} has other files than the release names"
            return Health(ok=False, problems=(problem,))
        self._checked[digest] = top
        python = self._python_of(release, top)
        return self._probe.check(top / RELEASE, python=python, latency_ms=latency_ms)

    def prune(self, artifact: str, state: TargetState, *, keep: int) -> tuple[str, ...]:
        """Tidy up this machine, and the registry if ``image.prune`` says so.

        A cluster may pull an image by its digest long after everybody else has moved on.
        """
        used = [one.release for one in (state.running, state.previous) if one is not None]
        self._tidy(used)
        if not self._config.prune:
            return ()
        order = _newest_first(state)
        gone = tuple(one for one in order[keep:] if one not in used)
        self._delete(artifact, gone, kept=[one for one in order if one not in gone])
        return gone

    def _tidy(self, used: Sequence[str]) -> None:
        shutil.rmtree(self._unpacked, ignore_errors=True)
        self._checked.clear()
        self._assembly.keep([release_tag(one) for one in used])

    def _delete(self, artifact: str, releases: Sequence[str], *, kept: Sequence[str]) -> None:
        """Let the registry delete releases, but no image that a ``kept`` one is, too."""
        registry = self.registry(artifact)
        used = {registry.digest(release_tag(one)) for one in kept}
        for one in releases:
            if registry.digest(release_tag(one)) not in used:
                registry.delete(release_tag(one))

    # -- looking at an image -----------------------------------------------------------------------

    def _pull(self, registry: Registry, digest: str) -> Path:
        """Return the folder that an image's own layers were unpacked in, once they were hashed."""
        with self._assembly.scratch() as scratch:
            layout = scratch / "layout"
            pull_whole(registry, digest, layout)
            top = self._unpacked / digest.partition(":")[2]
            shutil.rmtree(top, ignore_errors=True)
            unpack(list_layers(layout, digest)[-_OURS:], top)
        return top

    def _python_of(self, release: Release, top: Path) -> Path:
        """Return an interpreter that has the image's packages, and those alone."""
        place = top / "python"
        if not (place / "bin/python").exists():
            base = self._find_python(release)
            try:
                self._tools.run([str(base), "-I", "-m", "venv", "--without-pip", str(place)])
            except ToolError as error:
                raise DeploymentError(
                    f"{base} cannot make the environment to check the image in: {error}",
                    hint="Install Python's venv (Debian: `apt-get install python3-venv`).",
                ) from error
            (packages,) = place.glob("lib/python*/site-packages")
            shutil.rmtree(packages)
            (top / PACKAGES).rename(packages)
        return place / "bin/python"

    def _find_python(self, release: Release) -> Path:
        wanted = minor_version(_recorded(release).python)
        name = ".".join(map(str, wanted))
        path = self._settings.bare.get("PATH", "")
        if wanted == sys.version_info[:2]:
            return Path(sys.executable)
        for one in (
            self._pythons.get(release.id),
            self._python,
            shutil.which(f"python{name}", path=path),
        ):
            if one and minor_version(self._probe.environment(Path(one)).python) == wanted:
                return Path(one)
        raise DeploymentError(
            f"This machine has no Python {name} to check {release.id} in "
            f"(modelci runs on {platform.python_version()}).",
            hint=f"Install it so that `python{name}` is on PATH, or name it as `python` of the "
            "target.",
        )

    @property
    def _python(self) -> Path | None:
        python = self._settings.config.python
        return Path(python) if python else None


def _recorded(release: Release) -> Environment:
    if release.environment is None:
        raise DeploymentError(
            f"{release.id} has no golden requests, which say what packages its image needs.",
            hint="Let a stage of the pipeline write them: `modelci golden MODEL DATA`.",
        )
    return release.environment


def _labels(release: Release, *, base: str) -> Mapping[str, str]:
    """Return what an image says of itself: all of it follows from the release and its base."""
    document = codec.encode(release)
    if len(document) > _MOST_LABEL:
        raise DeploymentError(
            f"{release.id} has {len(release.files):,} files, too many for an image to name.",
            hint="Pack the model into one file.",
        )
    version = release.version or release.commit[:7]
    labels = {
        "org.opencontainers.image.title": release.artifact,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": release.commit,
        "org.opencontainers.image.base.name": base,
        "modelci.artifact": release.artifact,
        "modelci.flavour": release.flavour or "",
        DOCUMENT: document,
    }
    if release.version is not None:
        labels["modelci.tag"] = f"{release.artifact.replace(':', '=', 1)}@{release.version}"
    return {name: value for name, value in labels.items() if value}


def _newest_first(state: TargetState) -> list[str]:
    """Return the staged releases: those that ran, newest first, then those that never did."""
    ran = [one.release for one in state.history]
    order = dict.fromkeys([*ran, *sorted(state.staged, reverse=True)])
    return [one for one in order if one in state.staged]


def _damaged(registry: Registry, digest: str, why: str) -> str:
    return (
        f"{registry} serves other bytes than were pushed for {digest}: {why}; delete that image "
        "there, with its blobs, and deploy again"
    )
