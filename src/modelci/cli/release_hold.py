"""``modelci release-hold``."""

import click

from modelci.cli.changes import carry_out, change_options, parse_stage
from modelci.wiring import App


@click.command("release-hold")
@click.argument("name", metavar="NAME#STAGE")
@click.option("--stage", help="The stage that a rollback holds, where NAME stands alone.")
@change_options
@click.pass_obj
def command(
    app: App,
    name: str,
    stage: str | None,
    reason: str,
    by: str | None,
    sign: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let promotions assign a stage again that a rollback holds.

    Who holds the stage stays the same: it is assigned once more, with the release in the tag.

    \b
    Examples:
      modelci release-hold credit#prod --reason "fixed by #415"
    """  # noqa: D301
    name, stage = parse_stage(name, stage)
    carry_out(
        app,
        "release-hold",
        name,
        stage=stage,
        reason=reason,
        by=by,
        sign=sign,
        dry_run=dry_run,
        as_json=as_json,
    )
