"""``modelci gate``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import read_report, report_option, terminal_size, verdict_code
from modelci.cli.talking import note
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.report import Report


@click.command()
@report_option
@click.pass_context
def command(ctx: click.Context, report_file: Path | None) -> None:
    """Exit with the report's verdict: 0 passed, 1 blocked, 5 the pipeline had failed.

    8 says that nothing blocks but gates which the data cannot decide, and which are set to
    `inconclusive: fail` or `incomparable: fail`.

    \b
    Examples:
      modelci report && modelci gate
      modelci gate --report artifacts/report.json
    """  # noqa: D301
    from modelci.errors import PipelineError
    from modelci.render.terminal import render_verdict

    app: App = ctx.obj
    report = read_report(app, report_file)
    click.echo(render_verdict(report, **terminal_size()), nl=False)
    if report_file is None:
        _warn_if_old(app, report)
    if report.run is not None and not report.run.is_ok:
        ctx.exit(PipelineError.exit_code)
    ctx.exit(verdict_code(report))


def _warn_if_old(app: App, report: "Report") -> None:
    """Say that the work tree has moved on since the report of this clone was written."""
    head = app.git.head()
    if head is not None and (report.head.sha, report.head.dirty) != (head.sha, app.git.is_dirty()):
        note(
            f"Note: the report is of {(report.head.sha or 'no commit')[:7]}"
            f"{' with changes' if report.head.dirty else ''}; `modelci report` makes a new one."
        )
