"""The composition root: builds adapters on demand, imports them no earlier, and nothing else."""

import os.path
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from modelci import __version__
from modelci.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from modelci.adapters.bell import Bell
    from modelci.adapters.datasets import DatasetReader
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
    from modelci.adapters.targets.server import ServerTarget
    from modelci.adapters.targets.settings import TargetSettings
    from modelci.config.load import Loaded
    from modelci.config.model import (
        Config,
        ExecutorConfig,
        MonitorConfig,
        RequestLogConfig,
        RunConfig,
        ServeConfig,
    )
    from modelci.domain.changes import TrackedFile
    from modelci.domain.deploying import Manner
    from modelci.domain.deployment import Deployment, Strategy
    from modelci.domain.events import CIContext, Job
    from modelci.domain.modelfiles import Trust
    from modelci.domain.monitoring import Monitoring
    from modelci.domain.orders import Wanted
    from modelci.domain.promotion import Promotion
    from modelci.domain.provenance import Provenance
    from modelci.domain.registry import Holder
    from modelci.domain.remotes import DataRemote
    from modelci.domain.report import Report
    from modelci.domain.rollback import RegistryChange
    from modelci.ports import (
        Environments,
        Forge,
        Journal,
        Progress,
        RowCounter,
        SignatureReader,
        StageExecutor,
        Target,
    )
    from modelci.render.templating import Overrides
    from modelci.serving.settings import LogSettings
    from modelci.serving.settings import Settings as ServingSettings
    from modelci.workflows.acting import Acted
    from modelci.workflows.acting import Tools as ActingTools
    from modelci.workflows.comment import Desk
    from modelci.workflows.deploy_checks import Surroundings
    from modelci.workflows.deploy_plan import Announce, ReadProvenance
    from modelci.workflows.deploy_plan import Job as DeployJob
    from modelci.workflows.modelsigning import VersionSigner
    from modelci.workflows.monitor import Occasion
    from modelci.workflows.monitor import Tools as MonitorTools
    from modelci.workflows.promote import SignPlanned
    from modelci.workflows.retrain import Tools as RetrainTools
    from modelci.workflows.servable import Servable
    from modelci.workflows.trust import Settled
    from modelci.workflows.verify import AboutSignature

_CHECK_TITLE = 400
_CHECK_BYTES = 16_384  # of a check's page: enough for any verdict


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

        top = self._top
        return self.git if top is None else TagReader(top, begun=self._listing)

    def begin_tags(self) -> None:
        """Let Git list the tags while Python still loads."""
        from modelci.adapters.listing import Listing

        if self._top is not None:
            self._listing = Listing(self._top, messages=False)

    @cached_property
    def _top(self) -> str | None:
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
            with open(f"{self._top or self.git.root}/{path}", "rb") as file:
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

        return DvcSnapshotReader(self.git.root, fetch=self._fetch)

    @cached_property
    def tables(self) -> "DatasetReader":
        """The reader of datasets and predictions."""
        from modelci.adapters.datasets import DatasetReader

        return DatasetReader(self.git.root, fetch=self._fetch)

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

        with connected(self.executor_config) as client:
            yield ClusterCounter(client, self.row_scanner)

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

    def trust_in(
        self, path: "Path", *, types: "Sequence[str]" = (), pickle: bool = False
    ) -> "Trust":
        """Return what may be loaded of a file: the project's settings, where there is one.

        ``types`` and ``pickle`` are what flags allow beyond them.
        """
        from modelci.domain.modelfiles import Trust

        found = Trust() if self._top is None else self._configured_trust(path)
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
        from modelci.adapters.dvc.locate import Locator
        from modelci.adapters.rescore import CommandRescorer

        return CommandRescorer(
            self.git.root,
            environment=stage_environment(),
            locator=Locator(self.git.root, fetch=self._fetch),
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
        return os.path.join(self._top or self._start, path)

    @property
    def executor_config(self) -> "ExecutorConfig":
        """Where work is sent: of the repository, or, outside of any, of flags alone."""
        if self._top is not None:
            return self.configuration.config.executor
        from modelci.adapters.ci import overrides
        from modelci.config.load import load

        return load(None, environment=overrides(), flags=self._flags).config.executor

    @property
    def serve_config(self) -> "ServeConfig":
        """How to serve: of the repository, or, for a file outside of any, of flags alone."""
        if self._top is not None:
            return self.configuration.config.serve
        from modelci.adapters.ci import overrides
        from modelci.config.load import load

        return load(None, environment=overrides(), flags=self._flags).config.serve

    @property
    def serving_settings(self) -> "ServingSettings":
        """What the configuration says of serving, as servers are told; who may ask is in it."""
        from modelci.adapters.ci import serve_token
        from modelci.config.model import parse_bytes
        from modelci.serving.settings import Settings

        config = self.serve_config
        token, file = serve_token(), config.token_file
        settings = Settings(
            max_body=int(parse_bytes(config.max_body)),
            max_rows=config.max_rows,
            timeout_seconds=config.timeout_seconds,
            drain_seconds=config.drain_seconds,
            threads=config.threads,
            onnx=config.onnx,
            token_file=None if file is None else self.below_top(file),
            log=self._log_settings(config.log),
        )
        return settings.with_tokens(*([token] if token else []))

    def _log_settings(self, log: "RequestLogConfig") -> "LogSettings | None":
        from modelci.config.model import parse_bytes
        from modelci.serving.settings import LogSettings

        if log.path is None:
            return None
        return LogSettings(
            path=self.below_top(log.path),
            sample=log.sample,
            format=log.format.value,
            max_bytes=int(parse_bytes(log.max_bytes)),
            keep=log.keep,
        )

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
            here=self.at(".").relative_to(self.git.root).as_posix(),
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

    def _fetch_into(self, files: "Sequence[TrackedFile]", cache: "Path") -> None:
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
        return self.forge().labels_of(sha) if self.has_forge() else ()

    # -- deploying -------------------------------------------------------------------------------

    def job(self) -> "Job":
        """What the CI event calls for."""
        from modelci.domain.events import choose_job

        config = self.configuration.config
        found = self.git.default_branch(config.default_branch)
        known = config.default_branch or self.context.default_branch or (found and found[0])
        return choose_job(self.context, known or None, has_targets=bool(config.deploy.targets))

    @property
    def stages_of_targets(self) -> "Mapping[str, Sequence[str]]":
        """The stages that each target takes."""
        targets = self.configuration.config.deploy.targets
        return {name: target.stages for name, target in targets.items()}

    def target(self, name: str) -> "Target":
        """Return the target of that name."""
        from modelci.adapters.targets import connect

        return connect(self._target_settings(name))

    def _target_settings(self, name: str) -> "TargetSettings":
        from modelci.adapters.ci import bare_environment, stage_environment
        from modelci.adapters.targets.settings import TargetSettings
        from modelci.config.model import TargetKind

        deploy = self.configuration.config.deploy
        config = deploy.targets[name]
        serving = self.serving_settings.as_json() if config.kind is TargetKind.SERVER else {}
        return TargetSettings(
            name=name,
            config=config,
            root=self.git.root,
            progress=self.progress,
            environment=stage_environment(),
            bare=bare_environment(),
            serving=serving,
            strategy=deploy.strategy,
            known=self.known_artifacts,
            remote=self.git.remote(),
        )

    @property
    def deploy_surroundings(self) -> "Surroundings":
        """What `modelci doctor` can see of deployments from here."""
        from modelci.adapters.ci import forge_token_names, signing_secrets
        from modelci.adapters.targets.examining import examine
        from modelci.workflows.deploy_checks import Surroundings
        from modelci.workflows.forge import choose_forge

        wanted = None
        if not self.has_forge():
            settings = self.configuration.config.forge
            try:
                kind = choose_forge(settings, self.context, self.git.remote_url()).kind
            except ConfigError:
                kind = "github"
            wanted = forge_token_names(kind)[0]
        return Surroundings(
            look=lambda name: tuple(examine(self._target_settings(name))),
            forge_token=wanted,
            has_signing_key=signing_secrets()[0] is not None,
        )

    def known_artifacts(self) -> frozenset[str]:
        """Return the artifacts that the remote's tags speak of, or this clone's."""
        from modelci.domain.tags import TagName

        remote = self.git.remote()
        if remote is None:
            return frozenset(tag.name.artifact for tag in self.git.tags(messages=False))
        names = map(TagName.parse, self.git.tag_ids(remote=remote))
        return frozenset(name.artifact for name in names if name is not None)

    def server_target(self, name: str) -> "ServerTarget":
        """Return the target of that name, which is one of processes on this machine."""
        from modelci.adapters.targets.server import connect
        from modelci.config.model import TargetKind

        targets = self.configuration.config.deploy.targets
        if name not in targets or targets[name].kind is not TargetKind.SERVER:
            servers = [one for one, its in targets.items() if its.kind is TargetKind.SERVER]
            raise UsageError(
                f"deploy.targets has no {name!r} of kind server.",
                hint=f"There is: {', '.join(servers) or 'none'}.",
            )
        return connect(self._target_settings(name))

    @cached_property
    def environments(self) -> "Environments":
        """What makes environments for releases."""
        from modelci.adapters.ci import installing_environment
        from modelci.adapters.environments import VirtualEnvironments

        return VirtualEnvironments(variables=installing_environment())

    def manner(self, name: str, strategy: "Strategy | None") -> "Manner":
        """Return how a release takes over on a target; UsageError where it cannot do so."""
        deploy = self.configuration.config.deploy
        try:
            return deploy.manner(deploy.targets[name], strategy)
        except ValueError as error:
            raise UsageError(f"{name}: {error}.", hint="Leave --strategy out.") from error

    def deployment(
        self,
        wanted: "Wanted",
        name: str,
        *,
        strategy: "Strategy | None" = None,
        allowed: str | None = None,
        bell: "Bell | None" = None,
    ) -> "DeployJob":
        """Return the job of bringing what is wanted to a target; a ``bell`` may stop it."""
        import time

        from modelci.modelfiles.scan import scan_path
        from modelci.workflows.deploy_plan import Job, Request, Tools, never_stop

        config = self.configuration.config
        settings = config.deploy.targets[name]
        manner = self.manner(name, strategy)
        remote = config.promote.remote
        return Job(
            request=Request(
                wanted=wanted,
                manner=manner,
                is_manner_asked=strategy is not None,
                allowed=allowed,
                by=self.context.actor or self.git.tagger(),
                run_url=self.context.run_url,
            ),
            tools=Tools(
                git=self.git.with_remote(remote) if remote else self.git,
                reader=self.snapshots,
                source=self.stored_bytes,
                target=self.target(name),
                scan=lambda path, trust, flavour: scan_path(path, trust=trust, flavour=flavour),
                folder=self.folder,
                progress=self.progress,
                now=self.now,
                clock=time.monotonic,
                pause=bell.pause if bell else time.sleep,
                signatures=self.signature_reader,
                environments=self.environments,
                provenance=self.read_provenance,
                announce=self.announce,
                checkpoint=bell.checkpoint if bell else never_stop,
            ),
            config=self._config_of_job,
            settings=settings,
        )

    @cached_property
    def signature_reader(self) -> "SignatureReader":
        """Who says whose the signatures of bytes are."""
        from modelci.adapters.modelsigning import OpenSsfReader

        return OpenSsfReader()

    @cached_property
    def version_signer(self) -> "VersionSigner":
        """Who signs versions, as the configuration says; it needs the key when it signs."""
        from modelci.adapters.ci import signing_secrets
        from modelci.adapters.modelsigning import OpenSsfSigner, SignerSettings
        from modelci.workflows.modelsigning import VersionSigner

        config, root = self.configuration.config, self.git.root
        signing, remote = config.signing, config.promote.remote
        pem, password = signing_secrets()
        signer = OpenSsfSigner(
            SignerSettings(
                method=signing.method,
                private_key=root / signing.private_key if signing.private_key else None,
                pem=pem,
                password=password,
                certificate=root / signing.certificate if signing.certificate else None,
                chain=tuple(root / path for path in signing.certificate_chain),
                trust_config=root / signing.trust_config if signing.trust_config else None,
            )
        )
        return VersionSigner(
            git=self.git.with_remote(remote) if remote else self.git,
            snapshots=self.snapshots,
            stored=self.stored_bytes,
            signer=signer,
            reader=self.signature_reader,
            config=self._config_of_job,
        )

    @property
    def sign_planned(self) -> "SignPlanned":
        """Signs the bytes of versions that are promoted, where that is wanted."""
        from modelci.workflows.promote import sign_nothing

        wanted = self.configuration.config.promote.sign_models
        return self.version_signer.sign_planned if wanted else sign_nothing

    def about_signature(self, *, remote: bool) -> "AboutSignature":
        """Return what checks the signature of a version's bytes."""
        from modelci.workflows.modelsigning import SignatureCheck

        return SignatureCheck(
            git=self.git, reader=self.signature_reader, config=self._config_of_job, remote=remote
        )

    @property
    def _config_of_job(self) -> "Config":
        """The configuration, with the default branch that the CI system knows."""
        from dataclasses import replace

        config = self.configuration.config
        return replace(config, default_branch=config.default_branch or self.context.default_branch)

    @property
    def read_provenance(self) -> "ReadProvenance | None":
        """Read the provenance of a version's release; None where no forge is known to have any."""
        from modelci.workflows.release import PROVENANCE

        if not self.has_forge():
            return None

        def read(tag: str) -> "Provenance":
            from modelci.documents.provenance import MAX_BYTES, decode_provenance

            data = self.forge().read_release_asset(tag, PROVENANCE, max_bytes=MAX_BYTES)
            return decode_provenance(data, source=f"{PROVENANCE} of the release {tag}")

        return read

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

    @property
    def announce(self) -> "Announce":
        """Tells the forge how a deployment stands, where one is known."""
        from modelci.render.deployments import headline
        from modelci.workflows.announce import announce
        from modelci.workflows.deploy_plan import tell_nobody

        if not self.has_forge():
            return tell_nobody
        return lambda deployment: announce(
            deployment, forge=self.forge, describe=headline, progress=self.progress
        )

    def deploy(
        self,
        wanted: "Wanted",
        name: str,
        *,
        strategy: "Strategy | None" = None,
        allowed: str | None = None,
        dry_run: bool = False,
    ) -> "Deployment":
        """Bring what is wanted to a target, and remember what came of it.

        A signal that ends us interrupts it, so that a trial ends.
        """
        from modelci.adapters.dvc.commands import ending_signals_interrupt
        from modelci.workflows.deploy import deploy

        job = self.deployment(wanted, name, strategy=strategy, allowed=allowed)
        with ending_signals_interrupt():
            done = deploy(job, dry_run=dry_run)
        self.deployed.append(done)
        return done

    @cached_property
    def deployed(self) -> "list[Deployment]":
        """What ``deploy`` came to in this run."""
        return []

    def deploy_assigned(self, done: "Promotion | RegistryChange") -> None:
        """Deploy what was assigned, where that is to be done in the same run.

        What stands from a run before is deployed too, if that run was cut short before it.
        """
        settings = self.configuration.config.promote
        names = dict.fromkeys((*(tag.name for tag in done.tags), *done.standing))
        if not settings.deploys or not names:
            return
        from modelci.workflows.deploy_promoted import deploy_tags

        deploy_tags(
            tuple(names),
            self.stages_of_targets,
            named=settings.deploy_target,
            deploy=self.deploy,
            progress=self.progress,
        )

    def dispatch(self, done: "Promotion | RegistryChange") -> None:
        """Start the workflow that deploys what was assigned, where one is named."""
        workflow = self.configuration.config.promote.dispatch
        if workflow is None:
            return
        from modelci.workflows.dispatch import dispatch

        dispatch(
            done.tags,
            workflow,
            standing=done.standing,
            forge=self.forge,
            progress=self.progress,
        )

    def follow_up(self, promotion: "Promotion", report: "Report") -> None:
        """Do what follows the tags; none of it waits for the success of another."""
        try:
            self.dispatch(promotion)
        finally:
            try:
                self.release(promotion, report)
            finally:
                self.deploy_assigned(promotion)

    def follow_change(self, done: "Promotion | RegistryChange") -> None:
        """Do what follows tags that register nothing."""
        try:
            self.dispatch(done)
        finally:
            self.deploy_assigned(done)

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

    # -- watching --------------------------------------------------------------------------------

    def monitoring(
        self, *, remote: bool, history: bool, act: bool, write: bool = True
    ) -> "MonitorTools":
        """Return what models are watched with; without ``write`` nothing of it is remembered."""
        from modelci.adapters.asking import ProcessAsker
        from modelci.adapters.ci import bare_environment
        from modelci.adapters.dvc.bringing import FileBringer, NamedBringer
        from modelci.adapters.dvc.locate import Locator
        from modelci.adapters.scanning import DatasetScanner
        from modelci.workflows.monitor import Tools, do_nothing
        from modelci.workflows.watched import Sources

        locator = Locator(self.git.root, fetch=self._fetch)
        folder = self.folder / "brought"
        bring = FileBringer(locator, self.git.root, folder, pull=True)
        return Tools(
            sources=Sources(
                git=self.git,
                reader=self.snapshots,
                bring=NamedBringer(bring, folder),
                remote=remote,
            ),
            rows=DatasetScanner(self.git.root),
            asker=ProcessAsker(bare_environment()),
            journal=(self._journal if write else self._read_journal) if history else lambda _: None,
            config=self.configuration.config,
            progress=self.progress,
            now=self.now,
            version=self.version,
            run_url=self.context.run_url,
            act=self._take_actions if act and write else do_nothing,
        )

    def _journal(self, settings: "MonitorConfig") -> "Journal | None":
        """Return where a model's windows are remembered; None where they are not."""
        from modelci.adapters.journal import FolderJournal, GitJournal, file_name
        from modelci.workflows.watched import name_of

        if settings.history == "none":
            return None
        if settings.history != "git":
            return FolderJournal(self.git.root / settings.history / file_name(name_of(settings)))
        return GitJournal(self.git, name_of(settings), remote=self.git.remote())

    def _read_journal(self, settings: "MonitorConfig") -> "Journal | None":
        from modelci.adapters.journal import ReadOnlyJournal

        journal = self._journal(settings)
        return None if journal is None else ReadOnlyJournal(journal)

    def _take_actions(self, occasion: "Occasion") -> "Acted":
        from modelci.workflows.acting import take_actions

        return take_actions(occasion, self.acting)

    @property
    def acting(self) -> "ActingTools":
        """What it takes to do what watched windows ask for."""
        from modelci.render.monitoring.markdown import render_issue
        from modelci.render.monitoring.view import issue_title
        from modelci.workflows.acting import Tools
        from modelci.workflows.retrain import Text

        return Tools(
            root=self.git.root,
            config=self.configuration.config,
            retrain=self._retraining,
            forge=self.forge,
            alarm=lambda found, history, marker: Text(
                title=issue_title(found), body=render_issue(found, history, marker=marker)
            ),
            journal=self._journal,
            progress=self.progress,
            run_url=self.context.run_url,
        )

    def _retraining(self, history: "Sequence[Monitoring]") -> "RetrainTools":
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.dvc.retraining import DvcRetrainer
        from modelci.render.monitoring.markdown import render_pull_request
        from modelci.render.monitoring.view import pull_request_title
        from modelci.workflows.retrain import Text, Tools
        from modelci.workflows.run import run_options

        return Tools(
            git=self.git,
            forge=self.forge,
            retrainer=DvcRetrainer(
                self.git.root,
                environment=stage_environment(),
                remote=self.run_settings.remote,
                options=run_options(self.run_settings),
            ),
            describe=lambda found, done, marker: Text(
                title=pull_request_title(found),
                body=render_pull_request(
                    found, history, changed=done.changed, stages=done.stages, marker=marker
                ),
            ),
            progress=self.progress,
            default_branch=self._config_of_job.default_branch,
        )

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
        progress = self.__dict__.get("progress")  # made, if anyone has talked
        if progress is not None and hasattr(progress, "close"):
            progress.close()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

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
