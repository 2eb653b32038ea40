"""``modelci rollback``."""

import click

from modelci.cli.changes import carry_out, change_options, parse_stage, parse_version
from modelci.wiring import App


@click.command()
@click.argument("name", metavar="NAME#STAGE")
@click.option("--stage", help="The stage to roll back, where NAME stands alone.")
@click.option(
    "--to",
    metavar="VERSION",
    help="The version to go back to (default: the one that held the stage before).",
)
@click.option(
    "--allow",
    metavar="REASON",
    help="Go back to the version of --to although it bears no signature, or its bytes are not "
    "found; the tag keeps why.",
)
@change_options
@click.pass_obj
def command(
    app: App,
    name: str,
    stage: str | None,
    to: str | None,
    allow: str | None,
    reason: str,
    by: str | None,
    sign: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Assign an older version to a stage again, and hold the stage there.

    The older version is assigned anew, NAME#STAGE#N, as GTO, DVC and CI's triggers all see it;
    nothing is deleted or moved. Until `modelci release-hold`, promotions leave the stage alone.
    Asked for twice, it is done once: to go further back, name the version. A version that the rules
    keep out, such as one from before signatures were required, takes --to and --allow.

    \b
    Examples:
      modelci rollback credit#prod --reason "recall fell in the north"
      modelci rollback credit --stage prod --to v1.2.2 --reason "#412" --dry-run
    """  # noqa: D301
    name, stage = parse_stage(name, stage)
    carry_out(
        app,
        "rollback",
        name,
        stage=stage,
        to=parse_version(to) if to else None,
        reason=reason,
        by=by,
        sign=sign,
        dry_run=dry_run,
        as_json=as_json,
        allowed=allow,
    )
