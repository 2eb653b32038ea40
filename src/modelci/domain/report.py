"""The report: how the head differs from the base, and what the gates say of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelci.domain.changes import DataChange, FileChange, ValueChange
from modelci.domain.evidence import EvaluationResult
from modelci.domain.gates import Gate, GateResult, Verdict, Waiver, reach_verdict
from modelci.domain.history import MetricHistory
from modelci.domain.metrics import MetricDelta
from modelci.domain.pipeline import ChangeKind, Run, StageChange
from modelci.domain.plots import Picture, Plot
from modelci.domain.slices import FairnessResult, SliceResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One side of a comparison. ``chosen`` says how it was found; ``dirty`` is the work tree.

    ``tag`` names the registered version that it is, where it was chosen for being one. ``merged``
    says of a base that what it was chosen for is on the default branch already.
    """

    sha: str | None
    name: str
    chosen: str
    dirty: bool = False
    tag: str | None = None
    merged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateChange:
    """A gate that the head edits; it is judged as the base has it."""

    kind: ChangeKind
    gate: Gate

    def __str__(self) -> str:
        """Return the edit with all that is not usual of the gate."""
        return ", ".join((f"{self.kind}: {self.gate}", *self.gate.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """A setting of what judges that the head edits: ``slices.max_drop``, ``budget[model.pkl].max``.

    ``base`` and ``head`` are as text; None where that side does not set it. It is judged as the
    base has it.
    """

    key: str
    base: str | None
    head: str | None

    def __str__(self) -> str:
        base, head = ("not set" if one is None else one for one in (self.base, self.head))
        return f"{self.key}: {base} → {head}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverChange:
    """A waiver that the head edits; it counts from the merge on."""

    kind: ChangeKind
    waiver: Waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a model changed. ``created`` is UTC in ISO 8601; ``locks`` are blob ids by path.

    ``head_sha`` is the commit that a pull request shows; ``head.sha`` the one that was compared
    (they differ where a forge tests a merge of the two). ``from_fork`` says that nobody here
    vouches for the figures. ``on_merge`` is what a merge would promote, as far as can be said.
    ``state`` is a digest of the head's numbers and files that it was made from.
    """

    base: Revision | None
    head: Revision
    head_sha: str | None
    created: str
    version: str
    metrics: tuple[MetricDelta, ...] = ()
    texts: tuple[ValueChange, ...] = ()
    params: tuple[ValueChange, ...] = ()
    stages: tuple[StageChange, ...] = ()
    data: tuple[DataChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    gates: tuple[GateResult, ...] = ()
    gate_changes: tuple[GateChange, ...] = ()
    setting_changes: tuple[SettingChange, ...] = ()
    waiver_changes: tuple[WaiverChange, ...] = ()
    evaluations: tuple[EvaluationResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    fairness: tuple[FairnessResult, ...] = ()
    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()
    history: tuple[MetricHistory, ...] = ()
    run: Run | None = None
    locks: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    run_url: str | None = None
    from_fork: bool = False
    on_merge: tuple[str, ...] = ()
    state: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What the gates say together."""
        return reach_verdict(self.gates)

    @property
    def is_ok(self) -> bool:
        """Whether the merge may go on: no gate blocks and the pipeline ran through."""
        return not self.verdict.blocked and (self.run is None or self.run.is_ok)


def diff_gates(base: Iterable[Gate], head: Iterable[Gate]) -> tuple[GateChange, ...]:
    """Return the gates that only one side has, first those that the head drops."""
    before, after = tuple(base), tuple(head)
    return (
        *(GateChange(kind=ChangeKind.DELETED, gate=gate) for gate in before if gate not in after),
        *(GateChange(kind=ChangeKind.ADDED, gate=gate) for gate in after if gate not in before),
    )
