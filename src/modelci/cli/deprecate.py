"""``modelci deprecate``."""

import click

from modelci.cli.changes import carry_out, change_options
from modelci.wiring import App


@click.command()
@click.argument("name")
@change_options
@click.pass_obj
def command(
    app: App,
    name: str,
    reason: str,
    by: str | None,
    sign: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Mark an artifact as no longer in use, by one more tag, NAME@deprecated#N.

    Any later tag of it makes it active again. DVC itself does not heed such tags.

    \b
    Examples:
      modelci deprecate credit-old --reason "replaced by credit"
    """  # noqa: D301
    carry_out(
        app,
        "deprecate",
        name,
        reason=reason,
        by=by,
        sign=sign,
        dry_run=dry_run,
        as_json=as_json,
    )
