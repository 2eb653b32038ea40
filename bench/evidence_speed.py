"""Ten measures of 100,000 predictions, on the whole and on twelve slices."""

from bench.harness import Bench, Case, Goal, Side

_ROWS = 100_000
_MEASURES = tuple(
    "roc_auc pr_auc accuracy balanced_accuracy f1 precision recall mcc brier log_loss".split()
)
_WRITE = f"""\
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
target = rng.random({_ROWS}) < 0.2
for side in ("base", "head"):
    logit = -2 + 2 * target + np.random.default_rng(1).normal(0, 1.2, {_ROWS})
    logit += rng.normal(0, 0.2, {_ROWS})
    pd.DataFrame({{
        "id": np.arange({_ROWS}), "y_true": target.astype(int), "score": 1 / (1 + np.exp(-logit)),
        "region": np.arange({_ROWS}) % 4, "age": (np.arange({_ROWS}) * 7) % 83,
        "product": np.array(list("abcd"))[(np.arange({_ROWS}) // 7) % 4],
    }}).to_parquet(f"{{side}}.parquet")
"""
_JUDGE = f"""\
from pathlib import Path
from modelci.adapters.datasets import read_file
from modelci.analysis.paired import Comparer
from modelci.analysis.predictions import pair_predictions
from modelci.analysis.slices import find_slices, judge_slices
from modelci.domain.evaluation import Evaluation, SliceBy
from modelci.domain.gates import Threshold
evaluation = Evaluation(predictions="head.parquet")
columns = ["id", "y_true", "score"]
base = read_file(Path("base.parquet"), columns=columns)
head = read_file(Path("head.parquet"), columns=[*columns, "region", "age", "product"])
comparer = Comparer(pair_predictions(base, head, evaluation))
whole = [comparer.compare(measure) for measure in {_MEASURES}]
slices = find_slices(head, ["region", SliceBy(column="age", bins=4), "product"])
limit = Threshold(value=0.01)
parts = judge_slices(comparer, slices, {_MEASURES}, allowed=limit, min_rows=100, alpha=0.05)
assert len(whole) == 10 and None not in whole
assert len(slices) == 12 and len(parts) == 120 and all(part.evidence for part in parts)
"""


def evidence_case() -> Case:
    """Return the case; its peer sleeps for as long as ours may take."""
    allowed = "two seconds"
    return Case(
        name="evidence-100k",
        about=f"{_ROWS:,} predictions of two models from Parquet, ten measures × (all, 12 slices)",
        sides=(
            Side(name="evidence", commands=(("python", "judge.py"),)),
            Side(name=allowed, commands=(("sleep", "2"),)),
        ),
        goal=Goal(peer=allowed, seconds_more=0.0),
        build=_build,
    )


def _build(bench: Bench) -> None:
    for name, text in (("write.py", _WRITE), ("judge.py", _JUDGE)):
        (bench.repository / name).write_text(text, encoding="utf-8")
    bench.read("python", "write.py")
