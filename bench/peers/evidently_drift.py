"""Run by ``bench/drift.py`` in evidently's environment: how many columns have drifted.

Reads ``reference.parquet`` and ``window-*.parquet`` of the folder given, prints a list of counts.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

folder = Path(sys.argv[1])
reference = pd.read_parquet(folder / "reference.parquet")
counts = []
for path in sorted(folder.glob("window-*.parquet")):
    found = Report([DataDriftPreset()]).run(pd.read_parquet(path), reference).dict()
    count = next(one for one in found["metrics"] if "DriftedColumnsCount" in one["metric_name"])
    counts.append(int(count["value"]["count"]))
print(json.dumps(counts))
