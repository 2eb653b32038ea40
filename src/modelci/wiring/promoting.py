"""What goes with tags that are made: records, releases, and what follows them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelci.domain.promotion import Promotion
    from modelci.domain.report import Report
    from modelci.domain.rollback import RegistryChange
    from modelci.ports import Forge
    from modelci.wiring.app import App


class Promoting:
    def __init__(self, app: "App") -> None:
        self._app = app

    def records(self) -> "Forge | None":
        """The forge to record promotions on, where that is wanted."""
        from modelci.config.model import ForgeKind

        config = self._app.configuration.config
        wanted = config.promote.releases or config.forge.kind is ForgeKind.LOCAL
        return self._app.forge() if wanted else None

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """The labels of a merge; none where no forge is known, or there is no token to ask it."""
        return self._app.forge().labels_of(sha) if self._app.has_forge() else ()

    def follow_up(self, promotion: "Promotion", report: "Report") -> None:
        """Do what follows the tags; none of it waits for the success of another."""
        try:
            self.dispatch(promotion)
        finally:
            try:
                self.release(promotion, report)
            finally:
                self._app.deploying.deploy_assigned(promotion)

    def follow_change(self, done: "Promotion | RegistryChange") -> None:
        """Do what follows tags that register nothing."""
        try:
            self.dispatch(done)
        finally:
            self._app.deploying.deploy_assigned(done)

    def dispatch(self, done: "Promotion | RegistryChange") -> None:
        """Start the workflow that deploys what was assigned, where one is named."""
        workflow = self._app.configuration.config.promote.dispatch
        if workflow is None:
            return
        from modelci.workflows.dispatch import dispatch

        dispatch(
            done.tags,
            workflow,
            standing=done.standing,
            forge=self._app.forge,
            progress=self._app.progress,
        )

    def release(self, promotion: "Promotion", report: "Report") -> None:
        """Publish the releases of what was promoted, where that is wanted."""
        config = self._app.configuration.config
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
            git=self._app.git,
            reader=self._app.snapshots,
            stored=self._app.stored_bytes,
            forge=self._app.forge(),
            press=Press(
                notes=lambda notes: render_notes(notes, max_bytes=most),
                card=render_card,
                page=lambda shown: render_page(
                    shown, title=title, overrides=self._app.reporting.templates(shown)
                ),
                report=lambda shown: encode(shown).encode(),
                provenance=encode_provenance,
            ),
            builder=Builder(provider=self._app.context.provider, version=self._app.version),
            config=config,
            progress=self._app.progress,
        )
