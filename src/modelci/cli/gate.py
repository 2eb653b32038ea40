"""``modelci gate``."""

from pathlib import Path

import click

from modelci.cli.options import read_report, report_option, terminal_size, verdict_code
from modelci.wiring import App


@click.command()
@report_option
@click.pass_context
def command(ctx: click.Context, report_file: Path | None) -> None:
    """Exit with the report's verdict: 0 passed, 1 blocked, 5 the pipeline had failed.

    8 says that nothing blocks but gates which the data cannot decide, and which are set to
    `inconclusive: fail` or `incomparable: fail`. 3 says that the last report is not of the commit
    and the files that are here: its verdict would be about others. A file that --report names is
    taken as it is.

    \b
    Examples:
      modelci report && modelci gate
      modelci gate --report artifacts/report.json
    """  # noqa: D301
    from modelci.errors import PipelineError
    from modelci.render.terminal import render_verdict
    from modelci.workflows.currency import require_current

    app: App = ctx.obj
    report = read_report(app, report_file)
    if report_file is None:
        require_current(report, git=app.git, reader=app.snapshots)
    click.echo(render_verdict(report, **terminal_size()), nl=False)
    if report.run is not None and not report.run.is_ok:
        ctx.exit(PipelineError.exit_code)
    ctx.exit(verdict_code(report))
