"""``modelci run``."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import setting, terminal_size
from modelci.errors import PipelineError
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.pipeline import Run, RunOptions

PARTS = "parts"
"""The folder in .modelci of the documents of a pipeline's jobs."""


@click.command()
@click.argument("targets", nargs=-1)
@click.option(
    "--jobs", "-j", type=click.IntRange(min=1), help="Stages to run at a time (default: cores)."
)
@click.option(
    "--pull/--no-pull",
    default=None,
    help=f"Restore from the DVC remote before running. {setting('run.pull')}",
)
@click.option(
    "--push/--no-push",
    default=None,
    help=f"Upload results and run cache afterwards. {setting('run.push')}",
)
@click.option("--force", "-f", is_flag=True, help="Run stages even if nothing changed.")
@click.option("--keep-going", "-k", is_flag=True, help="Go on with what a failure leaves possible.")
@click.option("--downstream", is_flag=True, help="Also run what depends on the targets.")
@click.option("--single-item", "-s", is_flag=True, help="Run just the targets.")
@click.option("--no-run-cache", is_flag=True, help="Run again what past runs have recorded.")
@click.option("--dry-run", "--dry", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--gpus", type=click.IntRange(min=0), help="GPUs to share (default: those found).")
@click.option(
    "--executor",
    type=click.Choice(["local", "dask"]),
    help=f"Where stages run (default: here). {setting('executor.kind')}",
)
@click.option(
    "--address",
    help=f"A running Dask scheduler, such as tcp://scheduler:8786. {setting('executor.address')}",
)
@click.option("--shard", metavar="K/N", help="Run the K-th of N jobs' share of a wave, and push.")
@click.option(
    "--wave", type=click.IntRange(min=1), help="The wave of --shard (default: the first not done)."
)
@click.option(
    "--last-run",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run document: shares are balanced by its seconds. The same one in every job.",
)
@click.option(
    "--collect", is_flag=True, help="Gather what other jobs did: TARGETS are their documents."
)
@click.option(
    "--timeline",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write when each stage ran: a trace (.json) for Perfetto, or a page (.html).",
)
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
    shard: str | None,
    wave: int | None,
    last_run: Path | None,
    collect: bool,
    timeline: Path | None,
    as_json: bool,
) -> None:
    """Run the pipeline: only what is out of date, and say why.

    TARGETS are stages or dvc.yaml files, with all they need (default: every dvc.yaml of the
    repository). What the run cache holds is restored instead of run. The document is
    .modelci/run.json.

    \b
    Examples:
      modelci run
      modelci run evaluate --pull -j 4
      modelci run --keep-going --push
      modelci run --timeline run.html
      modelci run --shard 2/3 --wave 1    # in a job of `modelci plan --matrix`
      modelci run --collect               # after those jobs: their documents in .modelci/parts
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.workflows.run import last_seconds, run_options, run_pipeline

    if wave is not None and shard is None:
        raise click.UsageError("--wave is for --shard.")
    targets = targets if collect else app.targets(targets)
    if timeline is not None:
        _check_timeline(timeline, is_run=not dry_run)
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
    settled = app.settled_run
    if settled.doubt is not None:
        app.progress.warn(f"{settled.doubt} `modelci doctor` says what to do.")
    options = replace(
        run_options(settled.run),
        jobs=jobs,
        force=force,
        keep_going=keep_going,
        downstream=downstream,
        single_item=single_item,
        gpus=gpus,
        last_seconds=last_seconds(last_run or document),
    )
    if shard is not None:
        options = replace(options, last_seconds=last_seconds(last_run) if last_run else {})
        document, run = _run_shard(app, shard, wave, targets, options)
        _finish(app, run, document, as_json=as_json, timeline=timeline)
        return
    if collect:
        _finish(app, _collect(app, targets, options), document, as_json=as_json, timeline=timeline)
        return
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
    _finish(app, run, document, as_json=as_json, timeline=timeline)


def _run_shard(
    app: App, text: str, wave: int | None, targets: tuple[str, ...], options: "RunOptions"
) -> "tuple[Path, Run]":
    from modelci.domain.waves import Shard
    from modelci.workflows.shards import run_shard

    try:
        shard = Shard.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--shard: {error}.") from error
    number, run = run_shard(
        shard,
        wave=wave,
        git=app.git,
        pipeline=app.pipeline,
        progress=app.progress,
        now=app.now,
        version=app.version,
        targets=targets,
        options=options,
    )
    name = f"wave-{number}-{shard.number}-of-{shard.of}.json"
    return app.folder / PARTS / name, run


def _collect(app: App, parts: tuple[str, ...], options: "RunOptions") -> "Run":
    from modelci.workflows.shards import collect, read_parts

    head = app.git.head()
    return collect(
        read_parts([Path(part) for part in parts], app.folder / PARTS, head.sha if head else None),
        git=app.git,
        pipeline=app.pipeline,
        progress=app.progress,
        now=app.now,
        version=app.version,
        options=options,
    )


def _check_timeline(path: Path, *, is_run: bool) -> None:
    """Say before anything runs that the timeline could not be written afterwards."""
    if path.suffix not in {".json", ".html"}:
        raise click.UsageError("--timeline: the file's name must end in .json or .html.")
    if not path.parent.is_dir():
        raise click.UsageError(f"--timeline: there is no folder {path.parent}.")
    if not is_run:
        raise click.UsageError("--timeline: a dry run has no times.")


def _write_timeline(run: "Run", path: Path) -> None:
    from modelci.render.timeline import render_timeline, render_trace

    render = render_trace if path.suffix == ".json" else render_timeline
    path.write_text(render(run), encoding="utf-8")


def _finish(app: App, run: "Run", document: Path, *, as_json: bool, timeline: Path | None) -> None:
    from modelci.cli.output import print_document
    from modelci.documents import codec
    from modelci.render.terminal import render_run

    codec.write(run, document)
    if timeline is not None:
        _write_timeline(run, timeline)
    above = _logs_above(app, run)
    if above and not as_json:
        click.echo(render_run(run, **terminal_size(), shown=above), nl=False)
    else:
        print_document(run, as_json=as_json)
    if run.failed:
        names = ", ".join(stage.name for stage in run.failed)
        is_above = above.issuperset(stage.name for stage in run.failed)
        where = "The log is above" if is_above else f"The log's end is in {document}"
        raise PipelineError(f"Failed: {names}.", hint=f"{where}.")
    if run.error:
        raise PipelineError(run.error)


def _logs_above(app: App, run: "Run") -> frozenset[str]:
    """Return the failed stages whose logs whoever reads stdout has just read on stderr.

    Both are one where they lead to the same place, and in CI, whose log has both. What failed
    without its command failing is told by the log's end alone.
    """
    from modelci.adapters.progress import TextProgress

    if not isinstance(app.progress, TextProgress) or not (app.context.provider or _is_one_log()):
        return frozenset()
    return frozenset(one.name for one in run.failed if one.exit_code) & app.progress.passed_on


def _is_one_log() -> bool:
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # no file at all
        return False
