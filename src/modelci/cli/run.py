"""``modelci run``."""

import click

from modelci.errors import PipelineError
from modelci.wiring import App


@click.command()
@click.argument("targets", nargs=-1)
@click.option("--pull/--no-pull", default=None, help="Restore from the DVC remote before running.")
@click.option("--push/--no-push", default=None, help="Upload results and run cache afterwards.")
@click.option("--force", "-f", is_flag=True, help="Run stages even if nothing changed.")
@click.option("--keep-going", "-k", is_flag=True, help="Go on with what a failure leaves possible.")
@click.option("--json", "as_json", is_flag=True, help="Print the run document.")
@click.pass_obj
def command(
    app: App,
    targets: tuple[str, ...],
    pull: bool | None,
    push: bool | None,
    force: bool,
    keep_going: bool,
    as_json: bool,
) -> None:
    """Run the pipeline: only what is out of date, and say why.

    TARGETS are stages or dvc.yaml files (default: the dvc.yaml here, with all it needs).
    What the run cache holds is restored instead of run. The document is .modelci/run.json.

    \b
    Examples:
      modelci run
      modelci run evaluate --pull
      modelci run --keep-going --push
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.documents import codec
    from modelci.workflows.run import run_pipeline

    app.set_flags({"run.pull": pull, "run.push": push})
    settings = app.configuration.config.run
    run = run_pipeline(
        git=app.git,
        pipeline=app.pipeline,
        progress=app.progress,
        now=app.now,
        version=app.version,
        targets=targets,
        pull=settings.pull,
        push=settings.push,
        force=force,
        keep_going=keep_going,
    )
    codec.write(run, app.folder / "run.json")
    print_document(run, as_json=as_json)
    if run.failed:
        names = ", ".join(stage.name for stage in run.failed)
        raise PipelineError(f"Failed: {names}.", hint="The log's end is in .modelci/run.json.")
    if run.error:
        raise PipelineError(run.error)
