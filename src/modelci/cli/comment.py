"""``modelci comment``."""

from pathlib import Path

import click

from modelci.cli.options import read_report, report_option
from modelci.wiring import App


@click.command()
@report_option
@click.option("--pr", "number", type=click.IntRange(min=1), help="The pull request's number.")
@click.option("--id", "identity", help="Which comment to keep (default: one per workflow and job).")
@click.option("--dry-run", is_flag=True, help="Print the comment instead of posting it.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_obj
def command(
    app: App,
    report_file: Path | None,
    number: int | None,
    identity: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Post the report on its pull request, in one comment that is updated in place.

    The pull request is the event's or --pr's, never the document's. An equal comment is left
    alone. GitHub needs GITHUB_TOKEN and, in Actions, `permissions: pull-requests: write`.

    \b
    Examples:
      modelci comment
      modelci comment --pr 17 --report report.json
      modelci comment --dry-run
    """  # noqa: D301
    import json

    from modelci.adapters.ci import write_outputs
    from modelci.workflows import comment

    report = read_report(app, report_file)
    marker = comment.marker(app.context, identity)
    body = app.render_comment(report, marker)
    if dry_run:
        click.echo(body)
        return
    posted = comment.post(
        report,
        body,
        number=comment.find_number(app.context, number),
        marker=marker,
        context=app.context,
        forge=app.forge(),
    )
    if posted is None:
        click.echo(json.dumps(None) if as_json else "Nothing changed: no comment was posted.")
        return
    write_outputs({"comment-url": posted.url})
    shown = {"action": posted.action, "url": posted.url}
    click.echo(json.dumps(shown) if as_json else f"Comment {posted.action}: {posted.url}")
