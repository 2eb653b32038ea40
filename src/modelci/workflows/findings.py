"""What a report is made from beyond metrics files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelci.domain.evidence import EvaluationResult
from modelci.domain.gates import GateResult, Grounds
from modelci.domain.metrics import MetricKey
from modelci.domain.slices import FairnessResult, SliceResult
from modelci.domain.snapshot import Snapshot
from modelci.ports import FileTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The files of both revisions, and what DVC says of them; there may be no base."""

    base: FileTree | None
    head: FileTree
    before: Snapshot
    after: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What predictions and datasets say.

    ``gates`` are those of slices, fairness, baseline and data; ``names`` what all of these gates
    are called, also those that are not among the results since they hold.
    """

    grounds: Mapping[MetricKey, Grounds] = field(default_factory=dict)
    gates: tuple[GateResult, ...] = ()
    evaluations: tuple[EvaluationResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    fairness: tuple[FairnessResult, ...] = ()
    notes: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
