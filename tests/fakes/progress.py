"""A progress that remembers what it was told."""
# ruff: noqa: ARG002

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from modelci.adapters.progress import SilentProgress
from modelci.domain.pipeline import StageRun
from modelci.ports import Advance


@dataclass(kw_only=True)
class RecordedProgress:
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    def busy(
        self, text: str, total: float | None = None, unit: str = ""
    ) -> AbstractContextManager[Advance]:
        self.tasks.append(text)
        return SilentProgress().busy(text, total, unit)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        self.stages.append(f"{name} started")

    def stage_output(self, name: str, text: str) -> None: ...

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        self.stages.append(f"{run.name} ended")
