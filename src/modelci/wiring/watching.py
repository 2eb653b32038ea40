"""What deployed models are watched with, and what is done about them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelci.config.model import MonitorConfig
    from modelci.domain.monitoring import Monitoring
    from modelci.ports import Journal
    from modelci.wiring.app import App
    from modelci.workflows.acting import Acted
    from modelci.workflows.acting import Tools as ActingTools
    from modelci.workflows.monitor import Occasion
    from modelci.workflows.monitor import Tools as MonitorTools
    from modelci.workflows.retrain import Tools as RetrainTools


class Watching:
    def __init__(self, app: "App") -> None:
        self._app = app

    def monitoring(
        self, *, remote: bool, history: bool, act: bool, write: bool = True
    ) -> "MonitorTools":
        """Return what models are watched with; without ``write`` nothing of it is remembered."""
        from modelci.adapters.asking import ProcessAsker
        from modelci.adapters.ci import bare_environment
        from modelci.adapters.dvc.bringing import FileBringer, NamedBringer
        from modelci.adapters.scanning import DatasetScanner
        from modelci.workflows.monitor import Tools, do_nothing
        from modelci.workflows.watched import Sources

        folder = self._app.folder / "brought"
        bring = FileBringer(self._app.locator, self._app.git.root, folder, pull=True)
        return Tools(
            sources=Sources(
                git=self._app.git,
                reader=self._app.snapshots,
                bring=NamedBringer(bring, folder),
                remote=remote,
            ),
            rows=DatasetScanner(self._app.git.root),
            asker=ProcessAsker(bare_environment()),
            journal=(self._journal if write else self._read_journal) if history else lambda _: None,
            config=self._app.configuration.config,
            progress=self._app.progress,
            now=self._app.now,
            version=self._app.version,
            run_url=self._app.context.run_url,
            act=self._take_actions if act and write else do_nothing,
        )

    def _journal(self, settings: "MonitorConfig") -> "Journal | None":
        """Return where a model's windows are remembered; None where they are not."""
        from modelci.adapters.journal import FolderJournal, GitJournal, file_name
        from modelci.workflows.watched import name_of

        if settings.history == "none":
            return None
        if settings.history != "git":
            return FolderJournal(
                self._app.git.root / settings.history / file_name(name_of(settings))
            )
        return GitJournal(self._app.git, name_of(settings), remote=self._app.git.remote())

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
            root=self._app.git.root,
            config=self._app.configuration.config,
            retrain=self._retraining,
            forge=self._app.forge,
            alarm=lambda found, history, marker: Text(
                title=issue_title(found), body=render_issue(found, history, marker=marker)
            ),
            journal=self._journal,
            progress=self._app.progress,
            run_url=self._app.context.run_url,
        )

    def _retraining(self, history: "Sequence[Monitoring]") -> "RetrainTools":
        from modelci.adapters.ci import stage_environment
        from modelci.adapters.dvc.retraining import DvcRetrainer
        from modelci.render.monitoring.markdown import render_pull_request
        from modelci.render.monitoring.view import pull_request_title
        from modelci.workflows.retrain import Text, Tools
        from modelci.workflows.run import run_options

        return Tools(
            git=self._app.git,
            forge=self._app.forge,
            retrainer=DvcRetrainer(
                self._app.git.root,
                environment=stage_environment(),
                remote=self._app.run_settings.remote,
                options=run_options(self._app.run_settings),
            ),
            describe=lambda found, done, marker: Text(
                title=pull_request_title(found),
                body=render_pull_request(
                    found, history, changed=done.changed, stages=done.stages, marker=marker
                ),
            ),
            progress=self._app.progress,
            default_branch=self._app.config_of_job.default_branch,
        )
