"""How a change treats parts of the test set: slices, and groups of people."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelci.domain.evaluation import FairnessMetric
from modelci.domain.evidence import Evidence
from modelci.domain.gates import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """One measure on one slice of the test set; a slice below ``min_rows`` has no evidence."""

    measure: str
    slice: str
    by: str
    rows: int
    base: float | None = None
    head: float | None = None
    evidence: Evidence | None = None
    outcome: Outcome = Outcome.PASSED
    reason: str = ""

    @property
    def label(self) -> str:
        """What to call the slice: ``region: north``, or a query's name."""
        is_query = self.slice == self.by or any(sign in self.by for sign in ("<", ">", "=", " in "))
        return self.slice if is_query else f"{self.by}: {self.slice}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessResult:
    """A gap between groups: ``rates`` (of the head, by group) and the number of rows behind each.

    For equalized odds the rates are those of the side (true or false positives) with the wider
    gap, which ``rate`` names.
    """

    metric: FairnessMetric
    column: str
    rate: str
    rates: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    base_gap: float | None = None
    evidence: Evidence | None = None
