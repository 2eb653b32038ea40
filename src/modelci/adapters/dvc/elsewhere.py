"""The driver's side of a stage that runs elsewhere: what it needs goes out, its outputs come in.

What comes back is content-addressed and goes through DVC's own hashing before it is recorded: the
driver writes ``dvc.lock``, as if the command had run here.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from dvc.exceptions import DvcException

from modelci.adapters.clones import LocalSource
from modelci.adapters.dvc import errors, faults, records
from modelci.adapters.dvc.commands import Halt, HaltedError, TimedOutError, Usage
from modelci.adapters.dvc.executors import JobEnd
from modelci.domain.elsewhere import Lacking, StageOutcome, StageTask
from modelci.domain.pipeline import RunOptions, StageRun
from modelci.domain.schedule import Needs
from modelci.errors import PipelineError
from modelci.ports import Progress, StageExecutor

# Once for the commit, once for files that stages here have written; then something is wrong.
_MOST_TRIES = 4


class Elsewhere:
    """Sends the stages of one run to ``executor``; a ``Place``."""

    def __init__(
        self,
        repo: Any,
        executor: StageExecutor,
        source: LocalSource,
        *,
        options: RunOptions,
        progress: Progress,
    ) -> None:
        self._executor = executor
        self._local = source
        self._source = source.source
        self._progress = progress
        self._blank = StageTask(
            stage="",
            entry={},
            settings=records.settings_for_workers(
                repo, share_credentials=executor.share_credentials
            ),
            force=options.force,
            run_cache=options.run_cache,
            record=options.record,
        )
        self._makers: dict[str, str] = {}

    @property
    def slots(self) -> int | None:
        """How many stages the executor can run at a time."""
        return self._executor.slots

    def takes(self, stage: Any) -> bool:
        """Whether DVC's run cache could restore the stage: only then can it be brought here."""
        reason = records.why_unrecorded(stage)
        if reason is not None:
            self._progress.note(f"{stage.addressing} runs here: {reason}.")
        return reason is None

    def needs_here(self, stage: Any, needs: Needs) -> Needs:
        """Return one slot for a stage that runs elsewhere: where it fits is not ours to say."""
        if records.why_unrecorded(stage) is not None:
            return needs
        return replace(needs, cpus=1.0, memory=0, gpus=0)

    def run(
        self,
        stage: Any,
        needs: Needs,
        *,
        let_go: Callable[[], AbstractContextManager[None]],
        output: Callable[[bytes], None],
        usage: Usage,
        halt: Halt,
    ) -> JobEnd:
        """Have the stage run, and put its outputs in place here."""
        stage.save_deps()
        made = (self._makers.get(dep.fs_path) for dep in stage.deps)
        task = replace(
            self._blank,
            stage=stage.addressing,
            entry=records.inputs_of(stage),
            prefer=tuple(dict.fromkeys(filter(None, made))),
        )
        outcome = self._ask(stage, task, needs, let_go=let_go, output=output, halt=halt)
        usage.cpu_seconds += outcome.cpu_seconds
        usage.saw(outcome.peak_bytes or 0)
        if outcome.is_timed_out:
            raise TimedOutError
        if outcome.problem is not None:
            raise PipelineError(f"On {outcome.worker}: {outcome.problem}")
        if outcome.entry is not None:
            self._take(stage, outcome.entry, outcome.worker)
        return JobEnd(command=outcome.command, exit_code=outcome.exit_code or 0)

    def _ask(
        self,
        stage: Any,
        task: StageTask,
        needs: Needs,
        *,
        let_go: Callable[[], AbstractContextManager[None]],
        output: Callable[[bytes], None],
        halt: Halt,
    ) -> StageOutcome:
        source, lacking, worker = self._source, Lacking(), ""
        for _ in range(_MOST_TRIES):
            with let_go():
                outcome = self._executor.run(
                    task, source, needs=needs, output=output, is_halted=lambda: halt.is_asked
                )
            if outcome is None:
                raise HaltedError
            if outcome.lacking is None:
                return outcome
            lacking, worker = outcome.lacking, outcome.worker
            if lacking.source is not None:
                source = self._local.bundled()
            sent = {path: _send(stage, path) for path in lacking.files}
            task = replace(task, files={**task.files, **sent})
        raise PipelineError(
            f"{worker} still lacks what {stage.addressing} reads: "
            f"{lacking.source or ', '.join(lacking.files)}.",
            hint="Let every worker use the same DVC remote as this job.",
        )

    def _take(self, stage: Any, entry: Mapping[str, Any], worker: str) -> None:
        ours, theirs = (_hashes(one) for one in (records.inputs_of(stage), entry))
        if ours != theirs or {out.def_path for out in stage.outs} != _paths(entry):
            raise PipelineError(
                f"{worker} ran {stage.addressing} on other inputs than there are here.",
                hint="Something changed files while the run went on: run again.",
            )
        try:
            records.fetch_outputs(stage, entry)
        except Exception as error:  # every kind of remote has errors of its own
            label = errors.remote_label(stage.repo)
            raise errors.remote_failed("fetch outputs from", label, error) from error
        self._makers.update({out.fs_path: worker for out in stage.outs})


class OtherJobs:
    """Stands for stages that other CI jobs run; a ``Place``.

    What ``others`` run must be restored here; ``failures`` are not run again.
    """

    slots = None

    def __init__(self, others: frozenset[str], failures: Mapping[str, StageRun]) -> None:
        self._others = others
        self._failures = failures

    def takes(self, stage: Any) -> bool:
        """Whether the stage is another job's; what cannot be restored is everybody's."""
        name = stage.addressing
        if name in self._others:
            return records.why_unrecorded(stage) is None
        return name in self._failures

    def needs_here(self, stage: Any, needs: Needs) -> Needs:  # noqa: ARG002
        """Return all: it may well run here."""
        return needs

    def run(
        self,
        stage: Any,
        needs: Needs,  # noqa: ARG002
        *,
        let_go: Callable[[], AbstractContextManager[None]],  # noqa: ARG002
        output: Callable[[bytes], None],
        usage: Usage,  # noqa: ARG002
        halt: Halt,  # noqa: ARG002
    ) -> JobEnd:
        """Fail as the other job did; raise PipelineError if none has run the stage."""
        failure = self._failures.get(stage.addressing)
        if failure is None or not failure.exit_code:
            raise PipelineError(
                failure.log_tail if failure else "No other job has run it yet.",
                hint=None if failure else "Start this wave's jobs after those of the wave before.",
            )
        output(f"{failure.log_tail}\n".encode())
        return JobEnd(command=str(stage.cmd), exit_code=failure.exit_code)


def _send(stage: Any, path: str) -> str:
    try:
        return records.send_file(stage, path)
    except DvcException as error:
        raise PipelineError(
            f"{path}, which {stage.addressing} reads, cannot be sent to the worker: "
            f"{faults.describe(error)}."
        ) from error


def _hashes(entry: Mapping[str, Any]) -> dict[str, object]:
    return {dep["path"]: dep.get("md5") for dep in entry.get("deps", ())}


def _paths(entry: Mapping[str, Any]) -> set[str]:
    return {out["path"] for out in entry.get("outs", ())}
