"""``modelci ci``."""

from typing import TYPE_CHECKING

import click

from modelci.cli.options import verdict_code
from modelci.errors import PipelineError
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.pipeline import Run
    from modelci.domain.report import Report
    from modelci.workflows.ci import Done


@click.command()
@click.option(
    "--write/--no-write",
    default=True,
    help="Write (the default), or leave comment and promotion to a job that runs no user code.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report document.")
@click.pass_context
def command(ctx: click.Context, write: bool, as_json: bool) -> None:
    """Do what the CI event calls for.

    On a pull request: run, report, comment, check, job summary, outputs and annotations. On a push
    to the default branch: run, gate and promote. On a tag that moves a stage which one of
    deploy.targets takes: deploy. Else: run, report and gate. The exit code is the verdict's, or 7
    where a deployment was refused or failed. Documents are left in .modelci/: run.json,
    report.json, report.html, report.junit.xml, promotion.json, deployment.json and, where a run
    wrote into Git's files, results.bundle.

    \b
    Examples:
      modelci ci
      modelci ci --no-write     # then, in a workflow with the write token: modelci comment
    """  # noqa: D301
    from modelci.cli.deploy import deploy_event, present_more
    from modelci.cli.output import print_document, publish_promotion
    from modelci.domain.events import Job
    from modelci.workflows.ci import run_ci

    app: App = ctx.obj
    if app.job() is Job.DEPLOY:
        deploy_event(app, write=write, as_json=as_json)
        return
    with app.executor() as executor:
        done = run_ci(
            git=app.git,
            pipeline=app.pipeline,
            stored=lambda: app.stored_bytes,
            remotes=app.data_remotes,
            reader=app.snapshots,
            config=app.configuration.config,
            context=app.context,
            forge=app.forge,
            records=app.promoting.records,
            render=app.reporting.render_comment,
            draw=app.reporting.draw,
            describe=app.reporting.describe,
            progress=app.progress,
            now=app.now,
            version=app.version,
            folder=app.folder,
            write=write,
            fixed=app.fixed_run_settings,
            executor=executor,
            tables=lambda: app.tables,
            plots=lambda: app.plots,
            scanner=lambda: app.model_scanner,
            rescorer=lambda: app.rescorer,
            labels=app.promoting.labels_of,
            sign=app.signing.sign_planned,
            release=app.promoting.follow_up,
        )
    _publish(app, done)
    print_document(done.report, as_json=as_json)
    if done.promotion is not None:
        publish_promotion(done.promotion, targets=app.deploying.stages)
        if not as_json:
            click.echo()
            print_document(done.promotion, as_json=False)
    present_more(app, as_json=as_json)
    if done.refused is not None:
        raise done.refused
    if not done.run.is_ok:
        raise _failure(done.run)
    ctx.exit(verdict_code(done.report))


def _failure(run: "Run") -> PipelineError:
    if not run.failed:
        return PipelineError(run.error or "The run failed.")
    names = ", ".join(stage.name for stage in run.failed)
    also = f" {run.error}" if run.error else ""
    return PipelineError(f"Failed: {names}.{also}", hint="The end of its log is shown above.")


def _publish(app: App, done: "Done") -> None:
    """Write what the runner shows: page, summary, annotations, outputs."""
    from modelci.adapters.ci import write_outputs, write_summary
    from modelci.render.annotations import locate
    from modelci.render.annotations import render as annotate
    from modelci.render.html import render_page
    from modelci.render.junit import render_junit
    from modelci.render.markdown import render_summary
    from modelci.render.openmetrics import render_metrics

    title = app.configuration.config.report.title
    page = app.folder / "report.html"
    shown = render_page(done.report, title=title, overrides=app.reporting.templates(done.report))
    page.write_text(shown, encoding="utf-8")
    write_summary(render_summary(done.report, title=title))
    if app.context.provider == "github":
        files = app.git.work_tree().read(sorted({one.key.path for one in done.report.params}))
        for line in annotate(done.report, lines=locate(done.report, files)):
            click.echo(line, err=True)
    (app.folder / "report.junit.xml").write_text(render_junit(done.report), encoding="utf-8")
    if app.context.provider == "gitlab":
        (app.folder / "metrics.txt").write_text(render_metrics(done.report), encoding="utf-8")
    write_outputs(
        {
            "verdict": _verdict(done.report),
            "report": str(app.folder / "report.json"),
            "page": str(page),
            "comment-url": (done.comment.url if done.comment else None) or "",
        }
    )


def _verdict(report: "Report") -> str:
    if report.run is not None and not report.run.is_ok:
        return "failed"
    if report.is_ok:
        return "passed"
    return "unclear" if report.verdict.unclear else "blocked"
