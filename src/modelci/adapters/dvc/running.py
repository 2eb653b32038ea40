"""Runs stages one after the other, each by DVC's own ``Stage.reproduce``."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dvc.exceptions import CheckoutError, DownloadError

from modelci.adapters.dvc import errors, seams
from modelci.adapters.dvc.commands import ProcessGroups, StageLog, clean_tail
from modelci.adapters.dvc.reasons import FORCED, path_of, reasons_to_run
from modelci.domain.pipeline import OutputHash, StageRun, StageStatus
from modelci.ports import Progress

_LONGEST_NAME = 200


@dataclass(slots=True)
class _Attempt:
    """What became of the stage that is being run."""

    reasons: tuple[str, ...]
    is_announced: bool = False
    has_run: bool = False
    exit_code: int | None = None
    tail: str = ""


class StageSequence:
    """One run: the stages in order, how they are to be run, and what came of them so far."""

    def __init__(
        self,
        stages: Sequence[Any],
        graph: Any,
        *,
        root: Path,
        environment: Mapping[str, str],
        logs: Path,
        progress: Progress,
        pull: bool,
        force: bool,
        keep_going: bool,
    ) -> None:
        self._stages = stages
        self._graph = graph
        self._root = root
        self._environment = environment
        self._logs = logs
        self._progress = progress
        self._pull = pull
        self._force = force
        self._keep_going = keep_going
        self._blocked: dict[Any, str] = {}
        self._runs: list[StageRun] = []
        self._attempt = _Attempt(())

    def run(self) -> tuple[StageRun, ...]:
        """Run what is out of date. Ctrl-C is told to ``progress`` and passed on."""
        with seams.commands_run_by(self._run_commands):
            for stage in self._stages:
                self._end(self._blocked_run(stage) or self._run_stage(stage))
        return tuple(self._runs)

    def _end(self, run: StageRun) -> None:
        self._runs.append(run)
        self._progress.stage_ended(run, len(self._runs), len(self._stages))

    def _blocked_run(self, stage: Any) -> StageRun | None:
        reason = self._blocked.get(stage)
        if reason is None:
            return None
        return StageRun(name=stage.addressing, status=StageStatus.NOT_RUN, reasons=(reason,))

    def _run_stage(self, stage: Any) -> StageRun:
        started = time.perf_counter()
        self._attempt = _Attempt(())
        try:
            run = self._reproduce(stage)
        except KeyboardInterrupt:
            self._end(self._failed(stage, "interrupted", time.perf_counter() - started))
            raise
        except Exception as error:  # noqa: BLE001 - as DVC: whatever it is, this stage failed
            self._block_after(stage, error)
            reason = "" if self._attempt.exit_code else self._explain(error)
            return self._failed(stage, reason, time.perf_counter() - started)
        if run.status is StageStatus.UNCHANGED:
            return run
        return replace(run, seconds=time.perf_counter() - started)

    def _reproduce(self, stage: Any) -> StageRun:
        upstream = list(self._graph.successors(stage))
        # The very question that `Stage.reproduce` begins with; asked here, the reasons need to be
        # found only for stages that have some, and a run with nothing to do costs what DVC's does.
        if not self._force and not stage.changed(upstream=upstream):
            reasons = ("frozen",) if stage.frozen and stage.cmd else ()
            return _summarise(stage, StageStatus.UNCHANGED, reasons)
        self._attempt.reasons = (
            (FORCED,) if self._force else reasons_to_run(stage, upstream) or ("changed",)
        )
        before = _hashes(stage)
        if self._reproduce_pulling(stage, upstream):
            stage.dump(update_pipeline=False)
        status = self._status(stage, before)
        if status is StageStatus.RESTORED:
            self._announce(stage)
        return replace(
            _summarise(stage, status, self._attempt.reasons),
            exit_code=self._attempt.exit_code,
            log_tail=self._attempt.tail,
        )

    def _reproduce_pulling(self, stage: Any, upstream: Sequence[Any]) -> bool:
        """Let DVC do its work; say whether the lock file is to be written."""
        options = {"upstream": upstream, "force": self._force}
        if not self._pull:
            return stage.reproduce(**options) is not None
        try:
            done = stage.reproduce(**options, pull=True) is not None
            # DVC may take outputs for pulled that it could not check out.
            if done or not stage.changed(upstream=upstream):
                return done
        except (CheckoutError, DownloadError) as error:
            # The remote lacks some of it. What can be made here need not be had from there.
            if self._attempt.has_run:
                raise
            self._progress.note(f"{stage.addressing}: not in the remote ({errors.describe(error)})")
        return stage.reproduce(**options) is not None

    def _status(self, stage: Any, before: Mapping[str, object]) -> StageStatus:
        if self._attempt.has_run:
            return StageStatus.RAN
        if (stage.cmd and not stage.frozen) or before == _hashes(stage):
            return StageStatus.RESTORED
        return StageStatus.RAN  # an import or added data that was recorded anew

    def _failed(self, stage: Any, reason: str, seconds: float) -> StageRun:
        tail = clean_tail("\n".join(filter(None, (self._attempt.tail, reason))))
        return StageRun(
            name=stage.addressing,
            status=StageStatus.FAILED,
            reasons=self._attempt.reasons,
            seconds=seconds,
            exit_code=self._attempt.exit_code or None,
            log_tail=tail,
        )

    def _explain(self, error: Exception) -> str:
        found = errors.translate(error, self._root)
        return "\n".join(filter(None, (str(found), found.hint)))

    def _block_after(self, stage: Any, error: Exception) -> None:
        if self._keep_going and not errors.is_fatal(error):
            for one in _dependents(self._graph, stage):
                self._blocked.setdefault(one, f"upstream {stage.addressing} failed")
            return
        for one in self._stages:
            self._blocked.setdefault(one, f"the run stopped: {stage.addressing} failed")

    # -- the seam ------------------------------------------------------------------------------

    def _run_commands(self, stage: Any) -> None:
        """Run a stage's commands; DVC calls this in place of its own function."""
        self._announce(stage)
        attempt = self._attempt
        attempt.has_run = True
        environment = seams.stage_environment(stage, self._environment)
        with (
            self._log(stage) as log,
            ProcessGroups(log.write, cwd=stage.wdir, environment=environment) as processes,
        ):
            for text, command in seams.shell_commands(stage, self._environment.get("SHELL")):
                log.write(f"> {text}\n".encode())
                attempt.exit_code = processes.run(command)
                if attempt.exit_code != 0:
                    raise seams.command_failed(text, attempt.exit_code)

    def _announce(self, stage: Any) -> None:
        if self._attempt.is_announced:
            return
        self._attempt.is_announced = True
        self._progress.stage_started(
            stage.addressing, self._attempt.reasons, len(self._runs), len(self._stages)
        )

    @contextmanager
    def _log(self, stage: Any) -> Iterator[StageLog]:
        log = StageLog(log_path(self._logs, stage.addressing), self._progress.stage_output)
        try:
            yield log
        finally:
            log.close()
            self._attempt.tail = log.tail()


def log_path(folder: Path, name: str) -> Path:
    """Return where a stage's full log is kept; no two stages share a file."""
    safe = quote(name, safe="@ ")
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return folder / f"{safe}.log"


def _dependents(graph: Any, stage: Any) -> set[Any]:
    """Return all stages that (indirectly) read what ``stage`` writes."""
    found: set[Any] = set()
    waiting = [stage]
    while waiting:
        for one in graph.predecessors(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found


def _summarise(stage: Any, status: StageStatus, reasons: tuple[str, ...]) -> StageRun:
    outputs = tuple(
        OutputHash(
            path=path_of(out),
            hash=out.hash_info.value if out.hash_info else None,
            bytes=out.meta.size if out.meta else None,
            files=out.meta.nfiles if out.meta else None,
        )
        for out in stage.outs
    )
    return StageRun(name=stage.addressing, status=status, reasons=reasons, outputs=outputs)


def _hashes(stage: Any) -> dict[str, object]:
    return {str(item.fs_path): item.hash_info for item in [*stage.outs, *stage.deps]}
