"""``modelci doctor``."""

from typing import TYPE_CHECKING

import click

from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.config.model import Config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the examination document.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this project's set-up and name what would fix it.

    Git, DVC, the DVC remote, dvc.lock, modelci.yaml and its gates, artifacts, tags, the targets of
    deployments as this machine sees them, and the workflows' permissions; it scans the models that
    are here as a report does, and tries the evaluation, slices, data checks and templates of
    modelci.yaml on the files that are here. Exits with 3 where something stands in the way.

    \b
    Examples:
      modelci doctor
      modelci doctor --json
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.errors import ConfigError
    from modelci.workflows.doctor import examine

    app: App = ctx.obj
    examination = examine(
        git=lambda: app.git,
        reader=lambda: app.snapshots,
        pipeline=lambda: app.pipeline,
        configuration=lambda: app.configuration,
        context=app.context,
        tables=lambda: app.tables,
        progress=app.progress,
        templates=lambda config: _render(app, config),
        remotes=app.data_remotes,
        around=lambda: app.deploying.surroundings,
        scanner=lambda: app.model_scanner,
    )
    print_document(examination, as_json=as_json)
    ctx.exit(0 if examination.is_ok else ConfigError.exit_code)


def _render(app: App, config: "Config") -> None:
    """Render a report on the work tree with its own templates; ConfigError says what is wrong."""
    from modelci.domain.events import CIContext
    from modelci.errors import ConfigError
    from modelci.render.html import render_page
    from modelci.render.markdown import render_comment
    from modelci.render.templating import Overrides
    from modelci.workflows.report import make_report
    from modelci.workflows.templates import read_templates

    folder, head = config.report.templates or "", app.git.head()
    files = read_templates(app.git.work_tree(), folder)
    if not files:
        raise ConfigError(
            f"{folder} holds no templates.",
            hint="Put comment.md.j2 or page.html.j2 there (see docs/reports.md).",
        )
    report = make_report(
        git=app.git,
        reader=app.snapshots,
        config=config,
        context=CIContext(),
        progress=app.progress,
        now=app.now,
        version=app.version,
        base=head.sha if head else None,
    )
    overrides, settings = Overrides(folder=folder, files=files), config.report
    try:
        render_comment(
            report,
            title=settings.title,
            marker="<!-- doctor -->",
            max_bytes=settings.max_bytes,
            overrides=overrides,
        )
    except ValueError as error:
        raise ConfigError(
            f"report.max_bytes is too small. {error}", hint="16384 bytes hold any verdict."
        ) from error
    render_page(report, title=settings.title, overrides=overrides)
