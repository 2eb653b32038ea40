"""How reports are shown: the comment, the page, pictures, a check."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelci.errors import ConfigError

if TYPE_CHECKING:
    from modelci.domain.report import Report
    from modelci.ports import Forge
    from modelci.render.templating import Overrides
    from modelci.wiring.app import App
    from modelci.workflows.comment import Desk

_CHECK_TITLE = 400
_CHECK_BYTES = 16_384  # of a check's page: enough for any verdict


class Reporting:
    def __init__(self, app: "App") -> None:
        self._app = app

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

        settings = self._app.configuration.config.report
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
        folder = self._app.configuration.config.report.templates
        if folder is None:
            return None
        from modelci.domain.events import EventKind
        from modelci.render.templating import Overrides
        from modelci.workflows.templates import read_templates

        base = report.base.sha if report.base else None
        proposed = self._app.context.event is EventKind.PULL_REQUEST
        if proposed and base and not self._app.git.has(base):
            self._app.progress.warn(f"The base is not in this clone: {folder} of it is not used.")
            return None
        tree = self._app.git.tree(base) if proposed and base else self._app.git.work_tree()
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

        title = self._app.configuration.config.report.title
        page = render_summary(report, title=title, max_bytes=_CHECK_BYTES)
        # Forges take a check's title as it is, and so does the log: no mention, no command.
        line = terminal(sentence(digest(report).headline), _CHECK_TITLE)
        return line.replace("@", "@\u200b"), page

    def desk(self, forge: "Forge", identity: str | None) -> "Desk":
        """Return what it takes to write a comment."""
        from modelci.workflows.comment import Desk

        return Desk(
            forge=forge,
            settings=self._app.configuration.config.comment,
            context=self._app.context,
            render=self.render_comment,
            draw=self.draw,
            progress=self._app.progress,
            identity=identity,
        )
