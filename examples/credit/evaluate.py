"""Stage ``evaluate``: score the test rows, and measure and draw how good the scores are."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import columns
import modelfile
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import stage
from sklearn import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Plot = dict[str, npt.NDArray[Any]]

CURVE_POINTS = 200
CALIBRATION_BINS = 10
HISTOGRAM_BINS = 25
# Plots live in Git: what no eye can see should not make a diff.
PLOT_DECIMALS = 5
AGE_BANDS = {"18-24": 18, "25-34": 25, "35-49": 35, "50-64": 50, "65+": 65}


def measure(y_true: Labels, score: Floats, threshold: float) -> dict[str, float | int]:
    """Compute the metrics, keys sorted; F1, precision and recall are those at the threshold."""
    decision = score >= threshold
    fpr, tpr, _ = metrics.roc_curve(y_true, score)
    values = {
        "roc_auc": metrics.roc_auc_score(y_true, score),
        "pr_auc": metrics.average_precision_score(y_true, score),
        "brier": metrics.brier_score_loss(y_true, score),
        "log_loss": metrics.log_loss(y_true, score),
        "f1": metrics.f1_score(y_true, decision, zero_division=0.0),
        "precision": metrics.precision_score(y_true, decision, zero_division=0.0),
        "recall": metrics.recall_score(y_true, decision, zero_division=0.0),
        # Kolmogorov-Smirnov: how far the score distributions of the classes lie apart.
        "ks": np.max(tpr - fpr),
        "threshold": threshold,
    }
    counts = {"rows": len(y_true), "defaults": int(y_true.sum())}
    return dict(sorted((counts | {name: float(value) for name, value in values.items()}).items()))


def thinned(*curve: Floats) -> tuple[Floats, ...]:
    """Keep evenly chosen points of a curve, its first and last among them."""
    size = len(curve[0])
    keep = np.unique(np.linspace(0, size - 1, CURVE_POINTS).round().astype(int))
    return tuple(values[keep] for values in curve)


def calibration(y_true: Labels, score: Floats) -> Plot:
    """Compare predicted with observed default rates, in bins of equally many rows."""
    order = np.argsort(score, kind="stable")
    bins = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
    return {
        "predicted": np.array([score[part].mean() for part in bins]),
        "observed": np.array([y_true[part].mean() for part in bins]),
        "rows": np.array([len(part) for part in bins]),
    }


def histogram(y_true: Labels, score: Floats) -> Plot:
    """Return the share of each class in every bin of the score."""
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    shares = {
        name: np.histogram(score[y_true == label], bins=edges)[0] / np.sum(y_true == label)
        for name, label in (("repaid", 0), ("defaulted", 1))
    }
    return {"score": (edges[:-1] + edges[1:]) / 2, **shares}


def confusion(y_true: Labels, score: Floats, threshold: float) -> Plot:
    """Return one row per decision, as DVC's confusion template counts them itself.

    They are sorted, which loses nothing and lets Git pack thousands of lines to nothing.
    """
    actual, predicted = y_true, (score >= threshold).astype(np.int64)
    order = np.lexsort((predicted, actual))
    return {"actual": actual[order], "predicted": predicted[order]}


def draw(y_true: Labels, score: Floats, threshold: float) -> dict[str, Plot]:
    """Return the data of every plot, by name."""
    fpr, tpr, _ = metrics.roc_curve(y_true, score)
    precision, recall, _ = metrics.precision_recall_curve(y_true, score)
    return {
        "roc": dict(zip(("fpr", "tpr"), thinned(fpr, tpr), strict=True)),
        "pr": dict(zip(("recall", "precision"), thinned(recall, precision), strict=True)),
        "calibration": calibration(y_true, score),
        "confusion": confusion(y_true, score, threshold),
        "scores": histogram(y_true, score),
    }


def age_band(age: pd.Series[float]) -> pd.Series[str]:
    """Name the band of each age in years; ages below the first band, or missing, are unknown."""
    edges = [*AGE_BANDS.values(), np.inf]
    bands = pd.cut(age, bins=edges, right=False, labels=list(AGE_BANDS))
    return bands.astype(object).fillna("unknown").astype(str)


def predictions(rows: pd.DataFrame, score: Floats) -> pd.DataFrame:
    """Put each score beside the truth and the columns by which it may be sliced."""
    table = rows.assign(score=score, y_true=rows[columns.TARGET], age_band=age_band(rows.age_years))
    return table[[columns.ID, "y_true", "score", *columns.SLICES]]


def write_csv(path: Path, plot: Plot) -> None:
    """Write a plot's columns, rounded to what can be seen."""
    listed: Iterable[list[Any]] = (
        np.round(column, PLOT_DECIMALS).tolist() for column in plot.values()
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(plot)
        writer.writerows(zip(*listed, strict=True))


def main(argv: list[str] | None = None) -> None:
    """Write predictions (Parquet), and where asked metrics (JSON) and plots (a folder of CSV)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a .skops file")
    parser.add_argument("rows", type=Path, help="prepared test rows")
    parser.add_argument("--metrics", type=Path)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args(argv)
    threshold = stage.fraction(stage.read_params(arguments.params, "evaluate"), "threshold")

    rows = pq.read_table(arguments.rows).to_pandas()
    model = modelfile.load(arguments.model)
    score = model.predict_proba(rows[list(columns.FEATURES)])[:, 1]
    y_true = rows[columns.TARGET].to_numpy()

    if arguments.metrics:
        stage.write_json(arguments.metrics, measure(y_true, score, threshold))
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        for name, plot in draw(y_true, score, threshold).items():
            write_csv(arguments.plots / f"{name}.csv", plot)
    arguments.predictions.parent.mkdir(parents=True, exist_ok=True)
    predictions(rows, score).to_parquet(arguments.predictions, index=False)


if __name__ == "__main__":
    stage.run(main)
