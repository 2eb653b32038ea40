"""``modelci profile``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import split_names
from modelci.cli.talking import note
from modelci.domain.evaluation import Evaluation, Task
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.domain.profile import Profile

_MOST_SHOWN = 6


@click.command()
@click.argument("data")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write, such as models/credit.profile.json beside models/credit.skops.",
)
@click.option("--id", "id_", metavar="NAME", help="The column of DATA that names its rows.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="NAME,…",
    help="Columns of DATA that are not watched, such as the target.",
)
@click.option(
    "--predictions", metavar="FILE", help="What the model answered to rows that it was not fit to."
)
@click.option(
    "--score", default="score", show_default=True, help="The predictions' column of answers."
)
@click.option(
    "--target",
    metavar="NAME",
    help="Their column of outcomes (default: y_true, where there is one).",
)
@click.option("--positive", default="1", show_default=True, help="The outcome that is scored.")
@click.option(
    "--threshold",
    type=float,
    default=0.5,
    show_default=True,
    help="Scores at or above it are decided for.",
)
@click.option(
    "--task",
    type=click.Choice([Task.BINARY.value, Task.REGRESSION.value]),
    default=Task.BINARY.value,
    show_default=True,
    help="What the score is: a probability, or a number.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Where rows are counted.",
)
@click.option("--address", metavar="ADDRESS", help="With --executor dask: of the scheduler.")
@click.pass_obj
def command(
    app: App,
    data: str,
    out: Path,
    id_: str | None,
    exclude: tuple[str, ...],
    predictions: str | None,
    score: str,
    target: str | None,
    positive: str,
    threshold: float,
    task: str,
    executor: str,
    address: str | None,
) -> None:
    """Record the profile of DATA, which a deployed model's data is compared with.

    DATA is what the model was trained on: a CSV, Parquet or JSON Lines file, a folder of them, a
    pattern, or a URL of fsspec. It is read once, in bounded memory. The profile is counts: values
    of numbers between 50 edges, of categories by name, gaps. With --predictions it also holds what
    the model answered and, where outcomes are known, how right it was.

    It is a command for a stage of the pipeline: its output is versioned and promoted with the
    model, and `modelci monitor` finds it beside the model. The same data give the same file.

    \b
    Examples:
      modelci profile data/train.parquet --exclude default --out models/credit.profile.json
      modelci profile train.csv --id id --predictions predictions.csv --out model.profile.json
      modelci profile s3://bucket/train/ --executor dask --out models/credit.profile.json
    """  # noqa: D301
    scanner = app.row_scanner
    from modelci.documents import codec
    from modelci.workflows.profile import ProfileOptions, make_profile

    app.set_flags({"executor.kind": executor, "executor.address": address})
    evaluation = Evaluation(
        predictions=predictions or "",
        target=target or "y_true",
        score=score,
        positive=positive,
        threshold=threshold,
        task=Task(task),
    )
    options = ProfileOptions(
        id=id_,
        exclude=split_names(exclude),
        evaluation=evaluation if predictions else None,
        has_target=target is not None,
    )
    with app.row_counter() as counter, app.progress.busy(f"Counting {data}"):
        profile = make_profile(data, scanner=scanner, counter=counter, options=options)
    codec.write(profile, out)
    note(_said(profile, out))


def _said(profile: "Profile", out: Path) -> str:
    kinds = [column.kind for column in profile.columns]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    known = [
        f"{name} {one.value:.4g} ({one.low:.4g} to {one.high:.4g})"
        for name, one in list(profile.realised.items())[:_MOST_SHOWN]
    ]
    answers = "" if profile.scores is None else f", {profile.scores.rows:,} answers"
    return "\n".join(
        [
            f"Wrote {out}: {profile.rows:,} rows of {len(kinds):,} columns ({counts}){answers}.",
            *([f"On labelled rows: {', '.join(known)}."] if known else []),
        ]
    )
