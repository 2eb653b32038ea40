"""``modelci scan``."""

from pathlib import Path

import click

from modelci.cli.options import trust_options
from modelci.wiring import App


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE...",
)
@trust_options
@click.option("--json", "as_json", is_flag=True, help="Print the scan document.")
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    types: tuple[str, ...],
    allow_pickle: bool,
    as_json: bool,
) -> None:
    """Say what loading a model's FILE would bring in, without loading it.

    The bytes decide what a file is: skops, ONNX, pickles of every protocol, joblib's compressed
    ones, numpy's arrays, JSON. Of a folder every file is scanned. Within a project its settings
    count (`safety` in modelci.yaml). The exit code is 1 where a file is not safe to load.

    \b
    Examples:
      modelci scan models/credit.skops
      modelci scan downloaded.joblib --allow-pickle
      modelci scan models/ --trust mypackage.encoders.TargetEncoder --json
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.errors import BLOCKED_EXIT_CODE
    from modelci.workflows.safety import scan_files

    app: App = ctx.obj
    with app.progress.busy(f"Scanning {', '.join(map(str, files))}"):
        found = scan_files(
            files, trust_of=lambda path: app.trust_in(path, types=types, pickle=allow_pickle)
        )
    print_document(found, as_json=as_json)
    if not found.is_safe:
        ctx.exit(BLOCKED_EXIT_CODE)
