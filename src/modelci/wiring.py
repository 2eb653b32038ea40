"""The composition root: builds adapters on demand, imports them no earlier, and nothing else."""

import sys
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from modelci import __version__
from modelci.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelci.adapters.datasets import DatasetReader
    from modelci.adapters.dvc.models import DvcModelScanner
    from modelci.adapters.dvc.pipeline import DvcPipeline
    from modelci.adapters.dvc.plots import DvcPlotsReader
    from modelci.adapters.dvc.reproduction import CleanClone
    from modelci.adapters.dvc.snapshot import DvcSnapshotReader
    from modelci.adapters.dvc.stored import DvcBytes
    from modelci.adapters.git import GitRepository
    from modelci.adapters.rescore import CommandRescorer
    from modelci.adapters.tags import TagReader
    from modelci.config.load import Loaded
    from modelci.config.model import RunConfig, ServeConfig
    from modelci.domain.changes import TrackedFile
    from modelci.domain.events import CIContext
    from modelci.domain.modelfiles import Trust
    from modelci.domain.promotion import PlannedTag, Promotion
    from modelci.domain.registry import Holder
    from modelci.domain.report import Report
    from modelci.ports import Forge, Progress, StageExecutor
    from modelci.render.templating import Overrides
    from modelci.workflows.comment import Desk
    from modelci.workflows.servable import Servable

_CHECK_TITLE = 400
_CHECK_BYTES = 16_384  # of a check's page: enough for any verdict


class App:
    """Everything that a command may need, made when first asked for."""

    version = __version__

    def __init__(self, start: Path, *, quiet: bool = False) -> None:
        self._start = start
        self._quiet = quiet
        self._flags: dict[str, object] = {}

    def set_flags(self, flags: Mapping[str, object]) -> None:
        """Remember the flags that override the configuration (by dotted key; None: not given)."""
        self._flags.update(flags)

    def targets(self, names: "Sequence[str]") -> tuple[str, ...]:
        """Return stages and files named from where the command was started."""
        from modelci.workflows.targets import from_the_top

        return from_the_top(names, root=self.git.root, here=self._start) if names else ()

    @cached_property
    def git(self) -> "GitRepository":
        """The repository around the current folder."""
        from modelci.adapters.git import GitRepository

        # The configuration is a file of the repository: it is read when tags are to be made.
        return GitRepository.discover(
            self._start, sign=lambda: self.configuration.config.registry.sign
        )

    @cached_property
    def tag_reader(self) -> "TagReader | GitRepository":
        """The reader of this clone's tags, which loads no more than that takes."""
        from modelci.adapters.tags import TagReader

        top = self._top
        return self.git if top is None else TagReader(top)

    def begin_tags(self) -> None:
        """Let Git list the tags while Python still loads."""
        from modelci.adapters.tags import TagReader

        reader = self.tag_reader
        if isinstance(reader, TagReader):
            reader.begin()

    @cached_property
    def _top(self) -> Path | None:
        """The folder around the current one that holds ``.git``; None where Git must be asked."""
        above = (self._start, *self._start.parents)
        return next((folder for folder in above if (folder / ".git").exists()), None)

    def read_top(self, path: str) -> bytes | None:
        """Return a file of the work tree, by its path from the top; None where there is none."""
        file = (self._top or self.git.root) / path
        try:
            return file.read_bytes()
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
        run = self.configuration.config.run
        return run.for_event(self.context, fixed=self.fixed_run_settings)

    @cached_property
    def snapshots(self) -> "DvcSnapshotReader":
        """The reader of DVC's files."""
        from modelci.adapters.dvc.snapshot import DvcSnapshotReader

        return DvcSnapshotReader(self.git.root, fetch=self._fetch)

    @cached_property
    def tables(self) -> "DatasetReader":
        """The reader of datasets and predictions."""
        from modelci.adapters.datasets import DatasetReader

        return DatasetReader(self.git.root, fetch=self._fetch)

    @cached_property
    def plots(self) -> "DvcPlotsReader":
        """The reader of plots and pictures."""
        from modelci.adapters.dvc.plots import DvcPlotsReader

        return DvcPlotsReader(self.git.root, fetch=self._fetch)

    @cached_property
    def model_scanner(self) -> "DvcModelScanner":
        """What scans models, without loading them."""
        from modelci.adapters.dvc.models import DvcModelScanner

        return DvcModelScanner(self.git.root, fetch=self._fetch)

    def trust_in(self, path: Path, *, types: "Sequence[str]" = (), pickle: bool = False) -> "Trust":
        """Return what may be loaded of a file: the project's settings, where there is one.

        ``types`` and ``pickle`` are what flags allow beyond them.
        """
        from modelci.domain.modelfiles import Trust

        found = Trust() if self._top is None else self._configured_trust(path)
        return Trust(types=(*found.types, *types), pickle=found.pickle or pickle)

    def _configured_trust(self, path: Path) -> "Trust":
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
        from modelci.adapters.dvc.locate import Locator
        from modelci.adapters.rescore import CommandRescorer

        return CommandRescorer(
            self.git.root,
            environment=stage_environment(),
            locator=Locator(self.git.root, fetch=self._fetch),
        )

    @cached_property
    def stored_bytes(self) -> "DvcBytes":
        """The reader of what DVC keeps, byte by byte."""
        from modelci.adapters.dvc.stored import DvcBytes

        return DvcBytes(self.git.root, fetch=self._fetch_into)

    def at(self, path: "str | Path") -> Path:
        """Return a path that was named from where the command was started."""
        return self._start / path

    def below_top(self, path: str) -> str:
        """Return a path that the configuration names from the top of the repository."""
        return str((self._top or self._start) / path)

    @property
    def serve_config(self) -> "ServeConfig":
        """How to serve: of the repository, or, for a file outside of any, of flags alone."""
        if self._top is not None:
            return self.configuration.config.serve
        from modelci.adapters.ci import overrides
        from modelci.config.load import load

        return load(None, environment=overrides(), flags=self._flags).config.serve

    def servable(self, name: str | None, *, pull: bool) -> "Servable":
        """Return the model that `modelci serve` is asked for, and see that it is here."""
        from modelci.adapters.dvc.bringing import FileBringer
        from modelci.adapters.dvc.locate import Locator
        from modelci.workflows.servable import find_servable, take_file

        file = None if name is None else self.at(name)
        is_inside = file is None or (self._top is not None and file.is_relative_to(self._top))
        if file is not None and file.is_file() and not is_inside:
            return take_file(file)
        if file is not None and self._top is None:
            raise UsageError(
                f"There is no file {file}, and no repository around it.",
                hint="Name a model's file or a release's folder, or go into a repository.",
            )
        locator = Locator(self.git.root, fetch=self._fetch)
        return find_servable(
            name,
            here=self._start.relative_to(self.git.root).as_posix(),
            git=self.git,
            reader=self.snapshots,
            bring=FileBringer(locator, self.git.root, self.folder / "served", pull=pull),
            config=self.configuration.config,
        )

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

    def _fetch_into(self, files: "Sequence[TrackedFile]", cache: Path) -> None:
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.dvc.pipeline import DvcPipeline

        DvcPipeline(
            self.git.root,
            environment=stage_environment(),
            remote=self.run_settings.remote,
            cache=cache,
        ).fetch(files)

    def _fetch(self, files: "Sequence[TrackedFile]") -> None:
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

    def records(self) -> "Forge | None":
        """The forge to record promotions on, where that is wanted."""
        from modelci.config.model import ForgeKind

        config = self.configuration.config
        wanted = config.promote.releases or config.forge.kind is ForgeKind.LOCAL
        return self.forge() if wanted else None

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """The labels of a merge; none where no forge is known, or there is no token to ask it."""
        from modelci.adapters.ci import forge_token
        from modelci.workflows.forge import choose_forge

        settings = self.configuration.config.forge
        try:
            kind = choose_forge(settings, self.context, self.git.remote_url()).kind
        except ConfigError:
            return ()
        has_token = kind == "local" or forge_token(kind=kind)
        return self.forge().labels_of(sha) if has_token else ()

    def dispatch(self, tags: "Sequence[PlannedTag]") -> None:
        """Start the workflow that deploys what was assigned, where one is named."""
        workflow = self.configuration.config.promote.dispatch
        if workflow is None or not tags:
            return
        from modelci.workflows.dispatch import dispatch

        dispatch(tags, workflow, forge=self.forge, progress=self.progress)

    def follow_up(self, promotion: "Promotion", report: "Report") -> None:
        """Do what follows the tags; neither of it waits for the other's success."""
        try:
            self.dispatch(promotion.tags)
        finally:
            self.release(promotion, report)

    def release(self, promotion: "Promotion", report: "Report") -> None:
        """Publish the releases of what was promoted, where that is wanted."""
        config = self.configuration.config
        if not config.promote.releases:
            return
        from modelci.documents.codec import encode
        from modelci.documents.provenance import encode_provenance
        from modelci.render.html import render_page
        from modelci.render.notes import render_card, render_notes
        from modelci.workflows.provenance import Builder
        from modelci.workflows.release import Press, publish_releases

        title, most = config.report.title, config.release.max_bytes
        publish_releases(
            promotion,
            report,
            git=self.git,
            reader=self.snapshots,
            stored=self.stored_bytes,
            forge=self.forge(),
            press=Press(
                notes=lambda notes: render_notes(notes, max_bytes=most),
                card=render_card,
                page=lambda shown: render_page(shown, title=title, overrides=self.templates(shown)),
                report=lambda shown: encode(shown).encode(),
                provenance=encode_provenance,
            ),
            builder=Builder(provider=self.context.provider, version=self.version),
            config=config,
            progress=self.progress,
        )

    @cached_property
    def progress(self) -> "Progress":
        """Who hears what we say while we work."""
        from modelci.adapters.ci import wants_no_colour
        from modelci.adapters.progress import ActionsProgress, SilentProgress, TextProgress

        if self._quiet:
            return SilentProgress()
        if self.context.provider in {"github", "gitea"}:
            return ActionsProgress(sys.stderr)
        if not sys.stderr.isatty() or wants_no_colour():
            return TextProgress(sys.stderr)
        from modelci.adapters.live import LiveProgress
        from modelci.workflows.run import last_seconds

        return LiveProgress(sys.stderr, last=lambda: last_seconds(self.folder / "run.json"))

    def close(self) -> None:
        """Leave the terminal as it was, however the command ended."""
        progress = self.__dict__.get("progress")  # made, if anyone has talked
        if progress is not None and hasattr(progress, "close"):
            progress.close()

    @cached_property
    def folder(self) -> Path:
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
        return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def render_comment(
        self,
        report: "Report",
        marker: str,
        *,
        pictures: Mapping[str, str] | None = None,
        elsewhere: str | None = None,
    ) -> str:
        """Return the comment's Markdown, within the configured size."""
        from modelci.render.markdown import render_comment

        settings = self.configuration.config.report
        try:
            return render_comment(
                report,
                title=settings.title,
                marker=marker,
                max_bytes=settings.max_bytes,
                pictures=pictures,
                elsewhere=elsewhere,
                overrides=self.templates(report),
            )
        except ValueError as error:
            raise ConfigError(
                f"report.max_bytes is too small. {error}", hint="16384 bytes hold any verdict."
            ) from error

    def templates(self, report: "Report") -> "Overrides | None":
        """Return what the project overrides of the comment and the page, if anything.

        In a job of a pull request the base's templates count, as its gates do.
        """
        folder = self.configuration.config.report.templates
        if folder is None:
            return None
        from modelci.domain.events import EventKind
        from modelci.render.templating import Overrides
        from modelci.workflows.templates import read_templates

        base = report.base.sha if report.base else None
        proposed = self.context.event is EventKind.PULL_REQUEST
        if proposed and base and not self.git.has(base):
            self.progress.warn(f"The base is not in this clone: {folder} of it is not used.")
            return None
        tree = self.git.tree(base) if proposed and base else self.git.work_tree()
        files = read_templates(tree, folder)
        if not files and not proposed:
            raise ConfigError(
                f"report.templates names {folder}, which holds no templates.",
                hint="Put comment.md.j2 or page.html.j2 there (see docs/reports.md).",
            )
        return Overrides(folder=folder, files=files)

    def draw(self, report: "Report") -> Mapping[str, bytes]:
        """Return a report's plots and pictures as images, by the name that a comment uses."""
        from modelci.render.pictures import draw

        return draw(report)

    def describe(self, report: "Report") -> tuple[str, str]:
        """Return the verdict in a sentence, and a short page of Markdown, for a check."""
        from modelci.render.digest import digest, sentence
        from modelci.render.escape import terminal
        from modelci.render.markdown import render_summary

        title = self.configuration.config.report.title
        page = render_summary(report, title=title, max_bytes=_CHECK_BYTES)
        # Forges take a check's title as it is, and so does the log: no mention, no command.
        line = terminal(sentence(digest(report).headline), _CHECK_TITLE)
        return line.replace("@", "@\u200b"), page

    def desk(self, forge: "Forge", identity: str | None) -> "Desk":
        """Return what it takes to write a comment."""
        from modelci.workflows.comment import Desk

        return Desk(
            forge=forge,
            settings=self.configuration.config.comment,
            context=self.context,
            render=self.render_comment,
            draw=self.draw,
            progress=self.progress,
            identity=identity,
        )
