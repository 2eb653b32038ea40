"""``modelci promote``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import read_report, report_option
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.report import Report
    from modelci.domain.versions import Part


@click.command()
@report_option
@click.option(
    "--results",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run job's commit of results (default: results.bundle beside the report, if it is of "
    "that commit).",
)
@click.option("--branch", help="Branch to move to a commit of results (default: the event's).")
@click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    default="patch",
    show_default=True,
    help="Which part of the version to raise.",
)
@click.option("--any-branch", is_flag=True, help="Promote what the default branch has not.")
@click.option("--dry-run", is_flag=True, help="Print the plan, tag nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the promotion document.")
@click.pass_obj
def command(
    app: App,
    report_file: Path | None,
    results: Path | None,
    branch: str | None,
    bump: "Part",
    any_branch: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tag the versions and stages that this judged commit brings.

    Each artifact of dvc.yaml whose bytes changed since its last version becomes NAME@vX.Y.Z and,
    as promote.assign says, NAME#STAGE#N: annotated tags in GTO's form, pushed all or none. What
    is there already is left alone, so that a promotion cut short is simply run again.

    \b
    Examples:
      modelci promote --dry-run
      modelci promote --bump minor
      modelci promote --report report.json --results results.bundle
    """  # noqa: D301
    from modelci.cli.output import print_document, publish_promotion
    from modelci.documents import codec
    from modelci.workflows.promote import promote

    report = read_report(app, report_file)
    settings = app.configuration.config.promote
    promotion = promote(
        git=app.git,
        reader=app.snapshots,
        settings=settings,
        report=report,
        progress=app.progress,
        bump=bump,
        results=results or _bundle(app, report, report_file),
        branch=branch or app.context.branch or app.git.branch(),
        forge=None if dry_run else app.records(),
        default_branch=app.configuration.config.default_branch or app.context.default_branch,
        any_branch=any_branch,
        dry_run=dry_run,
    )
    if promotion.done:
        codec.write(promotion, app.folder / "promotion.json")
        publish_promotion(promotion)
    print_document(promotion, as_json=as_json)


def _bundle(app: App, report: "Report", report_file: Path | None) -> Path | None:
    """Return the bundle beside a report that is of a commit which this clone does not have."""
    folder = report_file.parent if report_file else app.git.root / ".modelci"
    bundle = folder / "results.bundle"
    here = app.git.head()
    if report.head.sha is None or (here and here.sha == report.head.sha):
        return None
    return bundle if bundle.is_file() else None
