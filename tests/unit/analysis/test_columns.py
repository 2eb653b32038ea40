"""What is said of an evaluation whose keys name columns that its predictions do not have."""

import pandas as pd
import pytest

from modelci.analysis.columns import advise
from modelci.domain.evaluation import Evaluation, Task


def frame(*names: str, target: str = "y_true", values: int = 2, rows: int = 60) -> pd.DataFrame:
    found = {name: range(rows) for name in names}
    return pd.DataFrame({**found, target: [n % values for n in range(rows)]})


def evaluation(**keys: object) -> Evaluation:
    return Evaluation(predictions="p.csv", **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "keys", "told"),
    [
        (frame("id", "Predicted"), {}, "say `score: Predicted`, if that is it"),
        (frame("id", "scores", "x"), {}, "say `score: scores`, if that is it"),
        (frame("customer", "score"), {}, "say `id: customer`, if that is it"),
        (frame("id", "a", "b"), {}, "`score` is to name its column: one of a, b?"),
        (frame("id"), {}, "`score` has no column left: write it into that file"),
        (
            frame("id", "p_no", "p_oui"),
            {"task": Task.MULTICLASS, "score": {"no": "p_no", "yes": "p_yes"}},
            "say `score.yes: p_oui`, if that is it",
        ),
        (
            frame("id", "score", values=3),
            {},
            "`y_true` holds 3 classes: is it `task: multiclass`, with a `score` for each?",
        ),
        (
            frame("id", "score", values=60),
            {},
            "`y_true` holds 60 different numbers: is it `task: regression`?",
        ),
        (frame("id", "score", values=60), {"task": Task.REGRESSION}, None),
        (frame("id", "score"), {}, None),
    ],
)
def test_each_key_that_names_no_column_is_named_with_what_may_be_meant(
    table: pd.DataFrame, keys: dict[str, object], told: str | None
) -> None:
    assert advise(table, evaluation(**keys)) == told


def test_a_column_is_proposed_for_one_key_alone() -> None:
    told = advise(frame("key", "label", target="predicted", values=2), evaluation())
    assert told == (
        "say `id: key`, if that is it; say `target: label`, if that is it; "
        "say `score: predicted`, if that is it; "
        "`label` holds 60 different numbers: is it `task: regression`?"
    )


def test_a_target_of_lists_is_no_reason_to_fail() -> None:
    table = pd.DataFrame({"id": [1, 2], "y_true": [[1], [2]], "x": [0.1, 0.2]})
    assert advise(table, evaluation()) == "say `score: x`, if that is it"
