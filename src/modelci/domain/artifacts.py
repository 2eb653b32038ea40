"""Artifacts that ``dvc.yaml`` declares: what can be registered and promoted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An entry of ``artifacts:``; below the top it is named ``dir:name`` (in tags ``dir=name``)."""

    name: str
    path: str
    type: str | None = None
    desc: str | None = None
    labels: tuple[str, ...] = ()
    meta: Mapping[str, object] = field(default_factory=dict)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Say which of the artifacts that are ``known`` is meant by ``name``, or which there are."""
    # Who forgets the folder means the artifact below it: `credit` for `ml:credit`.
    below = sorted(one for one in known if one.rpartition(":")[2] == name)
    near = below or get_close_matches(name, sorted(known), n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Declared: {', '.join(sorted(known)) or 'none'}."
