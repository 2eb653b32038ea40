"""``modelci report``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import format_of
from modelci.cli.talking import note
from modelci.wiring import App

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelci.domain.report import Report

_FILES = {
    "terminal": "report.txt",
    "md": "report.md",
    "json": "report.json",
    "html": "report.html",
    "junit": "report.junit.xml",
    "openmetrics": "metrics.txt",
}

_ENDINGS = {".md": "md", ".html": "html", ".htm": "html", ".json": "json", ".xml": "junit"}


@click.command()
@click.argument("base", required=False)
@click.argument("head", required=False)
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(_FILES)),
    multiple=True,
    help="How to show it (default: what the ending of --out says, .md, .html, .json or .xml, else "
    "terminal); several at once with --out.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write, or with several formats the folder for report.md, report.html, …",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--pull", is_flag=True, help="Fetch metrics that DVC keeps in its cache.")
@click.option(
    "--remote", is_flag=True, help="Look up versions in the remote's tags, not this clone's."
)
@click.option(
    "--run",
    "run_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show this run document's stages too.",
)
@click.option(
    "--rescore",
    is_flag=True,
    help="Where the test sets differ, score the base's model anew by the configured command.",
)
@click.option("--comment", is_flag=True, help="Post it on its pull request too.")
@click.option("--pr", "number", type=click.IntRange(min=1), help="The number, for --comment.")
@click.pass_obj
def command(
    app: App,
    base: str | None,
    head: str | None,
    formats: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    pull: bool,
    remote: bool,
    run_file: Path | None,
    rescore: bool,
    comment: bool,
    number: int | None,
) -> None:
    """Show how the model changed from BASE to HEAD, and judge it by the gates.

    BASE is by default the merge base with the default branch (in a pull request's job, what the
    event says; on the default branch the newest version), HEAD the work tree. The gates are those
    of BASE, on the default branch its own. Both may be revisions of Git (BASE..HEAD too, and
    BASE...HEAD from their merge base on), or NAME@v1.2.0, NAME@v1, NAME@latest and NAME#stage of
    the registry, as this clone's tags have it, or the remote's where this clone has none of NAME.
    No checkout is made. The document is also written to .modelci/report.json, for `modelci gate`
    and `modelci comment`; --comment does in one go what `modelci comment` would do next.

    \b
    Examples:
      modelci report
      modelci report v1.2.0 main --format md
      modelci report credit@latest
      modelci report credit#prod..credit@v2 --remote --format junit
      modelci report --out report.html
      modelci report --format html --format md --out build/
      modelci report --comment --pr 17
    """  # noqa: D301
    from modelci.cli.output import write_file
    from modelci.documents import codec
    from modelci.domain.pipeline import Run
    from modelci.workflows.report import make_report
    from modelci.workflows.revisions import Names, parse_range

    if rescore and head is not None:
        raise click.UsageError("--rescore runs a command in the work tree: it takes no HEAD.")
    formats = ((*formats, "json") if as_json else formats) or format_of(out, _ENDINGS)
    if len(set(formats)) > 1 and out is None:
        raise click.UsageError("Several formats need --out DIR.")
    post = _poster(app, number) if comment else None
    if number is not None and post is None:
        raise click.UsageError("--pr says where to --comment: give both.")
    holder = app.configuration.config.registry.holder
    names = Names(holder=holder, remote=remote, progress=app.progress)
    base, head = parse_range(app.git, base, head, names)
    report = make_report(
        git=app.git,
        reader=app.snapshots,
        config=app.configuration.config,
        context=app.context,
        progress=app.progress,
        now=app.now,
        version=app.version,
        base=base,
        head=head,
        pull=pull,
        remote_tags=remote,
        run=codec.read(Run, run_file) if run_file else None,
        tables=lambda: app.tables,
        plots=lambda: app.plots,
        scanner=lambda: app.model_scanner,
        rescorer=(lambda: app.rescorer) if rescore else None,
    )
    codec.write(report, app.folder / "report.json")
    for name, path in _destinations(formats or ("terminal",), out).items():
        text = _render(app, report, name)
        if path is None:
            click.echo(text)
        else:
            write_file(path, text + "\n", option="--out")
            note(f"Wrote {path}")
    if post is not None:
        post(report)


def _poster(app: App, number: int | None) -> "Callable[[Report], None]":
    """Return what posts a report; without a pull request to post it on there is none to make."""
    from modelci.adapters.ci import write_outputs
    from modelci.cli.comment import say
    from modelci.workflows import comment

    found = comment.find_number(app.context, number)
    forge = app.forge()

    def post(report: "Report") -> None:
        pull = comment.find_pull_request(forge, app.context, found)
        posted = comment.post(report, pull, app.reporting.desk(forge, None))
        if posted.url:
            write_outputs({"comment-url": posted.url})
        note(say(posted))

    return post


def _destinations(formats: tuple[str, ...], out: Path | None) -> dict[str, Path | None]:
    if out is None:
        return {formats[0]: None}
    if len(set(formats)) > 1 or out.is_dir():
        return {name: out / _FILES[name] for name in formats}
    return {formats[0]: out}


def _render(app: App, report: "Report", name: str) -> str:
    title = app.configuration.config.report.title
    match name:
        case "md":
            from modelci.workflows.comment import marker

            return app.reporting.render_comment(report, marker(app.context)).rstrip("\n")
        case "html":
            from modelci.render.html import render_page

            return render_page(
                report, title=title, overrides=app.reporting.templates(report)
            ).rstrip("\n")
        case "json":
            from modelci.documents import codec

            return codec.encode(report).rstrip("\n")
        case "junit":
            from modelci.render.junit import render_junit

            return render_junit(report).rstrip("\n")
        case "openmetrics":
            from modelci.render.openmetrics import render_metrics

            return render_metrics(report).rstrip("\n")
        case _:
            from modelci.cli.output import to_text

            return to_text(report).rstrip("\n")
