"""``modelci promote``."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import read_report, refuse_both, report_option, setting
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.config.model import PromoteConfig
    from modelci.domain.promotion import Promotion, Rules
    from modelci.domain.report import Report
    from modelci.domain.versions import Part


@click.command()
@click.argument("names", metavar="[NAME|NAME@VERSION|NAME#STAGE]...", nargs=-1)
@report_option
@click.option(
    "--results",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run job's commit of results (default: results.bundle beside the report, if it is of "
    "that commit).",
)
@click.option("--branch", help="Branch to move to a commit of results (default: the event's).")
@click.option(
    "--assign",
    multiple=True,
    metavar="STAGE",
    help="Stage to assign to (default: promote.assign of modelci.yaml); may be given again.",
)
@click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    help="Which part of the version to raise (default: what the commits since the last version ask "
    "for by the trailer Modelci-Bump, or the pull request by a label modelci:minor, else patch).",
)
@click.option("--pre", metavar="WORD", help="Make a pre-release: rc gives v1.3.0-rc.1.")
@click.option("--final", is_flag=True, help="Make the release of a pre-release, as it is.")
@click.option(
    "--allow",
    metavar="REASON",
    help="Promote against gates, order, a hold or a withdrawal; the tag keeps why.",
)
@click.option("--remote", metavar="NAME", help="Git remote to promote on (default: the branch's).")
@click.option(
    "--sign/--no-sign",
    default=None,
    help="Sign the tags, or not (default: registry.sign, else Git's tag.gpgSign). "
    f"{setting('registry.sign')}",
)
@click.option("--any-branch", is_flag=True, help="Promote what the default branch has not.")
@click.option("--dry-run", is_flag=True, help="Print the plan, tag nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the promotion document.")
@click.pass_obj
def command(
    app: App,
    names: tuple[str, ...],
    report_file: Path | None,
    results: Path | None,
    branch: str | None,
    assign: tuple[str, ...],
    bump: "Part | None",
    pre: str | None,
    final: bool,
    allow: str | None,
    remote: str | None,
    sign: bool | None,
    any_branch: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tag the versions and stages that this judged commit brings.

    Each artifact of dvc.yaml whose bytes changed since its last version becomes NAME@vX.Y.Z and,
    as promote.assign says, NAME#STAGE#N: annotated tags in GTO's form, pushed all or none. What
    is there already is left alone, so that a promotion cut short is simply run again. NAMEs limit
    it to these artifacts.

    With a version, or what holds a stage, nothing is registered: that version goes to a further
    stage, by the verdict that its own tag keeps.

    \b
    Examples:
      modelci promote --dry-run
      modelci promote --bump minor
      modelci promote --report report.json --results results.bundle
      modelci promote credit --pre rc
      modelci promote credit@v1.2.0 --assign prod
      modelci promote credit#staging --assign prod --allow "Hotfix, see #123"
    """  # noqa: D301
    from modelci.cli.deploy import deploying
    from modelci.cli.output import print_document, publish_promotion
    from modelci.documents import codec
    from modelci.domain.promotion import Rules

    refuse_both({"--pre": pre is not None, "--final": final})
    app.set_flags({"registry.sign": sign})
    versions = [name for name in names if "@" in name or "#" in name]
    settings = app.configuration.config.promote
    settings = replace(
        settings,
        assign=assign or settings.assign,
        remote=remote or settings.remote,
    )
    rules = Rules(bump=bump, pre=pre, final=final, allowed=allow)
    if versions:
        if len(names) > 1 or bump or pre or final or report_file or results:
            raise click.UsageError(
                f"{versions[0]} is a version that there is: it goes with --assign, alone."
            )
        promotion = _assign(app, versions[0], settings, assign, rules, dry_run=dry_run)
    else:
        promotion = _promote(
            app,
            settings,
            rules,
            _Source(report=report_file, results=results, branch=branch),
            only=names,
            any_branch=any_branch,
            dry_run=dry_run,
        )
    if promotion.done:
        codec.write(promotion, app.folder / "promotion.json")
        publish_promotion(promotion, targets=app.deploying.stages)
    print_document(promotion, as_json=as_json)
    with deploying(app, as_json=as_json):
        if promotion.done and versions:
            app.promoting.follow_change(promotion)
        elif promotion.done:
            app.promoting.follow_up(promotion, read_report(app, report_file))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What another job left for this one, as given by flags."""

    report: Path | None
    results: Path | None
    branch: str | None


def _promote(
    app: App,
    settings: "PromoteConfig",
    rules: "Rules",
    source: _Source,
    *,
    only: tuple[str, ...],
    any_branch: bool,
    dry_run: bool,
) -> "Promotion":
    from modelci.workflows.promote import promote

    report = read_report(app, source.report)
    return promote(
        git=app.git,
        reader=app.snapshots,
        settings=settings,
        report=report,
        progress=app.progress,
        pipeline=lambda: app.pipeline,
        stored=lambda: app.stored_bytes,
        only=only,
        rules=rules,
        allowed_by=app.context.actor,
        results=source.results or _bundle(app, report, source.report),
        branch=source.branch or app.context.branch or app.git.branch(),
        forge=None if dry_run else app.promoting.records(),
        labels=app.promoting.labels_of,
        sign=app.signing.sign_planned,
        default_branch=app.configuration.config.default_branch or app.context.default_branch,
        any_branch=any_branch,
        on_github=app.context.provider == "github",
        registry=app.configuration.config.registry,
        dry_run=dry_run,
    )


def _assign(
    app: App,
    name: str,
    settings: "PromoteConfig",
    stages: tuple[str, ...],
    rules: "Rules",
    *,
    dry_run: bool,
) -> "Promotion":
    from modelci.domain.tags import Query
    from modelci.workflows.assign import Wanted, assign

    query = Query.parse(name)
    if query is None:
        raise click.UsageError(f"{name!r} names no version: write NAME@v1.2.0 or NAME#staging.")
    now = int(datetime.fromisoformat(app.now()).timestamp())
    return assign(
        Wanted(query=query, stages=stages, seconds=now, by=app.context.actor),
        git=app.git,
        settings=settings,
        progress=app.progress,
        pipeline=lambda: app.pipeline,
        rules=rules,
        forge=None if dry_run else app.promoting.records(),
        on_github=app.context.provider == "github",
        registry=app.configuration.config.registry,
        default_branch=app.configuration.config.default_branch or app.context.default_branch,
        dry_run=dry_run,
    )


def _bundle(app: App, report: "Report", report_file: Path | None) -> Path | None:
    """Return the bundle beside a report that is of a commit which this clone does not have."""
    folder = report_file.parent if report_file else app.git.root / ".modelci"
    bundle = folder / "results.bundle"
    here = app.git.head()
    if report.head.sha is None or (here and here.sha == report.head.sha):
        return None
    return bundle if bundle.is_file() else None
