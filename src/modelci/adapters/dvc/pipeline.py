"""The checkout's pipeline, planned, run and pushed by DVC; keeps the promises of ``Pipeline``."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dvc
import dvc.repo
from dvc.config import ConfigError as DvcConfigError
from dvc.config import NoRemoteError
from dvc.exceptions import DvcException
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotSupported
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from modelci.adapters import trace
from modelci.adapters.clones import LocalSource
from modelci.adapters.dvc import errors, faults, machine, records, seams
from modelci.adapters.dvc.commands import Halt
from modelci.adapters.dvc.elsewhere import Elsewhere, OtherJobs
from modelci.adapters.dvc.engine import Engine, SharedProgress
from modelci.adapters.dvc.executors import LocalExecutor, Place
from modelci.adapters.dvc.locking import Claims, Token
from modelci.adapters.dvc.lockwriter import LockFiles
from modelci.adapters.dvc.needs import needs_of
from modelci.adapters.dvc.outdated import plan_by_lock
from modelci.adapters.dvc.planning import plan_stages
from modelci.adapters.dvc.quickyaml import QuickYaml
from modelci.adapters.dvc.running import Surroundings
from modelci.adapters.dvc.talk import dvc_quiet
from modelci.domain.changes import TrackedFile
from modelci.domain.pipeline import Plan, RunOptions, StageRun, StageStatus
from modelci.errors import ModelCIError, NoPipelineError
from modelci.ports import Progress, StageExecutor

_LOGGER = logging.getLogger(__name__)
_WAITING = "Waiting for another process that has locked the DVC repository ..."

_WEB = frozenset({"http", "https"})
_NOT_ANYWHERE = "Some of the cache files do not exist"


class DvcPipeline:
    """The DVC repository whose top is ``root``; targets and paths are counted from there.

    Stages' commands see ``environment`` and nothing else of ours. What they print is kept in
    ``logs``, one file per stage. ``remote`` names the DVC remote to use instead of the default;
    ``git_url`` is where workers elsewhere can fetch commits from, ``cache`` a folder to use instead
    of DVC's own cache. DVC counts paths from the current folder, so this goes to ``root`` while it
    works: one at a time in a process.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: Mapping[str, str],
        logs: Path | None = None,
        remote: str | None = None,
        git_url: str | None = None,
        cache: Path | None = None,
    ) -> None:
        self._root = root.resolve()
        self._environment = environment
        self._config = {"core": {"remote": remote}} if remote else {}
        if cache is not None:
            self._config["cache"] = {"dir": str(cache)}
        self._git_url = git_url
        self._sent = 0
        self._logs = (logs or self._root / ".dvc" / "tmp" / "modelci" / "logs").resolve()

    def plan(self, targets: Sequence[str], options: RunOptions) -> Plan:
        """Say what a run would do. Raises UsageError for an unknown target, else ConfigError."""
        claims = seams.paths_claimed_by(Claims().rwlock)
        with self._open(_LOGGER.debug) as (repo, _), seams.locked(repo), claims:
            stages, graph = self._collect(repo, targets, options)
            for stage in stages:
                needs_of(stage)  # a run would refuse needs that cannot be read
            return plan_stages(stages, graph, options)

    def outdated(self, targets: Sequence[str], *, recorded: bool) -> Plan:
        """Say which stages are out of date by dvc.lock, whatever data are here.

        With ``recorded`` a stage whose run the remote's run cache knows is to be restored.
        """
        claims = seams.paths_claimed_by(Claims().rwlock)
        with self._open(_LOGGER.debug) as (repo, _), seams.locked(repo), claims:
            if recorded and self._remote(repo) is None:
                raise faults.no_remote()
            stages, graph = self._collect(repo, targets, RunOptions())
            return plan_by_lock(stages, graph, find=records.find if recorded else None)

    def run(
        self,
        targets: Sequence[str],
        options: RunOptions,
        *,
        progress: Progress,
        executor: StageExecutor | None = None,
    ) -> tuple[StageRun, ...]:
        """Run what is out of date, as ``dvc repro`` does, and return one value per stage.

        No targets mean every dvc.yaml of the repository. With an
        ``executor`` commands run there where that is possible. Raises ConfigError where a stage's
        needs cannot be read.
        """
        shared = SharedProgress(progress)
        with (
            self._open(lambda text: _warn(shared, text)) as (repo, _),
            self._place(repo, options, shared, executor) as place,
        ):
            return _reproduce(repo, lambda: self._run(repo, targets, options, shared, place))

    @contextmanager
    def _place(
        self,
        repo: Any,
        options: RunOptions,
        progress: SharedProgress,
        executor: StageExecutor | None,
    ) -> Iterator[Place | None]:
        if executor is None:
            is_spread = options.others or options.failures
            yield OtherJobs(options.others, options.failures) if is_spread else None
            return
        if self._remote(repo) is None:
            raise faults.no_remote()
        with LocalSource(
            self._root, url=self._git_url, subdir=".", environment=self._environment
        ) as source:
            yield Elsewhere(repo, executor, source, options=options, progress=progress)

    def _run(
        self,
        repo: Any,
        targets: Sequence[str],
        options: RunOptions,
        progress: SharedProgress,
        place: Place | None,
    ) -> tuple[StageRun, ...]:
        stages, graph = self._collect(repo, targets, options)
        if options.pull and not self._pull_run_cache(repo, options, progress):
            options = replace(options, pull=False)
        scratch = self._root / ".dvc" / "tmp" / "modelci"
        scratch.mkdir(parents=True, exist_ok=True)
        around = Surroundings(
            root=self._root,
            environment=self._environment,
            logs=self._logs,
            options=options,
            capacity=machine.capacity(options, slots=place.slots if place else None),
            token=Token(repo, lambda: progress.note(_WAITING)),
            claims=Claims(),
            lock_files=LockFiles(stages, str(scratch)),
            executor=LocalExecutor(),
            place=place,
            sent=self._count_sent,
            halt=Halt(),
            progress=progress,
            started=time.perf_counter(),
        )
        return Engine(stages, graph, [needs_of(stage) for stage in stages], around).run()

    def _count_sent(self, count: int) -> None:
        self._sent += count

    def push(self, *, progress: Progress, record: bool = True) -> int:
        """Push what the checkout's stages wrote; return how many files were new.

        What stages have pushed as they ended counts too.

        With ``record`` also what the run cache knows, so that other machines need not run it.
        Raises PipelineError if there is no remote, or it does not take all. What is neither here
        nor there (outputs that an older lock file names) is a warning.
        """
        with self._open(progress.warn) as (repo, heard):
            remote = self._remote(repo)
            if remote is None:
                raise faults.no_remote()
            with _talking_to(remote, "push to", heard):
                noted = _push_run_cache(repo) if record else 0
                sent, self._sent = self._sent, 0
                return sent + int(repo.push()) + noted + _push_copies(repo)

    def push_only(self, targets: Sequence[str], *, progress: Progress) -> int:
        """Push what these targets track, and nothing else; return how many files were new."""
        with self._open(progress.warn) as (repo, heard):
            remote = self._remote(repo)
            if remote is None:
                raise faults.no_remote()
            with _talking_to(remote, "push to", heard):
                return int(repo.push(targets=list(targets)))

    def fetch(self, files: Sequence[TrackedFile]) -> None:
        """Bring the bytes of tracked files, of whatever revision, from the remote to the cache.

        Raises PipelineError for a remote that does not answer; what it lacks is simply not in the
        cache afterwards.
        """
        wanted = {HashInfo(file.hash_name, file.hash) for file in files if file.hash}
        if not wanted:
            return
        with self._open(_LOGGER.debug) as (repo, heard):
            remote = self._remote(repo)
            if remote is None:
                raise faults.no_remote()
            with _talking_to(remote, "fetch from", heard):
                repo.cloud.pull(wanted)

    def missing(self, files: Sequence[TrackedFile]) -> tuple[TrackedFile, ...] | None:
        """Return those tracked files that the remote lacks; of a folder those files, by hash.

        Nothing but a folder's list is downloaded. A remote that is a folder of this machine, and
        does not exist (yet), lacks everything. Returns None where no remote is set. Raises
        PipelineError where it does not answer.
        """
        wanted = [file for file in files if file.hash and not file.in_git]
        with self._open(_LOGGER.debug) as (repo, heard):
            remote = self._remote(repo)
            if remote is None:
                return None
            with _talking_to(remote, "ask", heard):
                return tuple(_lacking(repo, wanted))

    def version(self) -> str:
        """Return DVC's version."""
        return str(dvc.__version__)

    def check_remote(self) -> str | None:
        """Return the default remote's name and URL once it answers; None where none is set.

        Raises PipelineError where it does not answer.
        """
        with self._open(_LOGGER.debug) as (repo, heard):
            remote = self._remote(repo)
            if remote is not None:
                with _talking_to(remote, "reach", heard):
                    odb = repo.cloud.get_remote_odb()
                    odb.fs.exists(odb.path)
            return str(remote) if remote else None

    # -- the repository --------------------------------------------------------------------------

    @contextmanager
    def _open(self, warn: Callable[[str], None]) -> Iterator[tuple[Any, list[str]]]:
        """Give DVC's repository, and the list of what DVC warns of while it is open."""
        with (
            self._translated(),
            dvc_quiet(warn) as heard,
            seams.yaml_parsed_by(lambda theirs: QuickYaml(theirs).parse),
            seams.graph_checked_once(),
            contextlib.chdir(self._root),
            dvc.repo.Repo(str(self._root), config=self._config) as repo,
        ):
            yield repo, heard

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ModelCIError:
            raise
        except (DvcException, OSError) as error:
            raise errors.translate(error, self._root) from error

    def _collect(
        self, repo: Any, targets: Sequence[str], options: RunOptions
    ) -> tuple[list[Any], Any]:
        wanted = list(targets) or _pipelines(repo)
        found = list(dict.fromkeys(one for target in wanted for one in _named(repo, target)))
        if options.single_item and found:
            return found, None
        stages, graph = seams.order(repo, found, downstream=options.downstream)
        if not stages or (wanted and not found):
            raise NoPipelineError(
                "There are no DVC stages here.",
                hint="Describe them in dvc.yaml (`dvc stage add`), or run from the top folder. "
                "Without a pipeline nothing has to be run: `modelci report`, `promote`, "
                "`registry` and `ci` do without.",
            )
        return stages, graph

    def _remote(self, repo: Any) -> faults.RemoteLabel | None:
        """Return what to call the default remote, None if there is none configured."""
        try:
            repo.cloud.get_remote()
        except NoRemoteError:
            return None
        except (DvcException, ImportError) as error:
            if isinstance(error, DvcConfigError):
                raise
            raise errors.remote_failed("use", errors.remote_label(repo), error) from error
        return errors.remote_label(repo)

    def _pull_run_cache(self, repo: Any, options: RunOptions, progress: Progress) -> bool:
        """Fetch what past runs recorded; False if there is no remote to pull from at all."""
        remote = self._remote(repo)
        if remote is None:
            progress.warn("Nothing can be pulled: no default DVC remote is configured.")
            return False
        if not options.run_cache:
            return True
        with _talking_to(remote, "pull from", []):
            try:
                repo.stage_cache.pull(None)
            except RunCacheNotSupported as error:
                progress.warn(f"Past runs cannot be pulled: {faults.describe(error)}.")
        return True


def _lacking(repo: Any, files: Sequence[TrackedFile]) -> Iterator[TrackedFile]:
    """Yield the files that the remote lacks, and those of folders that it lacks."""
    # Never by DVC's index of the remote: it takes for there what was there once.
    stores = {
        name: repo.cloud.get_remote_odb(command="status", hash_name=name)
        for name in dict.fromkeys(file.hash_name for file in files)
    }
    for file in files:
        yield from _lacking_of(repo, stores[file.hash_name], file)


def _lacking_of(repo: Any, odb: Any, file: TrackedFile) -> Iterator[TrackedFile]:
    if _absent(odb, [str(file.hash)]):
        yield file
        return
    if not str(file.hash).endswith(".dir"):
        return
    listed = {entry.value: "/".join(key) for key, _, entry in _load_tree(repo, odb, file)}
    absent = _absent(odb, list(listed))
    for oid, path in sorted(listed.items(), key=lambda one: one[1]):
        if oid in absent:
            yield replace(file, path=f"{file.path}/{path}", hash=oid, bytes=None, files=None)


def _absent(odb: Any, oids: Sequence[str]) -> set[str]:
    """Return those of the hashes that a store has nothing for."""
    absent = set(oids) - set(odb.oids_exist(oids))
    if absent and odb.fs.protocol in _WEB:
        # There every answer but a good one means "no", and none at all too. This one raises it.
        odb.fs.fs.exists(odb.oid_to_path(min(absent)), strict=True)
    return absent


def _load_tree(repo: Any, odb: Any, file: TrackedFile) -> Any:
    info = HashInfo(file.hash_name, file.hash)
    cache = repo.cache.local if file.hash_name == "md5" else repo.cache.legacy
    try:
        return Tree.load(cache, info)
    except FileNotFoundError:
        return Tree.load(odb, info)


def _warn(progress: Progress, text: str) -> None:
    """Pass DVC's warnings on, but for what the reasons of the stages tell anyway."""
    if _NOT_ANYWHERE not in text:
        progress.warn(text)


def _pipelines(repo: Any) -> list[str]:
    """Return every dvc.yaml with stages, the top's first."""
    files = {
        str(Path(stage.path).relative_to(repo.root_dir))
        for stage in repo.index.stages
        if isinstance(stage, PipelineStage)
    }
    return sorted(files, key=lambda path: (path.count("/"), path))


def _named(repo: Any, target: str) -> list[Any]:
    try:
        return seams.collect(repo, target)
    except DvcException as error:
        if errors.is_no_target(error):
            names = [stage.addressing for stage in repo.index.stages]
            raise errors.no_such_target(target, names) from error
        raise


@contextmanager
def _talking_to(remote: faults.RemoteLabel, doing: str, heard: Sequence[str]) -> Iterator[None]:
    try:
        with trace.told("dvc", doing, str(remote)):
            yield
    except Exception as error:  # every kind of remote has errors of its own
        raise errors.remote_failed(doing, remote, error, heard) from error


class _Failed(Exception):  # noqa: N818 - never leaves this module
    """Takes the results of a run past DVC's handling of a failed one."""

    def __init__(self, runs: tuple[StageRun, ...]) -> None:
        super().__init__()
        self.runs = runs


def _reproduce(repo: Any, run: Callable[[], tuple[StageRun, ...]]) -> tuple[StageRun, ...]:
    """Let DVC see that a stage failed as in ``dvc repro``, by an exception.

    It then stages nothing, and takes the lines of this run out of .gitignore. That is odd, but
    the tree shall be the same whoever ran the pipeline.
    """
    try:
        with seams.reproducing(repo):
            return _raise_if_failed(run())
    except _Failed as failed:
        return failed.runs


def _raise_if_failed(runs: tuple[StageRun, ...]) -> tuple[StageRun, ...]:
    if any(run.status is StageStatus.FAILED for run in runs):
        raise _Failed(runs)
    return runs


def _push_run_cache(repo: Any) -> int:
    """Push the records of past runs; DVC sends all of them each time, we count the new ones."""
    try:
        remote = repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
        if remote.fs.protocol in _WEB:
            return 0  # cannot be listed
        known = set(remote.fs.find(remote.fs.join(remote.path, "runs")))
        sent = repo.stage_cache.push(None, odb=remote)
    except (RunCacheNotSupported, DvcConfigError):
        return 0
    there = {path.rpartition("/")[2] for path in known}
    return sum(value not in there for _, value in sent)


def _push_copies(repo: Any) -> int:
    """Push what the run cache keeps of outputs with ``cache: false`` (DVC itself does not).

    Without these a stage that writes metrics could not be restored elsewhere.
    """
    with seams.locked(repo):
        copies = {
            out.hash_info
            for stage in repo.index.stages
            for out in stage.outs
            if out.hash_info and not out.use_cache and out.is_in_repo
            if out.local_cache.exists(out.hash_info.value)
        }
        return len(repo.cloud.push(copies).transferred) if copies else 0
