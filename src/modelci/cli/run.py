"""``modelci run``."""

from dataclasses import replace

import click

from modelci.errors import PipelineError
from modelci.wiring import App


@click.command()
@click.argument("targets", nargs=-1)
@click.option(
    "--jobs", "-j", type=click.IntRange(min=1), help="Stages to run at a time (default: cores)."
)
@click.option("--pull/--no-pull", default=None, help="Restore from the DVC remote before running.")
@click.option("--push/--no-push", default=None, help="Upload results and run cache afterwards.")
@click.option("--force", "-f", is_flag=True, help="Run stages even if nothing changed.")
@click.option("--keep-going", "-k", is_flag=True, help="Go on with what a failure leaves possible.")
@click.option("--downstream", is_flag=True, help="Also run what depends on the targets.")
@click.option("--single-item", "-s", is_flag=True, help="Run just the targets.")
@click.option("--no-run-cache", is_flag=True, help="Run again what past runs have recorded.")
@click.option("--dry-run", "--dry", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--gpus", type=click.IntRange(min=0), help="GPUs to share (default: those found).")
@click.option(
    "--executor", type=click.Choice(["local", "dask"]), help="Where stages run (default: here)."
)
@click.option("--address", help="A running Dask scheduler, such as tcp://scheduler:8786.")
@click.option("--json", "as_json", is_flag=True, help="Print the run document.")
@click.pass_obj
def command(
    app: App,
    targets: tuple[str, ...],
    jobs: int | None,
    pull: bool | None,
    push: bool | None,
    force: bool,
    keep_going: bool,
    downstream: bool,
    single_item: bool,
    no_run_cache: bool,
    dry_run: bool,
    gpus: int | None,
    executor: str | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Run the pipeline: only what is out of date, and say why.

    TARGETS are stages or dvc.yaml files (default: the dvc.yaml here, with all it needs).
    What the run cache holds is restored instead of run. The document is .modelci/run.json.

    \b
    Examples:
      modelci run
      modelci run evaluate --pull -j 4
      modelci run --keep-going --push
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.documents import codec
    from modelci.workflows.run import last_seconds, run_options, run_pipeline

    app.set_flags(
        {
            "run.pull": pull,
            "run.push": push,
            "run.run_cache": "off" if no_run_cache else None,
            "executor.kind": executor,
            "executor.address": address,
        }
    )
    document = app.folder / "run.json"
    options = replace(
        run_options(app.run_settings),
        jobs=jobs,
        force=force,
        keep_going=keep_going,
        downstream=downstream,
        single_item=single_item,
        gpus=gpus,
        last_seconds=last_seconds(document),
    )
    if dry_run:
        print_document(app.pipeline.plan(targets, options), as_json=as_json)
        return
    with app.executor() as elsewhere:
        run = run_pipeline(
            git=app.git,
            pipeline=app.pipeline,
            progress=app.progress,
            now=app.now,
            version=app.version,
            targets=targets,
            options=options,
            executor=elsewhere,
        )
    codec.write(run, document)
    print_document(run, as_json=as_json)
    if run.failed:
        names = ", ".join(stage.name for stage in run.failed)
        raise PipelineError(f"Failed: {names}.", hint="The log's end is in .modelci/run.json.")
    if run.error:
        raise PipelineError(run.error)
