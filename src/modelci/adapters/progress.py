"""Talk on stderr while we work: plain lines, or folded groups in GitHub Actions."""

import re
import secrets
from collections.abc import Sequence
from typing import TextIO

from modelci.domain.pipeline import StageRun, StageStatus

_MARKS = {
    StageStatus.RAN: "✔ ran",
    StageStatus.RESTORED: "↺ restored",
    StageStatus.UNCHANGED: "· unchanged",
    StageStatus.FAILED: "✘ failed",
    StageStatus.NOT_RUN: "– not run",
}


class SilentProgress:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Say nothing."""

    def stage_output(self, name: str, text: str) -> None:
        """Say nothing."""

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say nothing."""


class TextProgress:
    """Plain lines for a terminal or a log; a stage's own output goes through as it comes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        """Say one line."""
        self._say(text)

    def warn(self, text: str) -> None:
        """Say one line that deserves a look."""
        self._say(f"Warning: {text}")

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Say which stage starts and why."""
        self._say(f"[{done + 1}/{total}] {name}: {'; '.join(reasons) or 'running'}")

    def stage_output(self, name: str, text: str) -> None:  # noqa: ARG002
        """Pass the output on."""
        self._stream.write(text)
        self._stream.flush()

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say what came of the stage."""
        seconds = f" in {run.seconds:.1f} s" if run.seconds is not None else ""
        code = f" (exit code {run.exit_code})" if run.exit_code else ""
        self._say(f"[{done}/{total}] {run.name} {_MARKS[run.status]}{seconds}{code}")

    def _say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class ActionsProgress(TextProgress):
    """Groups each stage's output; while user code talks, its workflow commands are inert."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._title = ""
        self._token = ""

    def warn(self, text: str) -> None:
        """Make an annotation."""
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        self._resume()
        self._command(f"::warning::{escaped}")
        if self._token:
            self._command(f"::stop-commands::{self._token}")

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Remember the stage: a restored one says nothing, and needs no group."""
        title = " ".join(f"{name}: {'; '.join(reasons) or 'running'}".splitlines())
        self._title = f"[{done + 1}/{total}] {title}"

    def stage_output(self, name: str, text: str) -> None:
        """Open the stage's group, and stop commands in it: the output is user code's."""
        if not self._token:
            self._command(f"::group::{self._title}")
            self._token = secrets.token_hex(16)
            self._command(f"::stop-commands::{self._token}")
        super().stage_output(name, text)

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Close the group and say what came of the stage."""
        if self._token:
            self._resume()
            self._command("::endgroup::")
            self._token = ""
        super().stage_ended(run, done, total)

    def _resume(self) -> None:
        if self._token:
            self._command(f"\n::{self._token}::")

    def _say(self, text: str) -> None:
        # The runner takes ``::`` at a line's start, and the older ``##[`` anywhere, for commands.
        super()._say(re.sub(r"##\[", "## [", re.sub(r"(?m)^(\s*):(?=:)", r"\1: ", _lines(text))))

    def _command(self, text: str) -> None:
        super()._say(text)


def _lines(text: str) -> str:
    return "\n".join(text.splitlines())
