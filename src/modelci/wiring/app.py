"""The composition root: builds adapters on demand, imports them no earlier, and nothing else."""

import os.path
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from modelci import __version__
from modelci.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from modelci.adapters.datasets import DatasetReader
    from modelci.adapters.dvc.locate import Locator
    from modelci.adapters.dvc.models import DvcModelScanner
    from modelci.adapters.dvc.pipeline import DvcPipeline
    from modelci.adapters.dvc.plots import DvcPlotsReader
    from modelci.adapters.dvc.reproduction import CleanClone
    from modelci.adapters.dvc.snapshot import DvcSnapshotReader
    from modelci.adapters.dvc.stored import DvcBytes
    from modelci.adapters.git import GitRepository
    from modelci.adapters.listing import Listing
    from modelci.adapters.rescore import CommandRescorer
    from modelci.adapters.scanning import DatasetScanner
    from modelci.adapters.tags import TagReader
    from modelci.config.load import Loaded
    from modelci.config.model import Config, RunConfig
    from modelci.domain.changes import TrackedFile
    from modelci.domain.events import CIContext, Job
    from modelci.domain.modelfiles import Trust
    from modelci.domain.registry import Holder
    from modelci.domain.remotes import DataRemote
    from modelci.ports import Forge, Progress, RowCounter, StageExecutor
    from modelci.wiring.deploying import Deploying
    from modelci.wiring.promoting import Promoting
    from modelci.wiring.reporting import Reporting
    from modelci.wiring.serving import Serving
    from modelci.wiring.signing import Signing
    from modelci.wiring.watching import Watching
    from modelci.workflows.trust import Settled


class App:
    """Everything that a command may need, made when first asked for."""

    version = __version__

    def __init__(self, start: str, *, quiet: bool = False) -> None:
        self._start = start  # absolute; text, as `modelci registry` answers before pathlib loads
        self.quiet = quiet
        self._flags: dict[str, object] = {}
        self._listing: Listing | None = None
        self._unwatch: Callable[[], None] | None = None

    def set_flags(self, flags: Mapping[str, object]) -> None:
        """Remember the flags that override the configuration (by dotted key; None: not given)."""
        self._flags.update(flags)

    def targets(self, names: "Sequence[str]") -> tuple[str, ...]:
        """Return stages and files named from where the command was started."""
        from pathlib import Path

        from modelci.workflows.targets import from_the_top

        return from_the_top(names, root=self.git.root, here=Path(self._start)) if names else ()

    @cached_property
    def git(self) -> "GitRepository":
        """The repository around the current folder."""
        from pathlib import Path

        from modelci.adapters.git import GitRepository

        # The configuration is a file of the repository: it is read when tags are to be made.
        return GitRepository.discover(
            Path(self._start), sign=lambda: self.configuration.config.registry.sign
        )

    @cached_property
    def tag_reader(self) -> "TagReader | GitRepository":
        """The reader of this clone's tags, which loads no more than that takes."""
        from modelci.adapters.tags import TagReader

        top = self.top
        return self.git if top is None else TagReader(top, begun=self._listing)

    def begin_tags(self) -> None:
        """Let Git list the tags while Python still loads."""
        from modelci.adapters.listing import Listing

        if self.top is not None:
            self._listing = Listing(self.top, messages=False)

    @cached_property
    def top(self) -> str | None:
        """The folder around the current one that holds ``.git``; None where Git must be asked."""
        folder, above = self._start, os.path.dirname(self._start)
        while not os.path.exists(f"{folder}/.git"):
            if folder == above:
                return None
            folder, above = above, os.path.dirname(above)
        return folder

    def read_top(self, path: str) -> bytes | None:
        """Return a file of the work tree, by its path from the top; None where there is none."""
        try:
            with open(f"{self.top or self.git.root}/{path}", "rb") as file:
                return file.read()
        except OSError:
            return None

    @property
    def registry_holder(self) -> "Holder":
        """Which of a stage's versions holds it; only a file that speaks of it is parsed for that.

        The variable, MODELCI_REGISTRY_HOLDER, is the command line's.
        """
        from modelci.domain.registry import Holder

        text = self.read_top("modelci.yaml") or b""
        # A key may be written with escapes (in quotes), but then there is a backslash.
        if b"registry" in text or b"\\" in text:
            return self.configuration.config.registry.holder
        return Holder.NEWEST

    @cached_property
    def context(self) -> "CIContext":
        """What the CI system says."""
        from modelci.adapters.ci import detect

        return detect()

    @cached_property
    def configuration(self) -> "Loaded":
        """``modelci.yaml`` of the checkout, environment and flags."""
        from modelci.adapters.ci import overrides
        from modelci.config.load import FILE, load

        text = self.git.work_tree().read([FILE]).get(FILE)
        return load(text, environment=overrides(), flags=self._flags)

    @cached_property
    def pipeline(self) -> "DvcPipeline":
        """The DVC pipeline of the checkout."""
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.dvc.pipeline import DvcPipeline

        return DvcPipeline(
            self.git.root,
            environment=stage_environment(),
            remote=self.run_settings.remote,
            git_url=self.git.remote_url(),
        )

    @contextmanager
    def executor(self) -> "Iterator[StageExecutor | None]":
        """Where stages run elsewhere, for as long as it is needed; None where they run here."""
        settings = self.configuration.config.executor
        if settings.kind == "local":
            yield None
            return
        from modelci.adapters.executors import EXECUTORS

        found = EXECUTORS[settings.kind](settings, progress=self.progress)
        try:
            yield found
        finally:
            found.close()

    @property
    def fixed_run_settings(self) -> frozenset[str]:
        """What of ``run`` a flag or a variable gives: an event's own settings do not change it."""
        from modelci.config.load import FILE

        origins = self.configuration.origins.items()
        named = (key for key, origin in origins if not origin.startswith(FILE))
        return frozenset(key.removeprefix("run.") for key in named if key.startswith("run."))

    @property
    def run_settings(self) -> "RunConfig":
        """How the pipeline runs in this job."""
        return self.settled_run.run

    @property
    def settled_run(self) -> "Settled":
        """The same, with why past runs are not believed, if they are not."""
        from modelci.domain.events import EventKind, Job, choose_job
        from modelci.workflows.trust import settle_run

        config, context = self.configuration.config, self.context
        branch = config.default_branch or context.default_branch
        if branch is None and context.event is EventKind.PUSH:
            branch = next(iter(self.git.default_branch() or ()), None)
        return settle_run(
            config,
            context,
            releases=choose_job(context, branch) is Job.MERGE,
            fixed=self.fixed_run_settings,
            remotes=self.data_remotes,
        )

    def data_remotes(self) -> "tuple[DataRemote, ...]":
        """The DVC remotes, as they are configured."""
        from modelci.adapters.dvc.remote import read_remotes

        return read_remotes(self.git.root)

    @cached_property
    def snapshots(self) -> "DvcSnapshotReader":
        """The reader of DVC's files."""
        from modelci.adapters.dvc.snapshot import DvcSnapshotReader

        return DvcSnapshotReader(self.git.root, fetch=self.fetch)

    @cached_property
    def tables(self) -> "DatasetReader":
        """The reader of datasets and predictions."""
        from modelci.adapters.datasets import DatasetReader

        return DatasetReader(self.git.root, fetch=self.fetch)

    @cached_property
    def row_scanner(self) -> "DatasetScanner":
        """The reader of datasets of any size, named from where the command was started."""
        from pathlib import Path

        from modelci.adapters.scanning import DatasetScanner

        return DatasetScanner(Path(self._start))

    @contextmanager
    def row_counter(self) -> "Iterator[RowCounter]":
        """What counts a dataset's rows; on a cluster only where a flag says so."""
        if self._flags.get("executor.kind") != "dask":
            from modelci.adapters.counting import LocalCounter

            yield LocalCounter(self.row_scanner)
            return
        from modelci.adapters.executors.counting import ClusterCounter
        from modelci.adapters.executors.dask import connected

        with connected(self.config_anywhere.executor) as client:
            yield ClusterCounter(client, self.row_scanner)

    @cached_property
    def plots(self) -> "DvcPlotsReader":
        """The reader of plots and pictures."""
        from modelci.adapters.dvc.plots import DvcPlotsReader

        return DvcPlotsReader(self.git.root, fetch=self.fetch)

    @cached_property
    def model_scanner(self) -> "DvcModelScanner":
        """What scans models, without loading them."""
        from modelci.adapters.dvc.models import DvcModelScanner

        return DvcModelScanner(self.git.root, fetch=self.fetch)

    def trust_in(
        self, path: "Path", *, types: "Sequence[str]" = (), pickle: bool = False
    ) -> "Trust":
        """Return what may be loaded of a file: the project's settings, where there is one.

        ``types`` and ``pickle`` are what flags allow beyond them.
        """
        from modelci.domain.modelfiles import Trust

        found = Trust() if self.top is None else self._configured_trust(path)
        return Trust(types=(*found.types, *types), pickle=found.pickle or pickle)

    def _configured_trust(self, path: "Path") -> "Trust":
        from modelci.workflows.safety import artifacts_by_file, trust_in

        safety = self.configuration.config.safety
        if not safety.allow_pickle:
            return trust_in(None, safety)
        snapshot = self.snapshots.read(self.git.work_tree())
        return trust_in(artifacts_by_file(self.git.root, snapshot).get(path.resolve()), safety)

    @cached_property
    def rescorer(self) -> "CommandRescorer":
        """What scores a base's model anew; it runs the project's code."""
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.rescore import CommandRescorer

        return CommandRescorer(
            self.git.root,
            environment=stage_environment(),
            locator=self.locator,
        )

    @cached_property
    def stored_bytes(self) -> "DvcBytes":
        """The reader, and bringer, of what DVC keeps, byte by byte."""
        from modelci.adapters.dvc.stored import DvcBytes

        return DvcBytes(self.git.root, remote=self.run_settings.remote)

    def at(self, path: "str | Path") -> "Path":
        """Return a path that was named from where the command was started."""
        from pathlib import Path

        return Path(self._start, path)

    def below_top(self, path: str) -> str:
        """Return a path that the configuration names from the top of the repository."""
        return os.path.join(self.top or self._start, path)

    @cached_property
    def locator(self) -> "Locator":
        """What finds the bytes of tracked files, and fetches those that are not here."""
        from modelci.adapters.dvc.locate import Locator

        return Locator(self.git.root, fetch=self.fetch)

    @property
    def config_anywhere(self) -> "Config":
        """The configuration; outside of any repository what the environment and flags give."""
        if self.top is not None:
            return self.configuration.config
        from modelci.adapters.ci import overrides
        from modelci.config.load import load

        return load(None, environment=overrides(), flags=self._flags).config

    @cached_property
    def reproducer(self) -> "CleanClone":
        """What runs a commit's pipeline again; it runs the project's code."""
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.dvc.reproduction import CleanClone
        from modelci.adapters.git import GitRepository

        return CleanClone(
            self.git.root,
            environment=stage_environment(),
            fetch=self._fetch_into,
            open_tree=lambda root: GitRepository(root).work_tree(),
        )

    def _fetch_into(self, files: "Sequence[TrackedFile]", cache: "Path") -> None:
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.dvc.pipeline import DvcPipeline

        DvcPipeline(
            self.git.root,
            environment=stage_environment(),
            remote=self.run_settings.remote,
            cache=cache,
        ).fetch(files)

    def fetch(self, files: "Sequence[TrackedFile]") -> None:
        self.pipeline.fetch(files)

    def forge(self) -> "Forge":
        """The forge that the configuration or the environment names."""
        from modelci.adapters.ci import forge_token
        from modelci.adapters.forge import FORGES, ForgeSettings
        from modelci.workflows.forge import choose_forge

        settings = self.configuration.config.forge
        choice = choose_forge(settings, self.context, self.git.remote_url())
        is_here = choice.kind == self.context.provider
        return FORGES[choice.kind](
            ForgeSettings(
                progress=self.progress,
                repository=choice.repository,
                api_url=choice.api_url,
                server_url=self.context.server_url if is_here else None,
                token=forge_token(kind=choice.kind),
                folder=self.git.root / settings.path,
            )
        )

    def job(self) -> "Job":
        """What the CI event calls for."""
        from modelci.domain.events import choose_job

        config = self.configuration.config
        found = self.git.default_branch(config.default_branch)
        known = config.default_branch or self.context.default_branch or (found and found[0])
        return choose_job(self.context, known or None, has_targets=bool(config.deploy.targets))

    @property
    def config_of_job(self) -> "Config":
        """The configuration, with the default branch that the CI system knows."""
        from dataclasses import replace

        config = self.configuration.config
        return replace(config, default_branch=config.default_branch or self.context.default_branch)

    def has_forge(self) -> bool:
        """Whether a forge is known, and there is a token to talk to it with."""
        from modelci.adapters.ci import forge_token
        from modelci.workflows.forge import choose_forge

        settings = self.configuration.config.forge
        try:
            kind = choose_forge(settings, self.context, self.git.remote_url()).kind
        except ConfigError:
            return False
        return kind == "local" or forge_token(kind=kind) is not None

    @cached_property
    def progress(self) -> "Progress":
        """Who hears what we say while we work."""
        from modelci.adapters.ci import wants_no_colour
        from modelci.adapters.progress import ActionsProgress, SilentProgress, TextProgress

        if self.quiet:
            return SilentProgress()
        if self.context.provider in {"github", "gitea"}:
            return ActionsProgress(sys.stderr)
        if not sys.stderr.isatty() or wants_no_colour():
            return TextProgress(sys.stderr)
        from modelci.adapters import trace
        from modelci.adapters.live import LiveProgress
        from modelci.workflows.run import last_seconds

        live = LiveProgress(sys.stderr, last=lambda: last_seconds(self.folder / "run.json"))
        self._unwatch = trace.watch(live.busy)
        return live

    def close(self) -> None:
        """Leave the terminal as it was, however the command ended."""
        if self._unwatch is not None:  # first: nothing begins a new table
            self._unwatch()
            self._unwatch = None
        progress = self.__dict__.get("progress")  # made, if anyone has talked
        if progress is not None and hasattr(progress, "close"):
            progress.close()

    @cached_property
    def folder(self) -> "Path":
        """``.modelci/`` at the top of the repository, which Git ignores by itself."""
        folder = self.git.root / ".modelci"
        ignore = folder / ".gitignore"
        try:
            folder.mkdir(exist_ok=True)
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be written: {error.strerror}.",
                hint="modelci keeps its documents in this folder: make room for it.",
            ) from error
        return folder

    def now(self) -> str:
        """Return the time, UTC in ISO 8601."""
        from datetime import UTC, datetime

        return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    @cached_property
    def serving(self) -> "Serving":
        """What `modelci serve` takes: the model, and how to answer."""
        from modelci.wiring.serving import Serving

        return Serving(self)

    @cached_property
    def reporting(self) -> "Reporting":
        """How reports are shown: the comment, the page, pictures, a check."""
        from modelci.wiring.reporting import Reporting

        return Reporting(self)

    @cached_property
    def signing(self) -> "Signing":
        """Signatures of versions' bytes: who makes them, and who reads them."""
        from modelci.wiring.signing import Signing

        return Signing(self)

    @cached_property
    def promoting(self) -> "Promoting":
        """What goes with tags that are made: records, releases, and what follows them."""
        from modelci.wiring.promoting import Promoting

        return Promoting(self)

    @cached_property
    def deploying(self) -> "Deploying":
        """Deployments: the targets, the job, and what is said of it."""
        from modelci.wiring.deploying import Deploying

        return Deploying(self)

    @cached_property
    def watching(self) -> "Watching":
        """What deployed models are watched with, and what is done about them."""
        from modelci.wiring.watching import Watching

        return Watching(self)
