"""A DVC pipeline as values: its stages, what a run would do, and what a run did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStage:
    """One resolved stage of a ``dvc.yaml``; paths are counted from the top of the repository.

    ``name`` is DVC's own address: ``train@hgb``, or ``sub/dvc.yaml:train`` below the top.
    """

    name: str
    cmd: tuple[str, ...]
    deps: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    frozen: bool = False


class ChangeKind(StrEnum):
    """How something differs between two revisions."""

    ADDED = "added"
    DELETED = "deleted"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """A stage whose definition differs; ``fields`` names what (``cmd``, ``deps``, …)."""

    name: str
    kind: ChangeKind
    fields: tuple[str, ...] = ()


def diff_stages(
    base: tuple[PipelineStage, ...], head: tuple[PipelineStage, ...]
) -> tuple[StageChange, ...]:
    """Return the stages that were added, deleted or defined anew, by name."""
    before = {stage.name: stage for stage in base}
    after = {stage.name: stage for stage in head}
    return tuple(
        change
        for name in sorted(before.keys() | after.keys())
        if (change := _diff_stage(name, before.get(name), after.get(name)))
    )


def _diff_stage(
    name: str, base: PipelineStage | None, head: PipelineStage | None
) -> StageChange | None:
    if base is None:
        return StageChange(name=name, kind=ChangeKind.ADDED)
    if head is None:
        return StageChange(name=name, kind=ChangeKind.DELETED)
    fields = tuple(
        field
        for field in ("cmd", "deps", "params", "outs", "frozen")
        if getattr(base, field) != getattr(head, field)
    )
    return StageChange(name=name, kind=ChangeKind.CHANGED, fields=fields) if fields else None


class StageStatus(StrEnum):
    """What came of a stage in a run."""

    RAN = "ran"
    RESTORED = "restored"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    NOT_RUN = "not_run"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputHash:
    """What a stage wrote: DVC's hash (a directory's ends in ``.dir``) and size."""

    path: str
    hash: str | None
    bytes: int | None = None
    files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """One stage in one run: why it ran (or did not), how long, and what it left.

    ``seconds`` is wall time; ``exit_code`` and ``log_tail`` are of the stage's command.
    ``start_seconds`` counts from the start of the run; ``cpu_seconds`` and ``peak_bytes`` (of the
    largest process, where it could be seen) are what its commands took, all ``attempts`` together.
    """

    name: str
    status: StageStatus
    reasons: tuple[str, ...] = ()
    seconds: float | None = None
    exit_code: int | None = None
    log_tail: str = ""
    outputs: tuple[OutputHash, ...] = ()
    start_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run: ``jobs`` stages at a time (None: one for each core), ``run_cache`` as a source.

    ``downstream`` also runs what depends on the targets, instead of what they depend on;
    ``single_item`` runs just the targets. ``last_seconds`` is how long stages took last time;
    ``gpus`` (None: as many as are found) and cores are what stages' needs are held against.
    ``push`` sends each stage's outputs as soon as it has run, with ``record`` also a note of the
    run. Stages in ``others`` are other jobs' to run; those in ``failures`` have failed there.
    """

    jobs: int | None = None
    pull: bool = False
    force: bool = False
    keep_going: bool = False
    downstream: bool = False
    single_item: bool = False
    run_cache: bool = True
    gpus: int | None = None
    last_seconds: Mapping[str, float] = field(default_factory=dict)
    push: bool = False
    record: bool = True
    others: frozenset[str] = frozenset()
    failures: Mapping[str, StageRun] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the pipeline. ``started`` is UTC in ISO 8601; ``error`` ended it early."""

    revision: str | None
    dirty: bool
    started: str
    seconds: float
    stages: tuple[StageRun, ...]
    pushed: int | None = None
    error: str | None = None
    version: str = ""

    @property
    def failed(self) -> tuple[StageRun, ...]:
        """The stages whose command failed."""
        return tuple(stage for stage in self.stages if stage.status is StageStatus.FAILED)

    @property
    def is_ok(self) -> bool:
        """Whether everything that was asked for is there."""
        return self.error is None and not self.failed


class PlannedState(StrEnum):
    """What a run would do with a stage."""

    RUN = "run"
    RESTORE = "restore"
    UNCHANGED = "unchanged"
    FROZEN = "frozen"
    DEPENDS = "depends"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """A stage in the order of a run; ``depends`` waits for what the stages before it write."""

    name: str
    state: PlannedState
    reasons: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run of this checkout would do."""

    stages: tuple[PlannedStage, ...]
