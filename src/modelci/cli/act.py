"""``modelci act``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.talking import raise_all
from modelci.wiring import App

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelci.domain.monitoring import Action
    from modelci.workflows.acting import Acted


@click.command()
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="What the watching job left: its folder .modelci/monitor (default: this one's).",
)
@click.pass_obj
def command(app: App, folder: Path | None) -> None:
    """Do what watched windows ask for: remember them, retrain by pull request, see to the issue.

    This is the half of `modelci monitor` that writes, for a job which runs nothing of the
    project's. It reads what `modelci monitor --no-write` and `modelci retrain` have left, and takes
    nothing of it on trust: the commit must stand on the default branch and may not change what CI
    runs, and all texts are made anew. All of it can be run again.

    \b
    Examples:
      modelci act
      modelci act --from "$RUNNER_TEMP/monitor"
    """  # noqa: D301
    from modelci.adapters.ci import write_summary
    from modelci.workflows.acting import FOLDER, act_on

    done = act_on(folder or app.folder / FOLDER, app.watching.acting)
    lines = [line for one in done for line in _lines(one)]
    for line in lines:
        click.echo(line)
    # What another job wrote stays within the fence.
    write_summary("\n".join(["```text", *(one.replace("`", "'") for one in lines), "```", ""]))
    failures = [one.failure for one in done if one.failure is not None]
    raise_all(failures)


def _lines(one: "Acted") -> "Iterator[str]":
    from modelci.render.escape import terminal

    watched = one.document.watched
    start = f"{terminal(watched.artifact)} {terminal(one.document.window)}"
    if not one.document.actions:
        yield f"{start}: nothing is asked for"
    for action in one.document.actions:
        what = action.done or _why_not(action)
        url = f" {terminal(action.url)}" if action.url else ""
        yield f"{start}: {action.kind} {terminal(what)}{url}"


def _why_not(action: "Action") -> str:
    if action.held_back:
        return f"held back, {action.held_back}"
    return f"failed: {action.failed}" if action.failed else "not done"
