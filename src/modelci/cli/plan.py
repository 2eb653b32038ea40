"""``modelci plan``."""

import click

from modelci.wiring import App


@click.command()
@click.argument("targets", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the plan document.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a Mermaid flowchart.")
@click.pass_obj
def command(app: App, targets: tuple[str, ...], as_json: bool, as_mermaid: bool) -> None:
    """Say what a run would do, without running anything.

    \b
    Examples:
      modelci plan
      modelci plan evaluate --json
      modelci plan --mermaid >> "$GITHUB_STEP_SUMMARY"
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.domain.pipeline import RunOptions

    if as_json and as_mermaid:
        raise click.UsageError("--json and --mermaid are two answers: ask for one.")
    plan = app.pipeline.plan(targets, RunOptions())
    if as_mermaid:
        from modelci.render.mermaid import render_plan

        click.echo(render_plan(plan), nl=False)
        return
    print_document(plan, as_json=as_json)
