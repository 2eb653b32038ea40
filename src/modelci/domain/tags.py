"""The registry's tags: GTO's grammar, read and written exactly.

Source: the tag format of GTO 1.x, which DVC and DVC Studio read too.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from modelci.domain.versions import Version

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9-/_]*[a-zA-Z0-9])?"
_TAG = re.compile(
    rf"(?P<artifact>(?:[a-zA-Z0-9-_./]+=)?{_NAME})"
    rf"(?:(?:#(?P<stage>{_NAME})|@(?P<version>v[^!#]+))(?P<undo>!)?|@(?P<mark>deprecated|created))"
    r"(?:#(?P<counter>[0-9]+))?"
)
_MAX_LENGTH = 1000
_NAME_ONLY = re.compile(_NAME)
_ARTIFACT = re.compile(rf"(?:[a-zA-Z0-9-_./]+=)?{_NAME}")


class Action(StrEnum):
    """What a tag says of its artifact."""

    REGISTER = "register"
    DEREGISTER = "deregister"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    DEPRECATE = "deprecate"
    CREATE = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagName:
    """A tag's name, taken apart. ``artifact`` is as commands spell it: ``dir:name``."""

    artifact: str
    action: Action
    version: Version | None = None
    stage: str | None = None
    counter: int | None = None

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return the parts, or None where the name is none of ours: everyone shares tags."""
        # A tag object may hold any length, and Python reads no number of 5,000 digits.
        found = _TAG.fullmatch(name) if len(name) <= _MAX_LENGTH else None
        if found is None:
            return None
        version = Version.parse(found["version"][1:]) if found["version"] else None
        if found["version"] and version is None:
            return None
        return cls(
            artifact=found["artifact"].replace("=", ":", 1),
            action=_action(found["stage"], found["version"], found["undo"], found["mark"]),
            version=version,
            stage=found["stage"],
            counter=int(found["counter"]) if found["counter"] else None,
        )

    def __str__(self) -> str:
        artifact = self.artifact.replace(":", "=", 1)
        counter = "" if self.counter is None else f"#{self.counter}"
        match self.action:
            case Action.REGISTER:
                return f"{artifact}@v{self.version}{counter}"
            case Action.DEREGISTER:
                return f"{artifact}@v{self.version}!{counter}"
            case Action.ASSIGN:
                return f"{artifact}#{self.stage}{counter}"
            case Action.UNASSIGN:
                return f"{artifact}#{self.stage}!{counter}"
            case Action.DEPRECATE:
                return f"{artifact}@deprecated{counter}"
            case Action.CREATE:
                return f"{artifact}@created{counter}"


def _action(stage: str | None, version: str | None, undo: str | None, mark: str | None) -> Action:
    if stage:
        return Action.UNASSIGN if undo else Action.ASSIGN
    if version:
        return Action.DEREGISTER if undo else Action.REGISTER
    return Action.DEPRECATE if mark == "deprecated" else Action.CREATE


def is_stage_name(name: str) -> bool:
    """Whether GTO takes ``name`` for a stage."""
    return _NAME_ONLY.fullmatch(name) is not None


def is_artifact_name(name: str) -> bool:
    """Whether a tag can carry this artifact (``name`` or ``dir:name``)."""
    return "=" not in name and _ARTIFACT.fullmatch(name.replace(":", "=", 1)) is not None
