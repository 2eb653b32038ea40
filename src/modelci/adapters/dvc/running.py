"""Brings one stage up to date, by DVC's own ``Stage.reproduce``."""

import hashlib
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dvc.exceptions import CheckoutError, DownloadError

from modelci.adapters.dvc import errors, faults, records, seams
from modelci.adapters.dvc.commands import (
    Halt,
    HaltedError,
    StageLog,
    TimedOutError,
    Usage,
    clean_tail,
)
from modelci.adapters.dvc.executors import Executor, JobEnd, Place, StageJob
from modelci.adapters.dvc.locking import Claims, Token
from modelci.adapters.dvc.lockwriter import LockFiles
from modelci.adapters.dvc.needs import spell_seconds
from modelci.adapters.dvc.reasons import FORCED, path_of, reasons_to_run
from modelci.domain.pipeline import OutputHash, RunOptions, StageRun, StageStatus
from modelci.domain.schedule import Capacity, Needs
from modelci.errors import PipelineError
from modelci.ports import Progress

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all stages of a run share."""

    root: Path
    environment: Mapping[str, str]
    logs: Path
    options: RunOptions
    capacity: Capacity
    token: Token
    claims: Claims
    lock_files: LockFiles
    executor: Executor
    place: Place | None
    sent: Callable[[int], None]
    halt: Halt
    progress: Progress
    started: float


@dataclass(slots=True)
class _Attempt:
    """What has become of the stage that is being run."""

    started: float
    reasons: tuple[str, ...] = ()
    number: int = 1
    is_announced: bool = False
    exit_code: int | None = None
    has_run: bool = False
    tail: str = ""
    usage: Usage = field(default_factory=Usage)
    there: tuple[Any, ...] = ()


class StageRunner:
    """One stage in one run. Its methods are for whoever holds the token."""

    def __init__(
        self,
        stage: Any,
        upstream: Sequence[Any],
        needs: Needs,
        around: Surroundings,
        announce: Callable[[str, Sequence[str]], None],
    ) -> None:
        self.stage = stage
        self.failure: Exception | None = None
        self.lost: tuple[Any, ...] = ()
        """The outputs that were there before the stage was interrupted, and no longer are."""
        self._upstream = list(upstream)
        self._needs = needs
        self._around = around
        self._announced = announce
        self._options = around.options
        self._attempt = _Attempt(time.perf_counter())

    def look(self) -> StageRun | None:
        """Return what there is to say of a stage that is up to date, None if it is to be run.

        This is the very question that ``Stage.reproduce`` begins with; asked here, the reasons need
        to be found only for stages that have some.
        """
        try:
            if self._options.force or self.stage.changed(upstream=self._upstream):
                return None
        except Exception:  # noqa: BLE001 - `run` will come upon it again, and say so
            return None
        reasons = ("frozen",) if self.stage.frozen and self.stage.cmd else ()
        return self._summarise(StageStatus.UNCHANGED, reasons)

    def run(self) -> StageRun:
        """Run or restore the stage; whatever goes wrong is in the value, and in ``failure``."""
        self._attempt = _Attempt(time.perf_counter())
        try:
            run = self._reproduce()
        except HaltedError as error:
            self.lost = tuple(out for out in self._attempt.there if not _is_there(out))
            return self._failed(error, "interrupted", StageStatus.INTERRUPTED)
        except TimedOutError as error:
            return self._failed(error, f"timed out after {spell_seconds(self._needs.timeout or 0)}")
        except Exception as error:  # noqa: BLE001 - as DVC: whatever it is, this stage failed
            return self._failed(error, "" if self._attempt.exit_code else self._explain(error))
        return self._measured(run)

    def _reproduce(self) -> StageRun:
        stage, attempt = self.stage, self._attempt
        attempt.reasons = (
            (FORCED,)
            if self._options.force
            else reasons_to_run(stage, self._upstream) or ("changed",)
        )
        before = _hashes(stage)
        attempt.there = tuple(out for out in stage.outs if _is_there(out))
        if self._reproduce_retrying():
            self._around.lock_files.dump(stage)
        status = self._status(before)
        if status is StageStatus.RAN and self._options.push:
            self._push()
        if status is StageStatus.RESTORED:
            self._announce()
        return replace(
            self._summarise(status, attempt.reasons),
            exit_code=attempt.exit_code,
            log_tail=attempt.tail,
        )

    def _reproduce_retrying(self) -> bool:
        while True:
            try:
                return self._reproduce_pulling()
            except Exception as error:
                attempt = self._attempt
                is_worth_it = attempt.exit_code or isinstance(error, TimedOutError)
                if not is_worth_it or attempt.number > self._needs.retries:
                    raise
                why = f"exit code {attempt.exit_code}" if attempt.exit_code else "timed out"
                self._around.progress.note(
                    f"{self.stage.addressing} failed ({why}); "
                    f"trying again, {attempt.number} of {self._needs.retries}"
                )
                attempt.number += 1
                attempt.exit_code = None

    def _reproduce_pulling(self) -> bool:
        """Let DVC do its work; say whether the lock file is to be written."""
        stage, options = self.stage, self._options
        how = {"upstream": self._upstream, "force": options.force, "run_cache": options.run_cache}
        if not options.pull:
            return stage.reproduce(**how) is not None
        try:
            done = stage.reproduce(**how, pull=True) is not None
            # DVC may take outputs for pulled that it could not check out.
            if done or not stage.changed(upstream=self._upstream):
                return done
        except (CheckoutError, DownloadError) as error:
            # The remote lacks some of it. What can be made here need not be had from there.
            if self._attempt.has_run:
                raise
            why = faults.describe(error)
            self._around.progress.note(f"{stage.addressing}: not in the remote ({why})")
        return stage.reproduce(**how) is not None

    def _status(self, before: Mapping[str, object]) -> StageStatus:
        if self._attempt.has_run:
            return StageStatus.RAN
        if (self.stage.cmd and not self.stage.frozen) or before == _hashes(self.stage):
            return StageStatus.RESTORED
        return StageStatus.RAN  # an import or added data that was recorded anew

    def _push(self) -> None:
        """Push what the stage wrote at once: a run that is killed later has not lost it.

        What cannot be pushed now is tried again at the end of the run, and is an error then.
        """
        try:
            self._around.sent(records.send(self.stage, record=self._options.record))
        except Exception as error:  # noqa: BLE001 - every kind of remote has errors of its own
            why = faults.describe(error)
            self._around.progress.warn(f"{self.stage.addressing} could not be pushed: {why}.")

    def _failed(
        self, error: Exception, reason: str, status: StageStatus = StageStatus.FAILED
    ) -> StageRun:
        self.failure = error
        tail = clean_tail("\n".join(filter(None, (self._attempt.tail, reason))))
        return self._measured(
            StageRun(
                name=self.stage.addressing,
                status=status,
                reasons=self._attempt.reasons,
                exit_code=self._attempt.exit_code or None,
                log_tail=tail,
            )
        )

    def _measured(self, run: StageRun) -> StageRun:
        attempt = self._attempt
        run = replace(
            run,
            seconds=time.perf_counter() - attempt.started,
            start_seconds=attempt.started - self._around.started,
        )
        if not attempt.has_run:
            return run
        return replace(
            run,
            cpu_seconds=attempt.usage.cpu_seconds,
            peak_bytes=attempt.usage.peak_bytes,
            attempts=attempt.number,
        )

    def _explain(self, error: Exception) -> str:
        found = errors.translate(error, self._around.root)
        return "\n".join(filter(None, (str(found), found.hint)))

    def _summarise(self, status: StageStatus, reasons: tuple[str, ...]) -> StageRun:
        outputs = tuple(
            OutputHash(
                path=path_of(out),
                hash=out.hash_info.value if out.hash_info else None,
                bytes=out.meta.size if out.meta else None,
                files=out.meta.nfiles if out.meta else None,
            )
            for out in self.stage.outs
        )
        name = self.stage.addressing
        return StageRun(name=name, status=status, reasons=reasons, outputs=outputs)

    # -- the seam ------------------------------------------------------------------------------

    def run_commands(self) -> None:
        """Run the stage's commands; DVC calls this in place of its own function."""
        self._announce()
        around, attempt, stage = self._around, self._attempt, self.stage
        attempt.has_run = True
        name = stage.addressing
        is_taken = around.place is not None and around.place.takes(stage)
        run = self._run_there if is_taken else self._run_here
        log = StageLog(
            log_path(around.logs, name),
            lambda text: around.progress.stage_output(name, text),
            append=attempt.number > 1,
        )
        try:
            with seams.claimed(stage.repo, *around.claims.of_this_thread()):
                end = run(log)
        finally:
            seams.commands_ended(stage.repo)
            log.close()
            attempt.tail = log.tail()
        attempt.exit_code = end.exit_code
        if end.exit_code:
            raise seams.command_failed(end.command, end.exit_code)

    def _run_here(self, log: StageLog) -> JobEnd:
        around, job = self._around, self._job()
        with around.token.let_go():
            return around.executor.run(
                job, output=log.write, usage=self._attempt.usage, halt=around.halt
            )

    def _run_there(self, log: StageLog) -> JobEnd:
        around = self._around
        assert around.place is not None  # noqa: S101 - it took the stage
        return around.place.run(
            self.stage,
            self._needs,
            let_go=around.token.let_go,
            output=log.write,
            usage=self._attempt.usage,
            halt=around.halt,
        )

    def _job(self) -> StageJob:
        around, stage, needs = self._around, self.stage, self._needs
        if lack := around.capacity.lack(needs):
            raise PipelineError(f"{stage.addressing} {lack}.")
        absent = [name for name in needs.env if name not in around.environment]
        if absent:
            raise PipelineError(
                f"{stage.addressing} needs the environment variable {', '.join(absent)}.",
                hint="Set it where modelci runs, or take it out of meta.modelci.env.",
            )
        return StageJob(
            name=stage.addressing,
            commands=tuple(seams.shell_commands(stage, around.environment.get("SHELL"))),
            cwd=stage.wdir,
            environment=seams.stage_environment(stage, around.environment),
            timeout=needs.timeout,
        )

    def _announce(self) -> None:
        if not self._attempt.is_announced:
            self._attempt.is_announced = True
            self._announced(self.stage.addressing, self._attempt.reasons)


def log_path(folder: Path, name: str) -> Path:
    """Return where a stage's full log is kept; no two stages share a file."""
    safe = quote(name, safe="@ ")
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return folder / f"{safe}.log"


def way_back(stage: Any, lost: Sequence[Any], *, is_in_git: Callable[[str], bool]) -> str:
    """Return how to get back outputs that DVC removed before it ran a stage that was interrupted.

    ``is_in_git`` says of a path whether Git's index has it. What neither keeps was of no commit.
    """
    in_git = [path_of(out) for out in lost if is_in_git(out.fs_path)]
    is_cached = any(out.use_cache and out.hash_info for out in lost)
    ways = [f"`dvc checkout {shlex.quote(stage.addressing)}`"] if is_cached else []
    ways += [f"`git checkout -- {shlex.join(in_git)}`"] if in_git else []
    gone = ", ".join(path_of(out) for out in lost)
    told = f"DVC had removed {gone} before {stage.addressing} ran"
    return f"{told}; get it back by {' and '.join(ways)}." if ways else f"{told}."


def _is_there(out: Any) -> bool:
    """Whether an output is in the work tree; of those elsewhere nothing is asked."""
    return bool(out.is_in_repo) and os.path.lexists(out.fs_path)


def _hashes(stage: Any) -> dict[str, object]:
    return {str(item.fs_path): item.hash_info for item in [*stage.outs, *stage.deps]}
