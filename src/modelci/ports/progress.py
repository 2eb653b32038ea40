"""Who hears what is said while work goes on."""

from collections.abc import Sequence
from typing import Protocol

from modelci.domain.pipeline import StageRun


class Progress(Protocol):
    """Talk for people, never a result: a live line, log groups, or nothing."""

    def note(self, text: str) -> None:
        """Say one line."""

    def warn(self, text: str) -> None:
        """Say one line that deserves a look."""

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Say that a stage's command starts; its output follows."""

    def stage_output(self, name: str, text: str) -> None:
        """Pass on a piece of what a stage's command prints; several may run at a time."""

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say what came of a stage."""
