"""``modelci deregister``."""

import click

from modelci.cli.changes import carry_out, change_options, parse_target
from modelci.domain.tags import Action
from modelci.wiring import App


@click.command()
@click.argument("version", metavar="NAME@VERSION")
@click.option("--force", is_flag=True, help="Also a version that holds a stage.")
@change_options
@click.pass_obj
def command(
    app: App,
    version: str,
    force: bool,
    reason: str,
    by: str | None,
    sign: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Withdraw a version by one more tag, NAME@VERSION!#N.

    A version that holds a stage is refused: roll the stage back first, or give --force, which
    lets the stage fall back to what held it before. DVC itself does not heed such tags.

    \b
    Examples:
      modelci deregister credit@v1.2.3 --reason "trained on leaked rows"
    """  # noqa: D301
    target = parse_target(version, Action.REGISTER, like="credit@v1.2.3")
    carry_out(
        app,
        "deregister",
        target.artifact,
        to=target.version,
        force=force,
        reason=reason,
        by=by,
        sign=sign,
        dry_run=dry_run,
        as_json=as_json,
    )
