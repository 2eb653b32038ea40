"""Run by ``bench/monitoring.py``: the same question by hand, with pandas and scipy.

For each column PSI over the reference's deciles or values, and a two-sample test:
Kolmogorov-Smirnov of numbers, chi² of values. A column has drifted where PSI is 0.1 or more and p
below 0.01.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats


def shares(counts: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "pd.Series[float]":
    """Return shares, none of which is 0."""
    return pd.Series(np.maximum(counts, 0.5) / counts.sum())


def drifted(before: "pd.Series[float]", now: "pd.Series[float]") -> bool:
    """Whether one column has drifted."""
    if pd.api.types.is_numeric_dtype(before) and not pd.api.types.is_bool_dtype(before):
        edges = np.unique(before.quantile(np.linspace(0, 1, 11)))
        edges[0], edges[-1] = -np.inf, np.inf
        sides = [np.histogram(one.dropna(), edges)[0].astype(float) for one in (before, now)]
        p = stats.ks_2samp(before.dropna(), now.dropna()).pvalue
    else:
        counts = pd.concat([one.value_counts() for one in (before, now)], axis=1).fillna(0)
        sides = list(counts.to_numpy(float).T)
        p = stats.chi2_contingency(counts).pvalue
    old, new = (shares(one) for one in sides)
    return bool(((new - old) * np.log(new / old)).sum() >= 0.1 and p < 0.01)


folder = Path(sys.argv[1])
reference = pd.read_parquet(folder / "reference.parquet")
counts = []
for path in sorted(folder.glob("window-*.parquet")):
    window = pd.read_parquet(path)
    counts.append(sum(drifted(reference[name], window[name]) for name in reference.columns))
print(json.dumps(counts))
