"""Releases as the workflow writes them, for targets to stage."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes.progress import RecordedProgress

from modelci.adapters.targets.settings import TargetSettings
from modelci.config.model import TargetConfig
from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile, Running
from modelci.ports import Progress


def make_release(folder: Path, content: str, *, artifact: str = "credit") -> Release:
    """Write a release whose model holds ``content`` below ``folder``, and return its document."""
    data = content.encode()
    digest = hashlib.sha256(data).hexdigest()
    release = Release(
        id=f"v1.0.0-{digest[:12]}",
        artifact=artifact,
        version="v1.0.0",
        commit="c" * 40,
        model="model/credit.skops",
        files=(ReleaseFile(path="model/credit.skops", sha256=digest, bytes=len(data)),),
    )
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model/credit.skops").write_bytes(data)
    codec.write(release, folder / "release.json")
    return release


def running(release: Release | str, *, tag: str = "credit#prod#1", **fields: Any) -> Running:
    """Return what runs: a release, or one of ``credit`` by its id alone."""
    name, artifact = (
        (release, "credit") if isinstance(release, str) else (release.id, release.artifact)
    )
    one = Running(
        release=name,
        artifact=artifact,
        version="v1.0.0",
        tag=tag,
        commit="c" * 40,
        assigned_seconds=1,
        since="2026-01-01T00:00:00Z",
    )
    return replace(one, **fields)


def settings(root: Path, *, progress: Progress | None = None, **config: Any) -> TargetSettings:
    return TargetSettings(
        name="prod",
        config=TargetConfig(path="srv", **config),
        root=root,
        progress=progress or RecordedProgress(),
        environment={"PATH": "/usr/bin:/bin"},
        bare={"PATH": "/usr/bin:/bin"},
    )
