"""What a reason lifts: the rules that stand against a change, and how its tags keep that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelci.errors import PromotionError

ALLOWED, ALLOWED_BY = "Modelci-Allowed", "Modelci-Allowed-By"
ALLOWED_RULES = "Modelci-Allowed-Rules"


class Liftable(StrEnum):
    """A rule that ``--allow REASON`` lifts, by the name that tags and documents have for it."""

    GATES = "gates"
    """No gate blocks, or blocked when the version was registered."""
    NEWEST_BASE = "newest-base"
    """The report compares with what was promoted last."""
    VERDICT = "verdict"
    """The version's own tag bears a verdict of gates."""
    STAGE_ORDER = "stage-order"
    """The stage before holds the version (``promote.stages``)."""
    HOLD = "hold"
    """No rollback holds the stage."""
    WITHDRAWN = "withdrawn"
    """The bytes were not deregistered."""
    DEPRECATED = "deprecated"
    """The artifact is in use."""
    SIGNATURE = "signature"
    """The version's own tag is signed (``registry.require_signed``); of rollbacks alone."""
    STORED_BYTES = "stored-bytes"
    """The DVC remote has the bytes, or (``promote.require_remote``) can at least be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """A rule that stands against a change to one ``artifact`` (None: to all of them)."""

    rule: Liftable
    message: str
    hint: str | None = None
    artifact: str | None = None


def settle(objections: Iterable[Objection], allowed: str | None) -> tuple[Objection, ...]:
    """Return the objections, which ``allowed`` lifts; without a reason raise the first one."""
    found = tuple(objections)
    if found and allowed is None:
        raise PromotionError(found[0].message, hint=found[0].hint)
    return found


def in_order(rules: Iterable[Liftable]) -> tuple[Liftable, ...]:
    """Return the rules once each, in the order in which they are declared."""
    wanted = frozenset(rules)
    return tuple(one for one in Liftable if one in wanted)


def allowance(reason: str, by: str, rules: Sequence[Liftable]) -> tuple[tuple[str, str], ...]:
    """Return the trailers that keep which rules were lifted, why and by whom."""
    return ((ALLOWED, reason), (ALLOWED_BY, by), (ALLOWED_RULES, ", ".join(rules)))


def sentence(reason: str, rules: Sequence[Liftable]) -> str:
    """Return what became of a reason, in a line for people."""
    if not rules:
        return f"No rule had to be lifted: the tags do not keep the reason ({reason})."
    return f"Rules are lifted ({', '.join(rules)}): {reason}"
