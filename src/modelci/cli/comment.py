"""``modelci comment``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import artifact_options, read_report, refuse_both, report_option, setting
from modelci.config.model import CommentMode
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.report import Report
    from modelci.workflows.comment import Posting


@click.command()
@report_option
@artifact_options
@click.option(
    "--pr",
    "number",
    type=click.IntRange(min=1),
    help="The pull request's number (default: the event's).",
)
@click.option("--id", "identity", help="Which comment to keep (default: one per workflow and job).")
@click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in CommentMode]),
    help=f"What becomes of an earlier comment (default: update). {setting('comment.mode')}",
)
@click.option(
    "--on-change-only/--always",
    default=None,
    help="Begin no comment where nothing changed; one that is there is updated "
    f"(default: always). {setting('comment.on_change_only')}",
)
@click.option("--dry-run", is_flag=True, help="Print the comment instead of posting it.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_obj
def command(
    app: App,
    report_file: Path | None,
    artifact: str | None,
    artifact_file: str,
    number: int | None,
    identity: str | None,
    mode: str | None,
    on_change_only: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Post the report on its pull request, in one comment that is updated in place.

    The pull request is the event's or --pr's, never the document's. An equal comment is left
    alone, and so is one of a newer run; a report of a head that is no longer the pull request's
    is not posted. GitHub needs GITHUB_TOKEN and, in Actions, `permissions: pull-requests: write`.

    With --artifact, in a workflow on `workflow_run`, the report is read from the run that caused
    it, and the pull request found by that run's branch and commit (`actions: read` too).

    \b
    Examples:
      modelci comment
      modelci comment --pr 17 --report report.json
      modelci comment --artifact modelci
      modelci comment --dry-run
    """  # noqa: D301
    from modelci.adapters.ci import write_outputs
    from modelci.workflows import comment
    from modelci.workflows.handover import NothingToPostError, receive

    refuse_both({"--artifact": artifact is not None, "--report": report_file is not None})
    refuse_both({"--artifact": artifact is not None, "--pr": number is not None})
    app.set_flags({"comment.mode": mode, "comment.on_change_only": on_change_only})
    if dry_run and artifact is None:
        click.echo(_body(app, read_report(app, report_file), identity))
        return
    if artifact is None:
        report = read_report(app, report_file)
        found = comment.find_number(app.context, number)
        forge = app.forge()
        pull = comment.find_pull_request(forge, app.context, found)
    else:
        forge = app.forge()
        try:
            report, pull = receive(forge, app.context, artifact, artifact_file)
        except NothingToPostError as nothing:
            _present(comment.Posting(action="none", reason=str(nothing)), as_json=as_json)
            return
    if dry_run:
        click.echo(_body(app, report, identity))
        return
    posted = comment.post(report, pull, app.reporting.desk(forge, identity))
    if posted.url:
        write_outputs({"comment-url": posted.url})
    _present(posted, as_json=as_json)


def _body(app: App, report: "Report", identity: str | None) -> str:
    from modelci.workflows.comment import marker

    return app.reporting.render_comment(report, marker(app.context, identity))


def _present(posted: "Posting", *, as_json: bool) -> None:
    import json

    shown = {"action": posted.action, "url": posted.url, "reason": posted.reason or None}
    click.echo(json.dumps(shown) if as_json else say(posted))


def say(posted: "Posting") -> str:
    """Return what was done in a sentence."""
    match posted.action:
        case "none":
            return f"No comment was posted. {posted.reason}"
        case "outdated":
            return f"Outdated, so nothing was posted. {posted.reason}"
        case _:
            return f"Comment {posted.action}: {posted.url}"
