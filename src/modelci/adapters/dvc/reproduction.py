"""Runs a commit's pipeline once more, in a clone of its own that knows no earlier result."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import dvc.repo
from dvc.exceptions import DvcException

from modelci.adapters.clones import clone_commit
from modelci.adapters.dvc import errors
from modelci.adapters.dvc.cache import Cache, CacheAt, DvcSettings
from modelci.adapters.dvc.hashing import hash_bytes
from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.dvc.stored import FetchInto, bring
from modelci.adapters.dvc.talk import dvc_quiet
from modelci.domain.changes import TrackedFile
from modelci.domain.pipeline import RunOptions, StageStatus
from modelci.domain.snapshot import Snapshot
from modelci.errors import PipelineError
from modelci.ports import FileTree, Progress

_FOLDER = ".dir"


class CleanClone:
    """Reproduces commits of the repository at ``root``.

    Stages' commands see ``environment`` and nothing else of ours. ``fetch`` brings source data
    from the DVC remote; what it does not have is taken from this repository's cache.
    ``open_tree`` reads the files of a clone.
    """

    def __init__(
        self,
        root: Path,
        *,
        environment: Mapping[str, str],
        fetch: FetchInto,
        open_tree: Callable[[Path], FileTree],
    ) -> None:
        self._root = root
        self._environment = environment
        self._fetch = fetch
        self._open_tree = open_tree

    def run(self, commit: str, inputs: Sequence[TrackedFile], *, progress: Progress) -> Snapshot:
        """Return what the commit's stages write when all of them run, from its ``inputs`` alone.

        Raises PipelineError where a stage fails, or the inputs are not to be had as they were.
        """
        with tempfile.TemporaryDirectory(prefix="modelci-reproduce-") as name:
            clone, cache = Path(name) / "clone", Path(name) / "cache"
            clone_commit(self._root, commit, clone, self._environment)
            cache.mkdir()
            self._bring(inputs, cache, progress)
            self._settle(clone, cache)
            pipeline = DvcPipeline(clone, environment=self._environment, cache=cache)
            options = RunOptions(jobs=1, force=True, run_cache=False, record=False)
            runs = pipeline.run((), options, progress=progress)
            failed = [run.name for run in runs if run.status is StageStatus.FAILED]
            if failed:
                raise PipelineError(
                    f"The run made again failed in {', '.join(failed)}.",
                    hint="Its log is above. Do the stages need anything that Git and DVC have not?",
                )
            return DvcSnapshotReader(clone).read(self._open_tree(clone))

    def _bring(self, inputs: Sequence[TrackedFile], cache: Path, progress: Progress) -> None:
        wanted = [file for file in inputs if file.hash and not file.in_git]
        if not wanted:
            return
        try:
            bring(wanted, cache, self._fetch)
        except PipelineError as error:
            progress.note(f"Source data come from this clone's own cache: {error}")
        ours, theirs = Cache(DvcSettings(self._root)), Cache(CacheAt(cache))
        for file in wanted:
            _copy(ours, theirs, file.hash or "", file)

    def _settle(self, clone: Path, cache: Path) -> None:
        """Let the clone use that cache and no remote, and check its source data out."""
        local = clone / ".dvc" / "config.local"
        local.parent.mkdir(exist_ok=True)
        local.write_text(
            f"[cache]\n    dir = {cache}\n    type = copy\n[core]\n    analytics = false\n",
            encoding="utf-8",
        )
        sources = [str(path.relative_to(clone)) for path in clone.rglob("*.dvc") if path.is_file()]
        if not sources:
            return
        try:
            with (
                dvc_quiet(lambda _: None),
                contextlib.chdir(clone),
                dvc.repo.Repo(str(clone)) as repo,
            ):
                repo.checkout(targets=sources, force=True)
        except DvcException as error:
            raise errors.translate(error, clone) from error


def _copy(ours: Cache, theirs: Cache, hash_: str, file: TrackedFile) -> None:
    """Bring an object into the other cache, and hold it to its hash."""
    target = theirs.place(hash_, file.hash_name)
    source = ours.place(hash_, file.hash_name)
    if target is None or source is None:
        raise PipelineError(f"{file.path} has a hash that is none: {hash_}.")
    if not target.exists() and source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if not target.exists():
        raise PipelineError(
            f"The source data {file.path} are neither on the DVC remote nor in the cache.",
            hint=f"dvc push {file.path}, from where they are.",
        )
    if hash_bytes(target.read_bytes(), file.hash_name) != hash_.removesuffix(_FOLDER):
        raise PipelineError(
            f"The source data {file.path} are not those of the version: their bytes do not hash "
            f"to {hash_}.",
            hint="Somebody changed them in the cache or on the DVC remote.",
        )
    if hash_.endswith(_FOLDER):
        listing = theirs.read_listing(hash_, file.hash_name) or {}
        for member in listing.values():
            _copy(ours, theirs, member, file)
