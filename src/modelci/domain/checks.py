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


def ok(name: str, detail: str) -> Check:
    """Return a check of what is well."""
    return Check(name=name, health=Health.OK, detail=detail)


def warning(name: str, detail: str, fix: str) -> Check:
    """Return a check of what works, and should be otherwise."""
    return Check(name=name, health=Health.WARNING, detail=detail, fix=fix)


def problem(name: str, detail: str, fix: str | None) -> Check:
    """Return a check of what stands in the way."""
    return Check(name=name, health=Health.PROBLEM, detail=detail, fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """All checks of a project's set-up, in their order."""

    checks: tuple[Check, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing stands in the way (warnings do not)."""
        return all(check.health is not Health.PROBLEM for check in self.checks)
