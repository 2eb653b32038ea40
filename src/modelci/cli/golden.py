"""``modelci golden``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import refuse_both, split_names, trust_options
from modelci.cli.talking import note
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.golden import Golden


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write, such as models/credit.golden.json beside models/credit.skops.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many requests.",
)
@click.option(
    "--columns",
    multiple=True,
    metavar="NAME,…",
    help="The model's inputs in its order, where it does not know their names.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="NAME,…",
    help="Columns of DATA that are no inputs, such as the target.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-6,
    show_default=True,
    help="How far a served answer may be off, absolutely.",
)
@click.option("--flavour", help="How to load the model, where its format does not say.")
@trust_options
@click.pass_obj
def command(
    app: App,
    model: Path,
    data: Path,
    out: Path,
    rows: int,
    columns: tuple[str, ...],
    exclude: tuple[str, ...],
    tolerance: float,
    flavour: str | None,
    types: tuple[str, ...],
    allow_pickle: bool,
) -> None:
    """Record golden requests: rows of DATA, and what MODEL says of them.

    It is a command for a stage of the pipeline: its output is versioned and promoted with the
    model. Whoever serves the model replays the requests first, and refuses it where an answer
    differs, or a package that the model needs. The rows show gaps and categories and are spread
    over the scores; the same model, data and environment give the same file.

    \b
    Examples:
      modelci golden models/credit.skops data/test.parquet --out models/credit.golden.json
      modelci golden model.skops test.csv --exclude target,id --rows 50 --out model.golden.json
      modelci golden model.onnx test.csv --columns age,income --out model.golden.json
    """  # noqa: D301
    from modelci.adapters.datasets import read_file
    from modelci.documents import codec
    from modelci.modelfiles.record import RecordOptions
    from modelci.workflows.golden import make_golden

    refuse_both({"--columns": bool(columns), "--exclude": bool(exclude)})
    trust = app.trust_in(model, types=types, pickle=allow_pickle)
    options = RecordOptions(
        rows=rows,
        columns=split_names(columns),
        exclude=split_names(exclude),
        tolerance=tolerance,
        flavour=flavour,
    )
    with app.progress.busy(f"Asking {model}"):
        golden = make_golden(model, data, read=read_file, trust=trust, options=options)
    codec.write(golden, out)
    note(_said(golden, out))


def _said(golden: "Golden", out: Path) -> str:
    needs = ", ".join(
        f"{name} {golden.environment.packages[name]}"
        for name in golden.environment.needs
        if name in golden.environment.packages
    )
    outputs = ", ".join(one.name for one in golden.outputs)
    return (
        f"Wrote {out}: {len(golden.requests)} requests of {len(golden.inputs)} columns, "
        f"answered with {outputs} by {needs}."
    )
