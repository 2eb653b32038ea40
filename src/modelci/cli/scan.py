"""``modelci scan``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import trust_options
from modelci.wiring import App

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelci.domain.modelfiles import FileScan, Trust


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|ARTIFACT]...")
@trust_options
@click.option("--json", "as_json", is_flag=True, help="Print the scan document.")
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[str, ...],
    types: tuple[str, ...],
    allow_pickle: bool,
    as_json: bool,
) -> None:
    """Say what loading a model's FILE would bring in, without loading it.

    The bytes decide what a file is: skops, ONNX, pickles of every protocol, joblib's compressed
    ones, numpy's arrays, JSON. Of a folder every file is scanned. An ARTIFACT's name means what
    dvc.yaml declares by it; with nothing named, every artifact of type: model is scanned, as a
    report does. Within a project its settings count (`safety` in modelci.yaml). The exit code is 1
    where a file is not safe to load.

    \b
    Examples:
      modelci scan
      modelci scan models/credit.skops
      modelci scan downloaded.joblib --allow-pickle
      modelci scan models/ --trust mypackage.encoders.TargetEncoder --json
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.domain.modelfiles import Scan, Trust
    from modelci.errors import BLOCKED_EXIT_CODE

    app: App = ctx.obj
    extra = Trust(types=types, pickle=allow_pickle)
    with app.progress.busy(f"Scanning {', '.join(files) or 'the declared models'}"):
        found = Scan(files=tuple(_scan(app, files, extra)))
    print_document(found, as_json=as_json)
    if not found.is_safe:
        ctx.exit(BLOCKED_EXIT_CODE)


def _scan(app: App, files: tuple[str, ...], extra: "Trust") -> "Iterator[FileScan]":
    from modelci.workflows.safety import scan_files

    def trust_of(path: Path) -> "Trust":
        return app.trust_in(path, types=extra.types, pickle=extra.pickle)

    if not files:
        yield from _scan_artifacts(app, None, extra)
    for one in files:
        # A file that is there is meant, whatever artifacts are called.
        if Path(one).exists():
            yield from scan_files([Path(one)], trust_of=trust_of).files
        else:
            yield from _scan_artifacts(app, one, extra)


def _scan_artifacts(app: App, name: str | None, extra: "Trust") -> "Iterator[FileScan]":
    from modelci.errors import UsageError
    from modelci.workflows.safety import choose_models, scan_declared

    if app.top is None:
        raise UsageError(
            f"There is no file {name!r}." if name else "No file is named, and here is no project.",
            hint="`modelci scan FILE`.",
        )
    tree = app.git.work_tree()
    for artifact in choose_models(app.snapshots.read(tree), name):
        yield from scan_declared(
            artifact, tree, app.configuration.config, app.model_scanner, extra=extra
        )
