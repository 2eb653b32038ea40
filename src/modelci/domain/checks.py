"""What ``modelci doctor`` finds, one check at a time."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How well a checked thing is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One checked thing; ``fix`` is what to do where it is not well."""

    name: str
    health: Health
    detail: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All checks of a project's set-up, in their order."""

    checks: tuple[Check, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing stands in the way (warnings do not)."""
        return all(check.health is not Health.PROBLEM for check in self.checks)
