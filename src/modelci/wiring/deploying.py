"""Deployments: the targets, the job, and what is said of it."""

from functools import cached_property
from typing import TYPE_CHECKING

from modelci.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelci.adapters.bell import Bell
    from modelci.adapters.targets.server import ServerTarget
    from modelci.adapters.targets.settings import TargetSettings
    from modelci.domain.deploying import Manner
    from modelci.domain.deployment import Deployment, Strategy
    from modelci.domain.orders import Wanted
    from modelci.domain.promotion import Promotion
    from modelci.domain.provenance import Provenance
    from modelci.domain.rollback import RegistryChange
    from modelci.ports import Environments, Target
    from modelci.wiring.app import App
    from modelci.workflows.deploy_checks import Surroundings
    from modelci.workflows.deploy_plan import Announce, ReadProvenance
    from modelci.workflows.deploy_plan import Job as DeployJob


class Deploying:
    def __init__(self, app: "App") -> None:
        self._app = app

    @property
    def stages(self) -> "Mapping[str, Sequence[str]]":
        """The stages that each target takes."""
        targets = self._app.configuration.config.deploy.targets
        return {name: target.stages for name, target in targets.items()}

    def target(self, name: str) -> "Target":
        """Return the target of that name."""
        from modelci.adapters.targets import connect

        return connect(self._target_settings(name))

    def server_target(self, name: str) -> "ServerTarget":
        """Return the target of that name, which is one of processes on this machine."""
        from modelci.adapters.targets.server import connect
        from modelci.config.model import TargetKind

        targets = self._app.configuration.config.deploy.targets
        if name not in targets or targets[name].kind is not TargetKind.SERVER:
            servers = [one for one, its in targets.items() if its.kind is TargetKind.SERVER]
            raise UsageError(
                f"deploy.targets has no {name!r} of kind server.",
                hint=f"There is: {', '.join(servers) or 'none'}.",
            )
        return connect(self._target_settings(name))

    def _target_settings(self, name: str) -> "TargetSettings":
        from modelci.adapters.ci import bare_environment, stage_environment
        from modelci.adapters.targets.settings import TargetSettings
        from modelci.config.model import TargetKind

        deploy = self._app.configuration.config.deploy
        config = deploy.targets[name]
        serving = self._app.serving.settings.as_json() if config.kind is TargetKind.SERVER else {}
        return TargetSettings(
            name=name,
            config=config,
            root=self._app.git.root,
            progress=self._app.progress,
            environment=stage_environment(),
            bare=bare_environment(),
            serving=serving,
            strategy=deploy.strategy,
            known=self.known_artifacts,
            remote=self._app.git.remote(),
        )

    def known_artifacts(self) -> frozenset[str]:
        """Return the artifacts that the remote's tags speak of, or this clone's."""
        from modelci.domain.tags import TagName

        remote = self._app.git.remote()
        if remote is None:
            return frozenset(tag.name.artifact for tag in self._app.git.tags(messages=False))
        names = map(TagName.parse, self._app.git.tag_ids(remote=remote))
        return frozenset(name.artifact for name in names if name is not None)

    @property
    def surroundings(self) -> "Surroundings":
        """What `modelci doctor` can see of deployments from here."""
        from modelci.adapters.ci import forge_token_names, signing_secrets
        from modelci.adapters.targets.examining import examine
        from modelci.workflows.deploy_checks import Surroundings
        from modelci.workflows.forge import choose_forge

        wanted = None
        if not self._app.has_forge():
            settings = self._app.configuration.config.forge
            try:
                kind = choose_forge(settings, self._app.context, self._app.git.remote_url()).kind
            except ConfigError:
                kind = "github"
            wanted = forge_token_names(kind)[0]
        return Surroundings(
            look=lambda name: tuple(examine(self._target_settings(name))),
            forge_token=wanted,
            has_signing_key=signing_secrets()[0] is not None,
        )

    @cached_property
    def environments(self) -> "Environments":
        """What makes environments for releases."""
        from modelci.adapters.ci import installing_environment
        from modelci.adapters.environments import VirtualEnvironments

        return VirtualEnvironments(variables=installing_environment())

    def manner(self, name: str, strategy: "Strategy | None") -> "Manner":
        """Return how a release takes over on a target; UsageError where it cannot do so."""
        deploy = self._app.configuration.config.deploy
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

        config = self._app.configuration.config
        settings = config.deploy.targets[name]
        manner = self.manner(name, strategy)
        return Job(
            request=Request(
                wanted=wanted,
                manner=manner,
                is_manner_asked=strategy is not None,
                allowed=allowed,
                by=self._app.context.actor or self._app.git.tagger(),
                run_url=self._app.context.run_url,
            ),
            tools=Tools(
                git=self._app.git.with_remote(config.promote.remote),
                reader=self._app.snapshots,
                source=self._app.stored_bytes,
                target=self.target(name),
                scan=lambda path, trust, flavour: scan_path(path, trust=trust, flavour=flavour),
                folder=self._app.folder,
                progress=self._app.progress,
                now=self._app.now,
                clock=time.monotonic,
                pause=bell.pause if bell else time.sleep,
                signatures=self._app.signing.reader,
                environments=self.environments,
                provenance=self.read_provenance,
                announce=self.announce,
                checkpoint=bell.checkpoint if bell else never_stop,
            ),
            config=self._app.config_of_job,
            settings=settings,
        )

    @property
    def read_provenance(self) -> "ReadProvenance | None":
        """Read the provenance of a version's release; None where no forge is known to have any."""
        from modelci.workflows.release import PROVENANCE

        if not self._app.has_forge():
            return None

        def read(tag: str) -> "Provenance":
            from modelci.documents.provenance import MAX_BYTES, decode_provenance

            data = self._app.forge().read_release_asset(tag, PROVENANCE, max_bytes=MAX_BYTES)
            return decode_provenance(data, source=f"{PROVENANCE} of the release {tag}")

        return read

    @property
    def announce(self) -> "Announce":
        """Tells the forge how a deployment stands, where one is known."""
        from modelci.render.deployments import headline
        from modelci.workflows.announce import announce
        from modelci.workflows.deploy_plan import tell_nobody

        if not self._app.has_forge():
            return tell_nobody
        return lambda deployment: announce(
            deployment, forge=self._app.forge, describe=headline, progress=self._app.progress
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
        """Bring what is wanted to a target, and remember what came of it."""
        from modelci.workflows.deploy import deploy

        job = self.deployment(wanted, name, strategy=strategy, allowed=allowed)
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
        settings = self._app.configuration.config.promote
        names = dict.fromkeys((*(tag.name for tag in done.tags), *done.standing))
        if not settings.deploys or not names:
            return
        from modelci.workflows.deploy_promoted import deploy_tags

        deploy_tags(
            tuple(names),
            self.stages,
            named=settings.deploy_target,
            deploy=self.deploy,
            progress=self._app.progress,
        )
