"""``modelci doctor``."""

import click

from modelci.wiring import App


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the examination document.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this project's set-up and name what would fix it.

    Git, DVC, the DVC remote, dvc.lock, modelci.yaml and its gates, artifacts, tags, and the
    workflows' permissions. Exits with 3 where something stands in the way.

    \b
    Examples:
      modelci doctor
      modelci doctor --json
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.errors import ConfigError
    from modelci.workflows.doctor import examine

    app: App = ctx.obj
    examination = examine(
        git=lambda: app.git,
        reader=lambda: app.snapshots,
        pipeline=lambda: app.pipeline,
        configuration=lambda: app.configuration,
        context=app.context,
    )
    print_document(examination, as_json=as_json)
    ctx.exit(0 if examination.is_ok else ConfigError.exit_code)
