"""The registry's tags: GTO's grammar, read and written exactly.

Source: the tag format of GTO 1.x, which DVC and DVC Studio read too.
"""

import re
from enum import StrEnum
from typing import NamedTuple, Self

from modelci.domain.versions import Version

# What is read is never given back (`++`): no other reading exists, and there are many tags.
_NAME = r"[a-zA-Z0-9]++(?:[-/_]++[a-zA-Z0-9]++)*+"
_ARTIFACT_NAME = rf"(?:[a-zA-Z0-9-_./]++=)?+{_NAME}"
_TAG = re.compile(
    rf"(?P<artifact>{_ARTIFACT_NAME})"
    rf"(?:(?:#(?P<stage>{_NAME})|@(?P<version>v[^!#]+))(?P<undo>!)?|@(?P<mark>deprecated|created))"
    r"(?:#(?P<counter>[0-9]+))?"
)
_QUERY = (
    rf"(?P<artifact>{_ARTIFACT_NAME})"
    rf"(?:@(?P<version>latest|greatest|v[0-9][^!#@]*)|#(?P<stage>{_NAME}))?"
)
_MAX_LENGTH = 1000
_DVC_FILE = r"^(?:(?P<folder>.+)/)?dvc\.yaml[:=]"


class Action(StrEnum):
    """What a tag says of its artifact."""

    REGISTER = "register"
    DEREGISTER = "deregister"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    DEPRECATE = "deprecate"
    CREATE = "create"


# A registry has tens of thousands of them: a tuple is made five times as fast as a dataclass.
class TagName(NamedTuple):
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
        artifact, stage, written, undo, mark, counter = found.groups()
        version = None
        if stage:
            action = Action.UNASSIGN if undo else Action.ASSIGN
        elif mark:
            action = Action.DEPRECATE if mark == "deprecated" else Action.CREATE
        else:
            action = Action.DEREGISTER if undo else Action.REGISTER
            version = Version.parse(written[1:])
            if version is None:
                return None
        if "=" in artifact:
            artifact = artifact.replace("=", ":", 1)
        return cls(artifact, action, version, stage, int(counter) if counter else None)

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


class Query(NamedTuple):
    """What a person asks for: an artifact, one version of it, or what holds a stage.

    ``version`` is ``latest``, ``v1.2.0``, or the beginning of one (``v1``: the greatest active).
    """

    artifact: str
    version: str | None = None
    stage: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``NAME``, ``NAME@latest``, ``NAME@v1.2.0`` or ``NAME#stage``; else return None."""
        written = re.sub(_DVC_FILE, _folder, text, count=1).replace(":", "=", 1)
        found = re.fullmatch(_QUERY, written) if len(text) <= _MAX_LENGTH else None
        if found is None or "=" in text:
            return None
        version = "latest" if found["version"] == "greatest" else found["version"]
        return cls(found["artifact"].replace("=", ":", 1), version, found["stage"])

    def __str__(self) -> str:
        return f"{self.artifact}{f'@{self.version}' if self.version else ''}" + (
            f"#{self.stage}" if self.stage else ""
        )


def _folder(found: re.Match[str]) -> str:
    # ``models/dvc.yaml:name`` is DVC's spelling of ``models:name``.
    return f"{found['folder']}:" if found["folder"] else ""


def is_assignment(tag: str) -> bool:
    """Whether a tag of that name assigns a stage."""
    name = TagName.parse(tag)
    return name is not None and name.action is Action.ASSIGN


def is_stage_name(name: str) -> bool:
    """Whether GTO takes ``name`` for a stage."""
    return re.fullmatch(_NAME, name) is not None


def is_artifact_name(name: str) -> bool:
    """Whether a tag can carry this artifact (``name`` or ``dir:name``)."""
    return "=" not in name and re.fullmatch(_ARTIFACT_NAME, name.replace(":", "=", 1)) is not None
