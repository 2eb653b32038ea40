"""A pipeline that runs nothing, and says what it was asked."""

# ruff: noqa: ARG002

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from modelci.domain.changes import TrackedFile
from modelci.domain.pipeline import (
    Plan,
    PlannedStage,
    PlannedState,
    RunOptions,
    StageRun,
    StageStatus,
)
from modelci.errors import PipelineError
from modelci.ports import Progress, StageExecutor


@dataclass(kw_only=True)
class FakePipeline:
    """``writes`` stands for what the stages write; ``push_error`` is why a push fails."""

    stages: tuple[StageRun, ...] = (StageRun(name="train", status=StageStatus.RAN),)
    writes: Callable[[], object] = lambda: None
    remote: str | None = "storage"
    push_error: PipelineError | None = None
    asked: list[dict[str, object]] = field(default_factory=list)
    pushes: int = 0
    lacks: frozenset[str] = frozenset()

    def version(self) -> str:
        return "3.67.1"

    def check_remote(self) -> str | None:
        if self.push_error:
            raise self.push_error
        return self.remote

    def plan(self, targets: Sequence[str], options: RunOptions) -> Plan:
        states = {StageStatus.UNCHANGED: PlannedState.UNCHANGED}
        return Plan(
            stages=tuple(
                PlannedStage(name=one.name, state=states.get(one.status, PlannedState.RUN))
                for one in self.stages
            )
        )

    def outdated(self, targets: Sequence[str], *, recorded: bool) -> Plan:
        return self.plan(targets, RunOptions())

    def run(
        self,
        targets: Sequence[str],
        options: RunOptions,
        *,
        progress: Progress,
        executor: StageExecutor | None = None,
    ) -> tuple[StageRun, ...]:
        self.asked.append(
            {
                "targets": tuple(targets),
                "pull": options.pull,
                "force": options.force,
                "keep_going": options.keep_going,
            }
        )
        self.writes()
        return self.stages

    def missing(self, files: Sequence[TrackedFile]) -> tuple[TrackedFile, ...] | None:
        if self.push_error:
            raise self.push_error
        if self.remote is None:
            return None
        return tuple(file for file in files if file.hash in self.lacks)

    def push(self, *, progress: Progress, record: bool = True) -> int:
        if self.push_error:
            raise self.push_error
        self.pushes += 1
        return 3
