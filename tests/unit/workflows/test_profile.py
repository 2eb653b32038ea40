"""Profiles of data and predictions: read in pieces, and judged by rows that are spread over all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelci.adapters.counting import LocalCounter
from modelci.adapters.scanning import DatasetScanner, Sizes
from modelci.domain.evaluation import Evaluation
from modelci.domain.profile import Profile
from modelci.workflows.profile import ProfileOptions, make_profile

ROWS = 5000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(2)
    score = random.beta(2, 5, ROWS)
    table = pd.DataFrame({"x": random.normal(size=ROWS), "score": score})
    table["y_true"] = (random.random(ROWS) < score).astype(int)
    table.to_parquet(tmp_path / "p.parquet", index=False)
    return tmp_path


def profile(folder: Path, *, rows: int = 1 << 17, most_judged: int = 200_000) -> Profile:
    scanner = DatasetScanner(folder, sizes=Sizes(rows=rows))
    options = ProfileOptions(
        exclude=("score", "y_true"),
        evaluation=Evaluation(predictions="p.parquet", threshold=0.3),
        most_judged=most_judged,
    )
    return make_profile(
        "p.parquet", scanner=scanner, counter=LocalCounter(scanner), options=options
    )


def test_of_very_many_predictions_some_are_judged_and_all_are_counted(folder: Path) -> None:
    whole = profile(folder)
    some = profile(folder, most_judged=1700)
    assert (some.scores, some.chosen, some.rows) == (whole.scores, whole.chosen, ROWS)
    assert whole.realised["roc_auc"].rows == ROWS
    auc = some.realised["roc_auc"]
    assert auc.rows == 1667
    assert auc.low < whole.realised["roc_auc"].value < auc.high
    assert some.calibration is not None
    assert some.calibration.rows == 1667


def test_judged_rows_do_not_depend_on_how_they_are_read(folder: Path) -> None:
    assert profile(folder, most_judged=900).realised == (
        profile(folder, rows=333, most_judged=900).realised
    )
