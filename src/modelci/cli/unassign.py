"""``modelci unassign``."""

import click

from modelci.cli.changes import carry_out, change_options, parse_target
from modelci.domain.tags import Action
from modelci.wiring import App


@click.command()
@click.argument("stage", metavar="NAME#STAGE")
@change_options
@click.pass_obj
def command(
    app: App,
    stage: str,
    reason: str,
    by: str | None,
    sign: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take a stage from the version that holds it, by one more tag, NAME#STAGE!#N.

    What held the stage before, if it is still active, holds it again. DVC itself does not heed
    such tags: `modelci rollback` assigns the older version so that DVC sees it too.

    \b
    Examples:
      modelci unassign credit#staging --reason "the test is over"
    """  # noqa: D301
    target = parse_target(stage, Action.ASSIGN, like="credit#staging")
    carry_out(
        app,
        "unassign",
        target.artifact,
        stage=target.stage,
        reason=reason,
        by=by,
        sign=sign,
        dry_run=dry_run,
        as_json=as_json,
    )
