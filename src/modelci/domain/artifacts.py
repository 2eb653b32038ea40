"""Artifacts that ``dvc.yaml`` declares: what can be registered and promoted."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An entry of ``artifacts:``; below the top it is named ``dir:name`` (in tags ``dir=name``)."""

    name: str
    path: str
    type: str | None = None
    desc: str | None = None
    labels: tuple[str, ...] = ()
    meta: Mapping[str, object] = field(default_factory=dict)
