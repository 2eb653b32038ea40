"""Talk on stderr while we work: plain lines, or folded groups in GitHub Actions."""

import re
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from modelci.adapters.trace import unheard
from modelci.domain.pipeline import StageRun, StageStatus
from modelci.ports import Advance

_MOST_KEPT = 1024 * 1024
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MARKS = {
    StageStatus.RAN: "✔ ran",
    StageStatus.RESTORED: "↺ restored",
    StageStatus.UNCHANGED: "· unchanged",
    StageStatus.FAILED: "✘ failed",
    StageStatus.NOT_RUN: "– not run",
    StageStatus.INTERRUPTED: "– interrupted",
}


class _Unwatched:
    """Nobody looks on: a log is read afterwards."""

    def busy(
        self,
        text: str,  # noqa: ARG002
        total: float | None = None,  # noqa: ARG002
        unit: str = "",  # noqa: ARG002
    ) -> AbstractContextManager[Advance]:
        """Show nothing."""
        return nullcontext(unheard)


class SilentProgress(_Unwatched):
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


class TextProgress(_Unwatched):
    """Plain lines for a terminal or a log.

    A stage's own output goes through as it comes; while several run, as whole lines with its name.
    ``passed_on`` holds the stages whose output is in the log by now.
    """

    def __init__(self, stream: TextIO) -> None:
        self.passed_on: set[str] = set()
        self._stream = stream
        self._begun: dict[str, str] = {}
        self._is_within_line = False

    def note(self, text: str) -> None:
        """Say one line."""
        self._say(text)

    def warn(self, text: str) -> None:
        """Say one line that deserves a look."""
        self._say(f"Warning: {text}")

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Say which stage starts and why."""
        self._begun[name] = ""
        self._say(f"[{done + 1}/{total}] {name}: {'; '.join(reasons) or 'running'}")

    def stage_output(self, name: str, text: str) -> None:
        """Pass the output on."""
        self.passed_on.add(name)
        begun = self._begun.get(name, "")
        if len(self._begun) > 1 or begun:
            *lines, self._begun[name] = (begun + text).split("\n")
            text = "".join(f"{name} | {line}\n" for line in lines)
            text = f"\n{text}" if text and self._is_within_line else text
        self._stream.write(text)
        self._stream.flush()
        self._is_within_line = not text.endswith("\n") if text else self._is_within_line

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say what came of the stage."""
        if begun := self._begun.pop(run.name, ""):
            self._write_line(f"{run.name} | {begun}")
        self._say(ending(run, done, total))

    def _say(self, text: str) -> None:
        # Names of files and stages are anybody's: they colour and move nothing.
        self._write_line(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text))

    def _write_line(self, text: str) -> None:
        self._stream.write("\n" * self._is_within_line + text + "\n")
        self._stream.flush()
        self._is_within_line = False


class ActionsProgress(TextProgress):
    """Groups each stage's output; while user code talks, its workflow commands are inert.

    A stage that runs alone is heard as it talks. Of several at a time each is shown when it ends,
    since groups cannot be told apart otherwise.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._titles: dict[str, str] = {}
        self._kept: dict[str, _Kept] = {}
        self._ended: list[tuple[StageRun, int, int]] = []
        self._heard: str | None = None
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
        self._titles[name] = f"[{done + 1}/{total}] {title}"

    def stage_output(self, name: str, text: str) -> None:
        """Show it in the stage's group, or keep it until the stage ends."""
        self.passed_on.add(name)
        if self._heard is None and len(self._titles) == 1 and name not in self._kept:
            self._open(name)
        if self._heard == name:
            self._pass_on(text)
        else:
            self._kept.setdefault(name, _Kept()).add(text)

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Show the stage's group if it was not heard, and say what came of it."""
        if self._heard not in {None, run.name}:
            self._ended.append((run, done, total))  # no group within another
            return
        if kept := self._kept.pop(run.name, None):
            self._open(run.name)
            self._pass_on(kept.text())
        self._close()
        self._titles.pop(run.name, None)
        self._say(ending(run, done, total))
        for ended in [self._ended.pop(0) for _ in self._ended[:]]:
            self.stage_ended(*ended)

    def _open(self, name: str) -> None:
        """Begin a group, and stop commands in it: what follows is user code's."""
        self._heard = name
        self._command(f"::group::{self._titles.get(name, name)}")
        self._token = secrets.token_hex(16)
        self._command(f"::stop-commands::{self._token}")

    def _pass_on(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _close(self) -> None:
        if self._token:
            self._resume()
            self._command("::endgroup::")
        self._heard, self._token = None, ""

    def _resume(self) -> None:
        if self._token:
            self._command(f"\n::{self._token}::")

    def _say(self, text: str) -> None:
        # The runner takes ``::`` at a line's start, and the older ``##[`` anywhere, for commands.
        super()._say(re.sub(r"##\[", "## [", re.sub(r"(?m)^(\s*):(?=:)", r"\1: ", _lines(text))))

    def _command(self, text: str) -> None:
        super()._say(text)


class _Kept:
    """The last MiB of what a stage has printed; all of it is in its log."""

    def __init__(self) -> None:
        self._parts: deque[str] = deque()
        self._size = 0
        self._is_cut = False

    def add(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        while self._size > _MOST_KEPT and len(self._parts) > 1:
            self._size -= len(self._parts.popleft())
            self._is_cut = True

    def text(self) -> str:
        start = "(The start is in the stage's log.)\n" if self._is_cut else ""
        return start + "".join(self._parts)


def ending(run: StageRun, done: int, total: int) -> str:
    """Return the line that says what came of a stage."""
    seconds = f" in {run.seconds:.1f} s" if run.seconds is not None else ""
    code = f" (exit code {run.exit_code})" if run.exit_code else ""
    return f"[{done}/{total}] {run.name} {_MARKS[run.status]}{seconds}{code}"


def _lines(text: str) -> str:
    return "\n".join(text.splitlines())
