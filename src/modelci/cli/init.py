"""``modelci init``."""

import click

from modelci.wiring import App


@click.command()
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.pass_obj
def command(app: App, force: bool) -> None:
    """Write modelci.yaml and workflows into this DVC repository.

    The gates are proposed from the metrics that are there. Nothing is asked, and nothing that
    exists is overwritten without --force.

    \b
    Examples:
      modelci init && git diff
      modelci doctor
    """  # noqa: D301
    from modelci.workflows.init import initialise

    done = initialise(git=app.git, reader=app.snapshots, default_branch=None, force=force)
    for path in done.written:
        click.echo(f"Wrote {path}")
    for path in done.kept:
        click.echo(f"Kept {path}: it is there already (--force overwrites)", err=True)
    click.echo("Next: look them over, commit them, and run `modelci doctor`.", err=True)
