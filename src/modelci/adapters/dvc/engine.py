"""Runs the stages of a pipeline, several at a time: one token, one thread for each running stage.

A thread owns the token for every line of DVC's code and lets go of it only while a stage's commands
run. The main thread does none of the work, so that Ctrl-C never cuts a file in two.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from queue import SimpleQueue
from typing import Any

from modelci.adapters.dvc import errors, seams
from modelci.adapters.dvc.commands import HaltedError
from modelci.adapters.dvc.ignoring import GitView
from modelci.adapters.dvc.quickprint import QuickPrint
from modelci.adapters.dvc.running import StageRunner, Surroundings, way_back
from modelci.domain.pipeline import StageRun, StageStatus
from modelci.domain.schedule import Needs, Schedule, Task, expected_seconds
from modelci.ports import Advance, Progress


class SharedProgress:
    """A ``Progress`` that several threads may talk to."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._mutex = threading.Lock()

    def busy(
        self, text: str, total: float | None = None, unit: str = ""
    ) -> AbstractContextManager[Advance]:
        """Show what is done inside; that takes threads of its own as it is."""
        return self._progress.busy(text, total, unit)

    def note(self, text: str) -> None:
        """Say one line."""
        with self._mutex:
            self._progress.note(text)

    def warn(self, text: str) -> None:
        """Say one line that deserves a look."""
        with self._mutex:
            self._progress.warn(text)

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        """Say that a stage starts."""
        with self._mutex:
            self._progress.stage_started(name, reasons, done, total)

    def stage_output(self, name: str, text: str) -> None:
        """Pass on what a stage prints."""
        with self._mutex:
            self._progress.stage_output(name, text)

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        """Say what came of a stage."""
        with self._mutex:
            self._progress.stage_ended(run, done, total)


class Engine:
    """One run of ``stages``, which stand in the order of a sequential one.

    Edges of ``graph`` lead from a stage to one whose output it reads; with no graph none waits.
    """

    def __init__(
        self, stages: Sequence[Any], graph: Any, needs: Sequence[Needs], around: Surroundings
    ) -> None:
        self._stages = stages
        self._graph = graph
        self._around = around
        self._places = {stage: place for place, stage in enumerate(stages)}
        upstreams = [list(graph.successors(stage)) if graph else [] for stage in stages]
        self._runners = {
            stage: StageRunner(stage, upstream, need, around, self._announce)
            for stage, upstream, need in zip(stages, upstreams, needs, strict=True)
        }
        self._schedule = Schedule(self._tasks(upstreams, needs), around.capacity)
        self._blocked: dict[Any, str] = {}
        self._stopped: str | None = None
        self._runs: dict[int, StageRun] = {}
        self._todo: SimpleQueue[int | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, StageRun]] = SimpleQueue()
        self._working = 0
        self._threads: list[threading.Thread] = []
        self._crash: BaseException | None = None
        self._is_over = threading.Event()

    def run(self) -> tuple[StageRun, ...]:
        """Run what is out of date and return one value per stage, in order.

        Ctrl-C ends all commands (the second time at once); what came of the stages is told to
        progress, and it is passed on. Whoever calls this has the token.
        """
        scm = self._stages[0].repo.scm
        git = GitView(scm)
        with ExitStack() as stack:
            stack.enter_context(
                seams.commands_run_by(lambda stage: self._runners[stage].run_commands())
            )
            stack.enter_context(seams.paths_claimed_by(self._around.claims.rwlock))
            stack.enter_context(seams.git_asked_by(scm, git))
            stack.enter_context(seams.yaml_printed_by(lambda theirs: QuickPrint(theirs).dump))
            stack.enter_context(seams.links_kept_open(self._stages[0].repo.state))
            self._work_beside()
        self._around.lock_files.settle()
        git.settle([out.fspath for stage in self._stages for out in stage.outs])
        if self._crash is not None:
            raise self._crash
        if self._around.halt.is_asked:
            raise KeyboardInterrupt(*self._ways_back(git))
        return tuple(self._runs[place] for place in range(len(self._stages)))

    def _tasks(self, upstreams: Sequence[Sequence[Any]], needs: Sequence[Needs]) -> list[Task]:
        names = [stage.addressing for stage in self._stages]
        seconds = expected_seconds(names, self._around.options.last_seconds)
        return [
            Task(
                after=tuple(self._places[one] for one in upstream if one in self._places),
                needs=self._needs_here(stage, need),
                seconds=expected,
            )
            for stage, upstream, need, expected in zip(
                self._stages, upstreams, needs, seconds, strict=True
            )
        ]

    def _needs_here(self, stage: Any, needs: Needs) -> Needs:
        place = self._around.place
        return needs if place is None else place.needs_here(stage, needs)

    def _ways_back(self, git: GitView) -> Iterator[str]:
        """Yield how to get back what DVC took away before stages that were then interrupted."""
        for stage in self._stages:
            lost = self._runners[stage].lost
            if lost:
                yield way_back(stage, lost, is_in_git=git.is_tracked)

    # -- threads -------------------------------------------------------------------------------

    def _work_beside(self) -> None:
        """Work in other threads; this one, the main one as a rule, only hears of Ctrl-C."""
        thread = threading.Thread(target=self._manage, name="modelci-manager")
        with self._around.token.let_go():
            is_started = False
            while not self._is_over.is_set():
                try:
                    if not is_started:
                        is_started = True
                        thread.start()
                    self._is_over.wait()
                except KeyboardInterrupt:
                    self._around.halt.ask()
            thread.join()

    def _manage(self) -> None:
        try:
            with self._around.token:
                self._start_what_can()
            while self._working:
                ended = self._done.get()
                with self._around.token:
                    self._working -= 1
                    self._end(*ended)
                    self._start_what_can()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._crash = error
            self._around.halt.ask()
        finally:
            for _ in self._threads:
                self._todo.put(None)
            for thread in self._threads:
                thread.join()
            self._stages[0].repo.state.close()
            self._is_over.set()

    def _start_what_can(self) -> None:
        while not self._around.halt.is_asked and (place := self._schedule.take()) is not None:
            run = self._without_running(self._stages[place])
            if run is not None:
                self._end(place, run)
            else:
                self._hand_over(place)
            self._around.token.give_way()

    def _without_running(self, stage: Any) -> StageRun | None:
        reason = self._stopped or self._blocked.get(stage)
        if reason is not None:
            return StageRun(name=stage.addressing, status=StageStatus.NOT_RUN, reasons=(reason,))
        return self._runners[stage].look()

    def _hand_over(self, place: int) -> None:
        self._working += 1
        if self._working > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"modelci-{self._working}")
            self._threads.append(thread)
            thread.start()
        self._todo.put(place)

    def _work(self) -> None:
        """Run one stage after the other, until there is none."""
        repo = self._stages[0].repo
        for place in iter(self._todo.get, None):
            runner = self._runners[self._stages[place]]
            with self._around.token:
                run = runner.run()
            self._done.put((place, run))
        with suppress(Exception):
            repo.state.close()  # this thread's connection

    # -- what came of them ---------------------------------------------------------------------

    def _announce(self, name: str, reasons: Sequence[str]) -> None:
        self._around.progress.stage_started(name, reasons, len(self._runs), len(self._stages))

    def _end(self, place: int, run: StageRun) -> None:
        self._runs[place] = run
        if run.status in {StageStatus.FAILED, StageStatus.INTERRUPTED}:
            self._block_after(self._stages[place])
        self._around.progress.stage_ended(run, len(self._runs), len(self._stages))
        self._schedule.end(place)

    def _block_after(self, stage: Any) -> None:
        failure = self._runners[stage].failure
        is_halted = isinstance(failure, HaltedError)
        is_fatal = failure is not None and errors.is_fatal(failure)
        if not self._around.options.keep_going or is_halted or is_fatal:
            self._stopped = self._stopped or f"the run stopped: {stage.addressing} failed"
            return
        for one in _dependents(self._graph, stage):
            self._blocked.setdefault(one, f"upstream {stage.addressing} failed")


def _dependents(graph: Any, stage: Any) -> set[Any]:
    """Return all stages that (indirectly) read what ``stage`` writes."""
    found: set[Any] = set()
    waiting = [stage] if graph else []
    while waiting:
        for one in graph.predecessors(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found
