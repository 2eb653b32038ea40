"""``modelci plan``."""

from pathlib import Path

import click

from modelci.wiring import App


@click.command()
@click.argument("targets", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the plan document.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a Mermaid flowchart.")
@click.option(
    "--matrix", type=click.Choice(["github", "gitlab"]), help="Print a job matrix of the waves."
)
@click.option("--wave", type=click.IntRange(min=1), help="Only this wave of --matrix.")
@click.option(
    "--shards", type=click.IntRange(min=1), default=4, help="Jobs of a wave at most (default: 4)."
)
@click.option(
    "--last-run",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run document: shares are balanced by its seconds. The same one in every job.",
)
@click.pass_obj
def command(
    app: App,
    targets: tuple[str, ...],
    as_json: bool,
    as_mermaid: bool,
    matrix: str | None,
    wave: int | None,
    shards: int,
    last_run: Path | None,
) -> None:
    """Say what a run would do, without running anything.

    \b
    Examples:
      modelci plan
      modelci plan evaluate --json
      modelci plan --mermaid > plan.mmd
      echo "waves=$(modelci plan --matrix github)" >> "$GITHUB_OUTPUT"
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.domain.pipeline import RunOptions

    targets = app.targets(targets)
    if as_json + as_mermaid + bool(matrix) > 1:
        raise click.UsageError("--json, --mermaid and --matrix are several answers: ask for one.")
    if matrix is not None:
        from modelci.render.matrix import MATRICES
        from modelci.workflows.run import last_seconds
        from modelci.workflows.shards import share_waves

        seconds = last_seconds(last_run) if last_run else {}
        waves = share_waves(app.pipeline, targets, shards, seconds)
        click.echo(MATRICES[matrix](waves, wave=wave).rstrip("\n"))
        return
    plan = app.pipeline.plan(targets, RunOptions())
    if as_mermaid:
        from modelci.render.mermaid import render_plan

        click.echo(render_plan(plan), nl=False)
        return
    print_document(plan, as_json=as_json)
