"""Runs one stage in a clone, for a driver elsewhere: fetch, run by DVC's own code, push, tell."""

import contextlib
import fcntl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dvc.repo

from modelci.adapters.clones import SourceUnavailableError, check_out
from modelci.adapters.dvc import errors, records, seams
from modelci.adapters.dvc.commands import Halt, HaltedError, TimedOutError, Usage
from modelci.adapters.dvc.executors import JobEnd, LocalExecutor, StageJob
from modelci.adapters.dvc.needs import needs_of
from modelci.adapters.dvc.quickyaml import QuickYaml
from modelci.adapters.dvc.talk import dvc_quiet
from modelci.domain.elsewhere import Lacking, Source, StageOutcome, StageTask
from modelci.domain.schedule import Needs
from modelci.errors import ModelCIError, PipelineError

# DVC goes by the current folder and is not made for threads: a process runs one stage at a time.
_ONE_AT_A_TIME = threading.Lock()
_MOST_CLONES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a worker works: clones below ``folder``, one for each process that needs one now.

    Stages' commands see ``environment``; ``output`` hears what they print, and ``halt`` ends them.
    """

    name: str
    folder: Path
    environment: Mapping[str, str]
    output: Callable[[bytes], None]
    halt: Halt = field(default_factory=Halt)


def run_task(task: StageTask, source: Source, site: Site) -> StageOutcome:
    """Run one stage and push what it wrote. Whatever goes wrong is in the outcome.

    Only HaltedError is raised, once no process of the stage is left.
    """
    with _ONE_AT_A_TIME, _clone(site.folder / source.family) as (folder, held):
        try:
            root = check_out(source, folder / "work", site.environment)
            return _run_in(root, task, site, held)
        except SourceUnavailableError as error:
            return StageOutcome(worker=site.name, lacking=Lacking(source=str(error)))
        except ModelCIError as error:
            return _problem(site, error)
        except HaltedError:
            raise
        except Exception as error:  # noqa: BLE001 - as DVC: whatever it is, this stage failed
            return _problem(site, errors.translate(error, folder / "work" / source.subdir))


def _run_in(root: Path, task: StageTask, site: Site, held: int) -> StageOutcome:
    with (
        dvc_quiet(lambda text: site.output(f"{text}\n".encode())) as heard,
        seams.yaml_parsed_by(lambda theirs: QuickYaml(theirs).parse),
        contextlib.chdir(root),
        dvc.repo.Repo(str(root), config=_settings(task, site)) as repo,
        seams.locked(repo),
    ):
        (stage,) = repo.stage.collect(task.stage)
        with _talking_to_remote(repo, "fetch the stage's inputs from", heard):
            for path, value in task.files.items():
                records.fetch_file(repo, path, value)
            records.expect(stage, task.entry)
            lacking = records.fetch_inputs(stage)
        if lacking:
            return StageOutcome(worker=site.name, lacking=Lacking(files=tuple(lacking)))
        work = _Work(stage, needs_of(stage), site, held)
        outcome = work.run(force=task.force, run_cache=task.run_cache)
        if outcome.entry is not None:
            with _talking_to_remote(repo, "push the stage's outputs to", heard):
                records.send(stage, record=task.record)
        return outcome


class _Work:
    """One stage, run by DVC with its commands under our eyes."""

    def __init__(self, stage: Any, needs: Needs, site: Site, held: int) -> None:
        self._stage = stage
        self._needs = needs
        self._site = site
        self._held = held
        self._usage = Usage()
        self._end = JobEnd(command="", exit_code=0)

    def run(self, *, force: bool, run_cache: bool) -> StageOutcome:
        try:
            with seams.commands_run_by(self._run_commands):
                # Whether it is out of date was the driver's question.
                self._stage.run(force=force, run_cache=run_cache)
        except TimedOutError:
            return self._outcome(is_timed_out=True)
        except Exception:
            if self._end.exit_code:
                return self._outcome()
            raise
        return self._outcome(entry=records.entry_of(self._stage))

    def _outcome(
        self, *, entry: dict[str, Any] | None = None, is_timed_out: bool = False
    ) -> StageOutcome:
        return StageOutcome(
            worker=self._site.name,
            entry=entry,
            command=self._end.command,
            exit_code=self._end.exit_code,
            is_timed_out=is_timed_out,
            cpu_seconds=self._usage.cpu_seconds,
            peak_bytes=self._usage.peak_bytes,
        )

    def _run_commands(self, stage: Any) -> None:
        environment = self._site.environment
        absent = [name for name in self._needs.env if name not in environment]
        if absent:
            raise PipelineError(
                f"{stage.addressing} needs the environment variable {', '.join(absent)}.",
                hint="Set it where the workers are started.",
            )
        job = StageJob(
            name=stage.addressing,
            commands=tuple(seams.shell_commands(stage, environment.get("SHELL"))),
            cwd=stage.wdir,
            environment=seams.stage_environment(stage, environment),
            timeout=self._needs.timeout,
            held=self._held,
        )
        stage.repo.lock.unlock()  # a stage may well start DVC
        try:
            self._end = LocalExecutor().run(
                job, output=self._site.output, usage=self._usage, halt=self._site.halt
            )
        finally:
            stage.repo.lock.lock()
            seams.commands_ended(stage.repo)
        if self._end.exit_code:
            raise seams.command_failed(self._end.command, self._end.exit_code)


@contextmanager
def _clone(folder: Path) -> Iterator[tuple[Path, int]]:
    """Give the first folder that no process works in, and the open file whose lock says so.

    A stage that outlives a worker that was killed keeps the lock, and with it its folder.
    """
    for number in range(_MOST_CLONES):
        place = folder / str(number)
        place.mkdir(parents=True, exist_ok=True)
        with (place / "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield place, lock.fileno()
            return
    raise PipelineError(f"There is no free clone in {folder}.", hint="Remove old ones.")


def _settings(task: StageTask, site: Site) -> dict[str, Any]:
    """Return DVC's settings; clones of one site share a cache, so that they fetch things once."""
    return {"cache": {"dir": str(site.folder / "cache")}, **task.settings}


@contextmanager
def _talking_to_remote(repo: Any, doing: str, heard: list[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # every kind of remote has errors of its own
        raise errors.remote_failed(doing, errors.remote_label(repo), error, heard) from error


def _problem(site: Site, error: ModelCIError) -> StageOutcome:
    said = " ".join(filter(None, (str(error), error.hint)))
    return StageOutcome(worker=site.name, problem=said)
