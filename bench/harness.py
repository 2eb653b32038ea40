"""Runs commands side by side in fresh processes, and tells wall time from CPU time."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Command = tuple[str, ...]


class BenchError(Exception):
    """A command failed, or two sides did not do the same work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process and its children took: seconds, CPU seconds, and bytes at the peak."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to do the work: commands, run one after the other."""

    name: str
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was promised against one peer: so many seconds more at most, or times faster."""

    peer: str
    seconds_more: float | None = None
    times_faster: float | None = None

    def is_met(self, ours: float, theirs: float) -> bool:
        """Whether two medians of wall time keep the promise."""
        if self.seconds_more is not None:
            return ours - theirs <= self.seconds_more
        return self.times_faster is None or theirs / ours >= self.times_faster

    def __str__(self) -> str:
        if self.seconds_more is not None:
            return f"within {self.seconds_more * 1000:.0f} ms of {self.peer}"
        if self.times_faster is not None and self.times_faster < 1:
            return f"within {1 / self.times_faster:g}× of {self.peer}"
        return f"{self.times_faster:g}× faster than {self.peer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Sides to compare, ours first, in the folder that ``build`` makes.

    ``most_repeats`` is for a peer that takes minutes; one repeat is then not warmed up, either.
    """

    name: str
    about: str
    sides: tuple[Side, ...]
    goal: Goal
    build: Callable[["Bench"], None] | None = None
    check: Callable[["Bench"], None] | None = None
    most_repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The runs of one side: for each repeat, the cost of each command."""

    side: Side
    runs: tuple[tuple[Cost, ...], ...]

    @property
    def wall(self) -> list[float]:
        """Seconds of each repeat, all commands together."""
        return [sum(cost.wall for cost in run) for run in self.runs]

    @property
    def cpu(self) -> list[float]:
        """User and system seconds of each repeat, children included."""
        return [sum(cost.cpu for cost in run) for run in self.runs]

    @property
    def peak(self) -> int:
        """Bytes that the hungriest process held."""
        return max(cost.peak for run in self.runs for cost in run)

    def by_command(self) -> Iterator[tuple[Command, float]]:
        """Yield the median wall seconds of each command."""
        for index, command in enumerate(self.side.commands):
            yield command, statistics.median(run[index].wall for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A case with its measurements; ``load`` is the load average before and after."""

    case: Case
    sides: tuple[Measured, ...]
    load: tuple[float, float]

    @property
    def is_goal_met(self) -> bool:
        """Whether the medians keep the case's promise."""
        walls = {one.side.name: statistics.median(one.wall) for one in self.sides}
        return self.case.goal.is_met(walls[self.sides[0].side.name], walls[self.case.goal.peer])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A scratch repository, and the environment that the commands see."""

    repository: Path
    environment: Mapping[str, str]

    def measure(self, case: Case, repeats: int) -> Result:
        """Build, warm every side once, check, then run the sides in turn."""
        if case.build:
            case.build(self)
        repeats = min(repeats, case.most_repeats or repeats)
        for side in case.sides if case.most_repeats != 1 else case.sides[:1]:
            self._run_side(side)
        if case.check:
            case.check(self)
        before = os.getloadavg()[0]
        runs: dict[str, list[tuple[Cost, ...]]] = {side.name: [] for side in case.sides}
        for _ in range(repeats):
            for side in case.sides:
                runs[side.name].append(self._run_side(side))
        return Result(
            case=case,
            sides=tuple(Measured(side=side, runs=tuple(runs[side.name])) for side in case.sides),
            load=(before, os.getloadavg()[0]),
        )

    def read(self, *command: str) -> bytes:
        """Return what a command prints."""
        done = subprocess.run(
            command, cwd=self.repository, env=self.environment, capture_output=True, check=False
        )
        if done.returncode:
            raise BenchError(f"{' '.join(command)} failed: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _run_side(self, side: Side) -> tuple[Cost, ...]:
        return tuple(self._run(command) for command in side.commands)

    def _run(self, command: Sequence[str]) -> Cost:
        with tempfile.TemporaryFile() as complaints:
            start = time.perf_counter()
            child = subprocess.Popen(  # reaped by wait4, which also says what it cost
                command,
                cwd=self.repository,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            )
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                complaints.seek(0)
                said = complaints.read().decode(errors="replace")
                raise BenchError(f"{' '.join(command)} exited with {child.returncode}: {said}")
        return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=usage.ru_maxrss * 1024)
