"""Watching a deployed model: what a window of its data says against the reference profile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelci.domain.gates import GateResult, Verdict, reach_verdict
from modelci.domain.profile import ColumnProfile, Realised

NO_ROWS = "the window has no rows"
"""Why nothing can be decided of an empty window."""


class DriftStatistic(StrEnum):
    """Effect sizes; 0 is no change. ``wasserstein`` is in the reference's standard deviations."""

    PSI = "psi"
    KS = "ks"
    WASSERSTEIN = "wasserstein"
    JENSEN_SHANNON = "jensen_shannon"
    CRAMERS_V = "cramers_v"


class Correction(StrEnum):
    """How p-values of many columns are judged together."""

    HOLM = "holm"
    NONE = "none"


class TriggerKind(StrEnum):
    """What sets an action off."""

    PERFORMANCE = "performance"
    DRIFT = "drift"
    SCHEMA = "schema"
    AGE = "age"
    SKEW = "skew"


class ActionKind(StrEnum):
    """What is done about it."""

    RETRAIN_PR = "retrain-pr"
    ISSUE = "issue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """How a column differs; a statistic that says nothing of its kind is None.

    ``p_value`` is of the two-sample test (chi², of bins and the missing ones), adjusted for all
    columns judged together. ``by_chance`` is the PSI that rows as few as these have on average
    where nothing has changed. ``new`` and ``lost`` are categories with their share of the rows.
    """

    name: str
    reference: ColumnProfile
    current: ColumnProfile | None
    psi: float | None = None
    ks: float | None = None
    wasserstein: float | None = None
    jensen_shannon: float | None = None
    cramers_v: float | None = None
    p_value: float | None = None
    by_chance: float = 0.0
    missing_before: float = 0.0
    missing_now: float = 0.0
    new: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A performance that no label has confirmed: it cannot see that labels now follow otherwise."""

    method: str
    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """A measure now against the reference's; ``realised`` overrides ``estimated``."""

    measure: str
    reference: Realised | None
    realised: Realised | None = None
    estimated: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """Logged answers against those of the tagged model, asked again for ``rows`` rows.

    ``differing`` are off by more than the tolerance, ``worst`` is the largest difference.
    """

    rows: int
    differing: int
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The version that is watched: what holds ``stage``; it was registered ``age_days`` ago."""

    artifact: str
    stage: str | None
    version: str | None
    tag: str | None
    commit: str | None
    age_days: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a trigger asks for, and what came of it.

    ``held_back`` says why nothing was done, ``failed`` why it could not be: it is due still.
    """

    kind: ActionKind
    trigger: TriggerKind
    reason: str
    held_back: str | None = None
    url: str | None = None
    done: str | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """The document ``modelci.monitor/1``: one window of one model, judged.

    ``labelled`` counts rows whose outcome is known. ``consecutive`` says per kind of trigger in
    how many windows, this one included, it has fired in a row.
    """

    watched: Watched
    window: str
    current: str
    created: str
    version: str
    rows: int
    labelled: int = 0
    columns: tuple[ColumnDrift, ...] = ()
    scores: ColumnDrift | None = None
    chosen_before: float | None = None
    chosen_now: float | None = None
    performance: tuple[Performance, ...] = ()
    skew: Skew | None = None
    gates: tuple[GateResult, ...] = ()
    consecutive: Mapping[str, int] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    notes: tuple[str, ...] = ()
    run_url: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What the gates say together."""
        return reach_verdict(self.gates)

    @property
    def is_ok(self) -> bool:
        """Whether nothing was found that fails."""
        return not self.verdict.blocked
