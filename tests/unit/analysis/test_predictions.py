"""What a table of predictions means, and which two tables are of the same test set."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.analysis.predictions import Mismatch, Pair, pair_predictions, read_sample
from modelci.domain.evaluation import Evaluation, Label, Task

BINARY = Evaluation(predictions="p.csv")
CLASSES = replace(BINARY, task=Task.MULTICLASS, score={"cat": "p_cat", "dog": "p_dog", "3": "p_3"})
NUMBERS = replace(BINARY, task=Task.REGRESSION)


def table(**columns: object) -> pd.DataFrame:
    plain = {"id": [1, 2, 3, 4], "y_true": [0, 1, 1, 0], "score": [0.1, 0.9, 0.4, 0.5]}
    return pd.DataFrame({**plain, **columns})


def test_binary_labels_come_from_the_threshold() -> None:
    sample = read_sample(table(), BINARY)
    assert sample.target.tolist() == [0, 1, 1, 0]
    assert sample.label.tolist() == [0, 1, 0, 1], "a score at the threshold is positive"
    assert sample.frame["id"].tolist() == [1, 2, 3, 4]


def test_a_column_of_predictions_goes_before_the_threshold() -> None:
    evaluation = replace(BINARY, prediction="said", positive="yes")
    frame = table(y_true=["no", "yes", "yes", "no"], said=["yes", "yes", "no", "no"])
    sample = read_sample(frame, evaluation)
    assert sample.target.tolist() == [0, 1, 1, 0]
    assert sample.label.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("positive", "targets"),
    [
        (1, [0, 1]),
        (1, [0.0, 1.0]),
        (1, ["0", "1"]),
        (True, [False, True]),
        ("True", [False, True]),
        ("1", [0, 1]),
        ("bad", ["good", "bad"]),
    ],
)
def test_types_of_the_positive_class_do_not_matter(positive: Label, targets: list[object]) -> None:
    frame = pd.DataFrame({"id": [1, 2], "y_true": targets, "score": [0.2, 0.7]})
    assert read_sample(frame, replace(BINARY, positive=positive)).target.tolist() == [0, 1]


def test_classes_are_matched_as_text_and_kept_in_order() -> None:
    frame = pd.DataFrame(
        {"id": "abc", "y_true": ["dog", 3, "cat"], "p_cat": 0.2, "p_dog": [0.5, 0.1, 0.2]}
        | {"id": list("abc"), "p_3": [0.3, 0.7, 0.6]}
    )
    sample = read_sample(frame, CLASSES)
    assert sample.classes == ("cat", "dog", "3")
    assert sample.target.tolist() == [1, 2, 0]
    assert sample.label.tolist() == [1, 2, 2]
    assert sample.score[:, 1].tolist() == [0.5, 0.1, 0.2]


def test_a_regression_has_its_score_as_the_answer() -> None:
    sample = read_sample(table(y_true=[1.5, -2, 3, 4], score=[1, -2, 30, 4]), NUMBERS)
    assert sample.target.tolist() == [1.5, -2, 3, 4]
    assert sample.label.tolist() == sample.score.tolist() == [1, -2, 30, 4]


@pytest.mark.parametrize(
    ("frame", "evaluation", "message"),
    [
        (table().head(0), BINARY, "no rows"),
        (table().drop(columns="id"), BINARY, "no column 'id'"),
        (table().drop(columns="score"), BINARY, "no column 'score'"),
        (table(id=[1, 2, 2, 3]), BINARY, "column 'id' holds .*2.* more than once"),
        (table(id=[1, 2, None, 3]), BINARY, "column 'id' has no value in 1 of 4 rows"),
        (table(y_true=[0, 1, None, 1]), BINARY, "column 'y_true' has no value"),
        (table(y_true=[0, 1, 2, 1]), BINARY, "column 'y_true' holds 3 classes"),
        (table(y_true=[0, 2, 2, 0]), BINARY, "'y_true' holds '0' and '2', never '1'"),
        (table(score=[0.1, np.nan, 0, 1]), BINARY, "column 'score' has no value in 1 of 4"),
        (table(score=[0.1, 1.5, 0, 1]), BINARY, "'score' holds 1.5, which is no probability"),
        (table(score=[0.1, -3, 0, 1]), BINARY, "'score' holds -3, which is no probability"),
        (table(score=[0.1, np.inf, 0, 1]), NUMBERS, "'score' holds inf in row 2"),
        (
            table(score=["a", "b", "c", "d"]),
            NUMBERS,
            "'score' holds 'a' in row 1, which is no number",
        ),
        (table(), CLASSES, "no column 'p_cat'"),
        (table(p_cat=0.1, p_dog=0.2, p_3=0.7), CLASSES, "'y_true' holds '0', which is no class"),
        (table(), replace(CLASSES, score="score"), "names a column for each class"),
        (table(), replace(BINARY, score={"0": "score"}), "no column for the positive class 1"),
        (table(), replace(NUMBERS, score={"0": "score"}), "regression is one column"),
    ],
)
def test_what_cannot_be_read_names_the_column(
    frame: pd.DataFrame, evaluation: Evaluation, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_sample(frame, evaluation)


def test_a_column_that_is_there_twice_is_an_error() -> None:
    frame = table()
    frame.columns = pd.Index(["id", "score", "score"])
    with pytest.raises(ValueError, match="more than one column 'score'"):
        read_sample(frame.assign(y_true=1), BINARY)


def test_the_side_at_fault_is_named() -> None:
    with pytest.raises(ValueError, match="predictions of the base: there is no column 'score'"):
        pair_predictions(table().drop(columns="score"), table(), BINARY)


@given(order=st.permutations(range(6)), text=st.booleans())
def test_rows_are_joined_by_id_whatever_their_order_and_type(order: list[int], text: bool) -> None:
    scores = np.linspace(0, 1, 6)
    head = pd.DataFrame({"id": range(6), "y_true": [0, 1, 0, 1, 0, 1], "score": scores})
    base = head.assign(score=1 - scores).iloc[order]
    pair = pair_predictions(base.assign(id=base["id"].astype(str)) if text else base, head, BINARY)
    assert isinstance(pair, Pair)
    assert pair.base.score.tolist() == (1 - scores).tolist()
    assert pair.head.score.tolist() == scores.tolist()
    assert pair.base.frame["score"].tolist() == pair.base.score.tolist()
    assert pair.base.target.tolist() == pair.head.target.tolist()


def test_other_ids_are_another_test_set() -> None:
    found = pair_predictions(table(), table(id=[3, 4, 5, 6]), BINARY)
    assert found == Mismatch(
        reason="the test sets differ: 2 of 6 ids are in both", base_rows=4, head_rows=4, common=2
    )


def test_a_part_is_another_test_set() -> None:
    found = pair_predictions(table(), table().head(3), BINARY)
    assert isinstance(found, Mismatch)
    assert (found.base_rows, found.head_rows, found.common) == (4, 3, 3)


def test_another_target_is_another_test_set() -> None:
    found = pair_predictions(table(), table(y_true=[0, 1, 0, 0]), BINARY)
    assert isinstance(found, Mismatch)
    assert found.reason == "the test sets differ: 1 of 4 ids have another target"
    assert found.common == 4


def test_a_number_and_the_same_text_are_no_two_ids() -> None:
    with pytest.raises(ValueError, match="an id twice"):
        pair_predictions(table(), table(id=pd.Series([1, "1", 2, 3], dtype=object)), BINARY)
