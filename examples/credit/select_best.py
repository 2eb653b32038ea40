"""Stage ``select``: name the best of the evaluated models ``credit``.

(The file cannot be called ``select.py``: beside the other scripts it would hide the standard
library's module of that name.)
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path

import stage

LOWER_IS_BETTER = {"brier", "log_loss"}


def read_metric(path: Path, metric: str) -> float:
    """Read one metric of one model."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise stage.BadInputError(f"cannot read {path}: {stage.one_line(error)}") from error
    value = values.get(metric)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise stage.BadInputError(
            f"{path} has no number {metric!r}: set select.metric to one of {', '.join(values)}"
        )
    return float(value)


def best(values: dict[str, float], metric: str) -> str:
    """Return the kind with the best value; of equals, the one listed first."""
    choose = min if metric in LOWER_IS_BETTER else max
    return choose(values, key=values.__getitem__)


def copies(kind: str) -> dict[Path, Path]:
    """Say which file or folder of the chosen kind becomes which of the project."""
    return {
        Path("models", f"{kind}.skops"): Path("models/credit.skops"),
        Path("models", f"{kind}.json"): Path("models/credit.json"),
        Path("metrics", f"{kind}.json"): Path("metrics.json"),
        Path("predictions", f"{kind}.parquet"): Path("predictions.parquet"),
        Path("plots", kind): Path("plots/credit"),
    }


def main(argv: list[str] | None = None) -> None:
    """Compare the models by ``select.metric``, and copy what belongs to the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args(argv)
    metric = stage.read_params(arguments.params, "select").get("metric", "")
    values = {
        kind: read_metric(Path("metrics", f"{kind}.json"), metric) for kind in arguments.kinds
    }
    chosen = best(values, metric)
    for source, target in copies(chosen).items():
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
    print(", ".join(f"{kind} {value:.4f}" for kind, value in values.items()))
    print(f"{chosen} has the best {metric} and becomes credit")


if __name__ == "__main__":
    stage.run(main)
