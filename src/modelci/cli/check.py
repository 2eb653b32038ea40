"""``modelci check``."""

from pathlib import Path

import click

from modelci.cli.options import artifact_options, read_report, refuse_both, report_option, setting
from modelci.wiring import App


@click.command()
@click.option("--start", is_flag=True, help="Say that the run has begun.")
@click.option("--failed", is_flag=True, help="Say that the run ended without a report.")
@report_option
@artifact_options
@click.option("--sha", help="The commit (default: the event's).")
@click.option(
    "--name",
    help=f"The check's name (default: comment.check of modelci.yaml). {setting('comment.check')}",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_obj
def command(
    app: App,
    start: bool,
    failed: bool,
    report_file: Path | None,
    artifact: str | None,
    artifact_file: str,
    sha: str | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Show the verdict as a check beside the commit.

    With --start before the run; without it, once the report is there. A run that left no report
    that can be read has failed. What the data cannot decide, and what only a fork's run says, is
    neutral. GitHub needs GITHUB_TOKEN and, in Actions, `permissions: checks: write`; where check
    runs are not to be had, a commit status says the same. The exit code is 0 once it is set.

    \b
    Examples:
      modelci check --start
      modelci check
      modelci check --artifact modelci     # in a workflow on workflow_run
    """  # noqa: D301
    import json

    from modelci.workflows import check
    from modelci.workflows.handover import find_cause, take_report

    refuse_both({"--start": start, "--failed": failed})
    refuse_both({"--report": report_file is not None, "--artifact": artifact is not None})
    app.set_flags({"comment.check": name})
    label = app.configuration.config.comment.check
    if not label:
        click.echo("null" if as_json else "comment.check is empty: no check is wanted.")
        return
    subject = check.find_subject(app.context, label, sha)
    if artifact is not None:
        find_cause(app.context)  # a usage error is not the pipeline's crash
    forge = app.forge()
    if start:
        found = check.started(subject)
    elif failed:
        found = check.crashed(subject)
    else:
        found = check.ended(
            subject,
            lambda: (
                take_report(forge, app.context, artifact, artifact_file)
                if artifact is not None
                else read_report(app, report_file)
            ),
            cause=app.context.cause,
            describe=app.reporting.describe,
            progress=app.progress,
        )
    posted = forge.set_check(found)
    shown = {
        "name": found.name,
        "status": found.status,
        "title": found.title,
        "kind": posted.kind,
        "url": posted.url,
    }
    status = str(found.status).replace("_", " ")
    where = f" ({posted.url})" if posted.url else ""
    click.echo(json.dumps(shown) if as_json else f"{found.name}: {status}. {found.title}{where}")
