"""``modelci history``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.talking import note
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.history import History

_LAST = 20
_MOST = 10_000


@click.command()
@click.argument("metric")
@click.option(
    "--last",
    type=click.IntRange(1, _MOST),
    default=_LAST,
    show_default=True,
    help="How many commits or versions.",
)
@click.option("--branch", help="Branch to follow (default: the default branch).")
@click.option(
    "--versions",
    "artifact",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    help="Over an artifact's versions instead of commits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the history document.")
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw it into this SVG file.",
)
@click.pass_obj
def command(
    app: App,
    metric: str,
    last: int,
    branch: str | None,
    artifact: str | None,
    as_json: bool,
    plot_file: Path | None,
) -> None:
    """Show how METRIC went from commit to commit, or from version to version.

    METRIC is a name or glob as in a gate: roc_auc, test.roc_auc, metrics/*.json:roc_auc, '*'.
    Commits are those of the branch itself (first parents); nothing is checked out. Only what is
    in this clone counts.

    \b
    Examples:
      modelci history roc_auc
      modelci history '*.roc_auc' --last 50 --json
      modelci history roc_auc --versions credit
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.workflows.history import commit_history, version_history

    if artifact is not None and branch is not None:
        raise click.UsageError("--versions and --branch exclude each other.")
    config = app.configuration.config
    with app.progress.busy("Reading history"):
        found = (
            commit_history(app.git, app.snapshots, config, metric, last=last, branch=branch)
            if artifact is None
            else version_history(
                app.git, app.snapshots, config, metric, last=last, artifact=artifact or None
            )
        )
    print_document(found, as_json=as_json)
    if plot_file is not None:
        _draw(found, plot_file)
        note(f"Wrote {plot_file}")


def _draw(history: "History", path: Path) -> None:
    from modelci.cli.output import write_file
    from modelci.render.history import history_spec
    from modelci.render.pictures import to_svg

    write_file(path, to_svg(history_spec(history)), option="--plot")
