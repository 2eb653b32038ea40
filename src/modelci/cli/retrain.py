"""``modelci retrain``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.talking import note, raise_all
from modelci.errors import ModelCIError
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.retraining import Retraining
    from modelci.workflows.acting import Prepared


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL|MODEL#STAGE]…")
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the watched windows are (default: .modelci/monitor).",
)
@click.pass_obj
def command(app: App, models: tuple[str, ...], folder: Path | None) -> None:
    """Prepare the retraining branches that watched windows ask for; write nothing that others see.

    `modelci monitor --no-write` leaves its windows in .modelci/monitor. Where one asks for a
    retraining, the project's own command (`monitor.retrain`) runs in a clean clone of the default
    branch, without any token. The new data go to the DVC remote; the commit is left in
    .modelci/monitor, as a bundle, for `modelci act` to push and propose.

    \b
    Examples:
      modelci monitor --no-write; modelci retrain
      modelci retrain credit
    """  # noqa: D301
    from modelci.workflows.acting import FOLDER, prepare_all

    done = prepare_all(folder or app.folder / FOLDER, app.watching.acting, models=models)
    for one in done:
        if one.retraining is not None:
            click.echo(_describe(one.retraining))
    if not done:
        note("No watched window asks for a retraining.")
    failed = [one for one in done if one.failure is not None]
    raise_all([_named(one.failure, one) for one in failed if one.failure is not None])


def _named(error: ModelCIError, one: "Prepared") -> ModelCIError:
    """Return the error of a model under the model's name."""
    return type(error)(f"{one.model} {one.window}: {error}", hint=error.hint)


def _describe(one: "Retraining") -> str:
    if one.commit is None:
        return f"{one.model} {one.window}: nothing to propose, {one.held_back}"
    what = "is there already" if one.is_known else f"changes {len(one.changed)} files"
    return f"{one.model} {one.window}: {one.commit[:7]} for {one.branch} {what}"
