"""A live table of the running stages on a terminal; what has ended stands above it.

Whoever calls only notes what happened. One thread draws, ten times a second at most, so that
neither a slow terminal nor a chatty stage holds the pipeline up; rich is imported in that thread.
"""

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from modelci.adapters.progress import TextProgress, ending
from modelci.domain.pace import amount, clock, seconds_left, whole_seconds
from modelci.domain.pipeline import StageRun, StageStatus
from modelci.ports import Advance

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_TICK = 0.1
_PATIENCE = 1.0  # seconds after which it is worth a row that something takes its time
_MOST_ROWS = 20
_MOST_KEPT = 2048  # characters of a stage's last line
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_Cells = tuple[str, float, float | None, str]
"""A row: its name, the seconds so far, in all, and what there is to say of it."""

_CACHED = (StageStatus.RESTORED, StageStatus.UNCHANGED)
_STYLES = {StageStatus.RAN: "green", StageStatus.FAILED: "red"}


@dataclass(kw_only=True)
class _Row:
    """A running stage."""

    started: float
    line: str = ""
    begun: str = ""

    def hear(self, text: str) -> None:
        """Keep the last line that says something; a progress bar's state counts as one."""
        lines = re.split(r"[\r\n]+", (self.begun + text)[-2 * _MOST_KEPT :])
        self.begun = lines[-1][-_MOST_KEPT:]
        self.line = next((line for line in reversed(lines) if line.strip()), self.line)


@dataclass(kw_only=True, eq=False)
class _Task:
    """Something that is done, and how far it is; two may look alike, and are not the same."""

    text: str
    started: float
    total: float | None
    unit: str
    done: float = 0.0

    def advance(self, done: float, total: float | None = None, /) -> None:
        """Note how far it is; two numbers are no reason to wait for whoever draws."""
        self.done = done
        if total:
            self.total = total

    def cells(self, now: float) -> _Cells:
        """Return its text, the seconds that it took and will take in all, and how far it is."""
        spent = now - self.started
        done = spent if self.unit == "s" else self.done
        whole = self.total if self.unit == "s" else whole_seconds(spent, done, self.total)
        return self.text, spent, whole, amount(done, self.total, self.unit)


class LiveProgress(TextProgress):
    """Plain lines until a stage runs, then a live table, until all have ended or ``close``.

    What is busy without a stage has the table after a second: most of it is done by then, and rich
    is not even loaded.

    ``last`` is asked once for how long stages took when they last ran, ``patience`` is in seconds.
    If the terminal fails the
    table is given up, and the run goes on with plain lines.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        last: Callable[[], Mapping[str, float]] | None = None,
        now: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
    ) -> None:
        super().__init__(stream)
        self._ask_last = last
        self._last: Mapping[str, float] = {}
        self._now = now
        self._patience = patience
        self._started = now()
        self._mutex = threading.Lock()  # never held while something is drawn
        self._rows: dict[str, _Row] = {}
        self._tasks: list[_Task] = []
        self._ended: dict[str, StageStatus] = {}
        self._total = 0
        self._lanes = 1
        self._lines: list[tuple[str, str]] = []
        self._drawing: threading.Thread | None = None
        self._is_over = threading.Event()
        self._is_due = threading.Event()
        self._is_broken = False
        self._has_stages = False

    @contextmanager
    def busy(self, text: str, total: float | None = None, unit: str = "") -> Iterator[Advance]:
        """Give it a row, if it lasts."""
        task = _Task(text=text, started=self._now(), total=total, unit=unit)
        with self._mutex:
            self._tasks.append(task)
            if self._drawing is None and not self._is_broken:
                self._begin()
        try:
            yield task.advance
        finally:
            with self._mutex:
                self._tasks.remove(task)
                drawing = None if self._rows or self._tasks else self._end()
            self._wait_for(drawing)

    def note(self, text: str) -> None:
        """Say one line."""
        self._tell(text, "")

    def warn(self, text: str) -> None:
        """Say one line that deserves a look."""
        self._tell(f"Warning: {text}", "yellow")

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Give the stage a row."""
        if self._is_broken:
            super().stage_started(name, reasons, done, total)
            return
        with self._mutex:
            if done == 0:  # also of a command's second run
                self._ended.clear()
            if self._drawing is None:
                self._begin()
            self._has_stages = True
            self._is_due.set()
            self._rows[name] = _Row(started=self._now())
            self._total, self._lanes = total, max(self._lanes, len(self._rows))

    def stage_output(self, name: str, text: str) -> None:
        """Keep the last line; all of them are in the stage's log."""
        if self._is_broken:
            super().stage_output(name, text)
            return
        with self._mutex:
            if row := self._rows.get(name):
                row.hear(text)

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say what came of the stage, above the table; after the last one there is no table."""
        if self._is_broken:
            super().stage_ended(run, done, total)
            return
        with self._mutex:
            self._rows.pop(run.name, None)
            if done == 1:
                self._ended.clear()
            self._ended[run.name], self._total = run.status, total
        self._tell(ending(run, done, total), _STYLES.get(run.status, "dim"))
        if done >= total:
            with self._mutex:
                drawing = None if self._tasks else self._end()
            self._wait_for(drawing)

    def close(self) -> None:
        """Take the table away, leave the terminal as it was, and say what is still to be said."""
        with self._mutex:
            drawing = self._end()
        self._wait_for(drawing)

    def _begin(self) -> None:
        self._is_over, self._is_due = threading.Event(), threading.Event()
        self._has_stages = False
        self._drawing = threading.Thread(
            target=self._draw,
            args=(self._is_over, self._is_due),
            name="modelci-live",
            daemon=True,
        )
        self._drawing.start()

    def _end(self) -> threading.Thread | None:
        """Tell the thread that draws to end, and return it to be waited for."""
        drawing, self._drawing = self._drawing, None
        self._is_over.set()
        self._is_due.set()
        return drawing

    def _wait_for(self, drawing: threading.Thread | None) -> None:
        if drawing is not None:
            drawing.join()
        with self._mutex:
            lines = [] if self._drawing else self._take_lines()
        for text, _ in lines:
            self._say(text)

    def _tell(self, text: str, style: str) -> None:
        lines = [(neutral(line), style) for line in text.splitlines() or [""]]
        with self._mutex:
            is_shown = self._drawing is not None and not self._is_broken
            if is_shown:
                self._lines.extend(lines)
        if not is_shown:
            for line, _ in lines:
                self._say(line)

    def _take_lines(self) -> list[tuple[str, str]]:
        """Take what is to be said; whoever calls holds the mutex."""
        lines, self._lines = self._lines, []
        return lines

    # -- the thread that draws -----------------------------------------------------------------

    def _draw(self, is_over: threading.Event, is_due: threading.Event) -> None:
        is_due.wait(self._patience)
        if is_over.is_set() and not self._has_stages:  # nothing to see; the lines are said
            return
        try:
            self._draw_until(is_over)
        except Exception:  # noqa: BLE001 - a picture is no reason to lose a run
            with self._mutex:
                self._is_broken = True
                lines = self._take_lines()
            with suppress(Exception):
                for text, _ in lines:
                    self._say(text)

    def _draw_until(self, is_over: threading.Event) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.live import Live  # noqa: PLC0415

        console = Console(
            file=self._stream, force_terminal=True, markup=False, highlight=False, emoji=False
        )
        with Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=self._stream is sys.stderr,
            vertical_overflow="crop",
        ) as live:
            while not is_over.wait(_TICK):
                self._refresh(console, live)
            self._refresh(console, live)

    def _refresh(self, console: "Console", live: "Live") -> None:
        from rich.text import Text  # noqa: PLC0415

        if self._rows and self._ask_last is not None:
            self._last, self._ask_last = self._ask_last(), None
        with self._mutex:
            lines = self._take_lines()
        if lines:
            above = (Text(text, style, end="") for text, style in lines)
            console.print(Text("\n").join(above), soft_wrap=True)
        live.update(self.picture(console.width, console.height), refresh=True)

    def picture(self, width: int, height: int) -> "Text":
        """Return the table in ``width`` columns and less than ``height`` lines."""
        from rich.cells import set_cell_size  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        with self._mutex:
            now = self._now()
            rows: list[_Cells] = [
                (name, now - row.started, self._last.get(name), row.line)
                for name, row in self._rows.items()
            ]
            rows += [one.cells(now) for one in self._tasks if now - one.started >= self._patience]
            summary = self._summary(now) if self._rows else ""
        space = max(1, min(_MOST_ROWS, height - 4))
        hidden = len(rows) - space if len(rows) > space else 0
        rows = rows[: space - 1] if hidden else rows
        hidden += bool(hidden)
        names = min(
            max((len(neutral(name)) for name, *_ in rows), default=0), max(8, width // 2 - 8)
        )
        picture = Text(no_wrap=True)
        for name, spent, expected, line in rows:
            usual = f" of {clock(expected)}" if expected is not None else ""
            row = Text(f"▸ {_cells(neutral(name), names)}", "bold")
            row.append(f" {set_cell_size(f'{clock(spent)}{usual}', 13)} ", "not bold cyan")
            row.append(neutral(line), "not bold dim")
            row.truncate(max(1, width - 1), overflow="ellipsis")
            picture.append_text(row).append("\n")
        ends = [f"  and {hidden} more", summary] if hidden else [summary]
        for end in filter(None, ends):
            last = Text(end)
            last.truncate(max(1, width - 1), overflow="ellipsis")
            picture.append_text(last).append("\n")
        picture.rstrip()
        return picture

    def _summary(self, now: float) -> str:
        counts = Counter(self._ended.values())
        waiting = max(0, self._total - len(self._rows) - len(self._ended))
        left = seconds_left(
            running={name: now - row.started for name, row in self._rows.items()},
            ended=self._ended.keys(),
            waiting=waiting,
            last=self._last,
            lanes=self._lanes,
        )
        parts = [clock(now - self._started)]  # first what must not be cut off
        if left is not None:
            parts.append(f"about {clock(left)} left")
        parts += [f"{counts[StageStatus.RAN]} done", f"{len(self._rows)} running"]
        more = {
            "failed": counts[StageStatus.FAILED],
            "waiting": waiting,
            "cached": sum(counts[status] for status in _CACHED),
            "not run": counts[StageStatus.NOT_RUN],
        }
        parts += [f"{count} {word}" for word, count in more.items() if count]
        return " · ".join(parts)


def neutral(text: str) -> str:
    """Return one line that commands no terminal: no colours, nothing invisible or reordering."""
    plain = _ANSI.sub("", text).replace("\t", " ")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in plain)


def _cells(text: str, width: int) -> str:
    from rich.text import Text  # noqa: PLC0415

    cell = Text(text)
    cell.truncate(width, overflow="ellipsis", pad=True)
    return cell.plain
