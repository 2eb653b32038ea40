"""A ``kserve`` target whose images are there already: what is told to a cluster, or a branch."""
# ruff: noqa: ARG002

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.fakes.progress import RecordedProgress
from tests.integration.imageworld import RECORDED, Probe

from modelci.adapters.targets.kserve import KServeTarget
from modelci.adapters.targets.kserving.places import Place
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.config.model import (
    ImageTargetConfig,
    KServeTargetConfig,
    TargetConfig,
    TargetKind,
)
from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile

AT = "registry.example.com/models"
ARTIFACT = "credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry(Tools):
    """Answers for skopeo: each release that is ``there`` has an image, and says which it is."""

    there: dict[str, Release]
    is_up: list[bool] = field(default_factory=lambda: [True])

    def run(self, command: Sequence[str], *, stdin: bytes = b"") -> bytes:
        assert command[0] == "skopeo"
        if not self.is_up[0]:
            raise ToolError("connection refused")
        repository, _, tag = command[-1].rpartition(":")
        found = [
            one
            for one in self.there.values()
            if f"{AT}/{one.artifact}" == repository.removeprefix("docker://")
        ]
        if command[1] == "list-tags":
            names = [one.id for one in self.there.values()]
            return to_json({"Tags": names})
        release = next((one for one in found if one.id == tag), None)
        if release is None:
            raise ToolError("manifest unknown")
        if "--config" in command:
            return to_json({"config": {"Labels": {"modelci.release": codec.encode(release)}}})
        return release.id.encode()


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()


def image_of(release: Release) -> str:
    """Return the image that the registry has of a release."""
    return f"{AT}/{release.artifact}@sha256:{sha256(release.id.encode()).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class World:
    """A target, and where it tells of itself."""

    folder: Path
    config: KServeTargetConfig
    place: Callable[[TargetSettings], Place]
    registry: Registry = field(
        default_factory=lambda: Registry(environment={}, timeout_seconds=5, there={})
    )
    name: str = "cluster"
    progress: RecordedProgress = field(default_factory=RecordedProgress)

    @property
    def settings(self) -> TargetSettings:
        image = ImageTargetConfig(repository=f"{AT}/{{artifact}}", base="oci:base")
        return TargetSettings(
            name=self.name,
            config=TargetConfig(kind=TargetKind.KSERVE, image=image, kserve=self.config),
            root=self.folder,
            progress=self.progress,
            remote="origin",
        )

    def target(self) -> KServeTarget:
        settings = self.settings
        return KServeTarget(
            settings, probe=Probe(), tools=self.registry, place=self.place(settings)
        )

    def release(self, content: str, *, artifact: str = ARTIFACT, **fields: Any) -> Release:
        """Return a release that has an image."""
        digest = sha256(content.encode()).hexdigest()
        release = Release(
            **{
                "id": f"v1.0.0-{digest[:12]}",
                "artifact": artifact,
                "version": "v1.0.0",
                "commit": digest[:40],
                "model": "model/credit.skops",
                "files": (ReleaseFile(path="model/credit.skops", sha256=digest, bytes=1),),
                "environment": RECORDED,
                **fields,
            }
        )
        self.registry.there[release.id] = release
        return release

    def with_config(self, **fields: Any) -> "World":
        return replace(self, config=replace(self.config, **fields))
