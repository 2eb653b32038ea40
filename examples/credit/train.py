"""Stage ``train``: fit one kind of model, and record the environment it was fitted in."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import columns
import estimators
import modelfile
import pyarrow.parquet as pq
import stage
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

# What decides whether a saved model loads, and scores the same, elsewhere.
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")


def fit(kind: str, params: dict[str, Any], rows: pd.DataFrame) -> Pipeline:
    """Fit a model of this kind on prepared rows.

    One thread only: the order in which threads add up their sums would reach the last bits of the
    model, and at this size one thread is also the fastest.
    """
    model = estimators.build(kind, params)
    with threadpool_limits(limits=1):
        try:
            return model.fit(rows[list(columns.FEATURES)], rows[columns.TARGET])
        except ValueError as error:
            raise stage.BadInputError(f"cannot fit {kind}: {stage.one_line(error)}") from error


def describe(kind: str, params: dict[str, Any], rows: int) -> dict[str, Any]:
    """Describe what a model is, what it reads and the environment it needs."""
    return {
        "kind": kind,
        "params": params,
        "train_rows": rows,
        "target": columns.TARGET,
        "features": {"numeric": columns.NUMERIC, "categorical": columns.CATEGORICAL},
        "environment": {
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
    }


def main(argv: list[str] | None = None) -> None:
    """Write the fitted model to a skops file, and its description beside it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", help=f"one of {', '.join(estimators.KINDS)}")
    parser.add_argument("rows", type=Path, help="prepared training rows")
    parser.add_argument("model", type=Path, help="the .skops file to write")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args(argv)
    params = stage.read_params(arguments.params, f"train.{arguments.kind}")
    rows = pq.read_table(arguments.rows).to_pandas()
    modelfile.save(fit(arguments.kind, params, rows), arguments.model)
    stage.write_json(
        arguments.model.with_suffix(".json"), describe(arguments.kind, params, len(rows))
    )


if __name__ == "__main__":
    stage.run(main)
