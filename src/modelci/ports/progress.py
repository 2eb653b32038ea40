"""Who hears what is said while work goes on."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from modelci.domain.pipeline import StageRun


class Advance(Protocol):
    """Says how far something has come; what is known of the ``total`` only now counts from now."""

    def __call__(self, done: float, total: float | None = None, /) -> None: ...


class Progress(Protocol):
    """Talk for people, never a result: a live line, log groups, or nothing."""

    def busy(
        self, text: str, total: float | None = None, unit: str = ""
    ) -> AbstractContextManager[Advance]:
        """Show what is done inside to whoever watches it; lines of a log say nothing of it.

        It may be told how much is done, of ``total``; the unit is bytes, s, or a plural such as
        rows. Several may be at work at a time, in threads of their own.
        """

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
