"""Checks of a dataset: each is a finding, and counts what breaks it."""

import numpy as np
import pandas as pd
import pytest

from modelci.analysis.datachecks import Finding, check_table
from modelci.domain.evaluation import ColumnRule, ColumnType, Label

FRAME = pd.DataFrame(
    {
        "id": ["a", "b", "b", None, "e"],
        "age": [17, 18, 130, 40, -1],
        "income": [1.0, np.nan, 3.0, np.nan, 5.5],
        "region": ["n", "s", "x", "n", None],
    }
)


def check(rules: dict[str, ColumnRule], frame: pd.DataFrame = FRAME) -> dict[str, Finding]:
    return {one.name: one for one in check_table(frame, id=None, columns=rules)}


def test_a_table_that_keeps_every_rule_has_findings_of_nothing() -> None:
    frame = pd.DataFrame({"id": [1, 2], "age": [20, 30], "when": ["2020-01-01", "2021-01-01"]})
    found = check_table(
        frame,
        id="id",
        columns={
            "age": ColumnRule(
                type=ColumnType.INTEGER, min=0, max=99, values=(20, 30), max_missing=0, unique=True
            ),
            "when": ColumnRule(type=ColumnType.DATETIME),
        },
        min_rows=1,
        max_rows=2,
        only_these_columns=True,
        others={"train.csv": pd.Series([3, 4])},
    )
    assert {one.name: one.count for one in found} == dict.fromkeys(
        (
            "min rows",
            "max rows",
            "other columns",
            "age: type",
            "age: below min",
            "age: above max",
            "age: values",
            "age: missing",
            "age: unique",
            "when: type",
            "id: missing ids",
            "duplicate id",
            "ids also in train.csv",
        ),
        0,
    )
    assert {one.rows for one in found} == {2}


def test_rows_and_columns_are_counted() -> None:
    found = {
        one.name: one
        for one in check_table(
            FRAME, id=None, columns={"age": ColumnRule()}, min_rows=6, only_these_columns=True
        )
    }
    assert found["min rows"].count == 1
    assert found["min rows"].reason == "5 rows, at least 6 wanted"
    assert found["other columns"].count == 3
    assert "id, income, region" in found["other columns"].reason
    (many,) = check_table(FRAME, id=None, columns={}, max_rows=4)
    assert (many.count, many.reason) == (1, "5 rows, at most 4 allowed")


def test_values_out_of_bounds_are_counted_with_examples() -> None:
    found = check({"age": ColumnRule(min=0, max=100), "region": ColumnRule(values=("n", "s"))})
    assert {name: one.count for name, one in found.items()} == {
        "age: below min": 1,
        "age: above max": 1,
        "region: values": 1,
    }
    assert found["age: above max"].reason == "1 value above 100: 130"
    assert found["region: values"].reason == "1 value not among those allowed: x"


def test_bounds_of_text_say_that_there_is_nothing_to_bound() -> None:
    found = check({"region": ColumnRule(min=0)})
    assert found["region: numbers"].count == 4
    assert found["region: below min"].count == 0


@pytest.mark.parametrize(("share", "count"), [(0.3, 2), (0.4, 0), (0.5, 0), (0.0, 2)])
def test_missing_values_are_allowed_up_to_a_share(share: float, count: int) -> None:
    assert check({"income": ColumnRule(max_missing=share)})["income: missing"].count == count


@pytest.mark.parametrize(
    ("type_", "values", "wrong"),
    [
        (ColumnType.INTEGER, [1, 2, 3], 0),
        (ColumnType.INTEGER, [1.0, 2.5, None], 1),
        (ColumnType.INTEGER, [1, "x", True], 2),
        (ColumnType.NUMBER, [1, 2.5], 0),
        (ColumnType.NUMBER, ["1", 2.5], 1),
        (ColumnType.NUMBER, [True, False], 2),
        (ColumnType.STRING, ["a", None, "b"], 0),
        (ColumnType.STRING, ["a", 1], 1),
        (ColumnType.STRING, [1, 2], 2),
        (ColumnType.BOOLEAN, [True, False], 0),
        (ColumnType.BOOLEAN, [True, None, 0], 1),
        (ColumnType.BOOLEAN, [0, 1], 2),
        (ColumnType.DATETIME, ["2020-01-01", "2020-01-02T03:04:05Z", "never"], 1),
        (ColumnType.DATETIME, pd.to_datetime(["2020-01-01"]), 0),
        (ColumnType.DATETIME, [1, 2], 2),
    ],
)
def test_types_are_of_the_values(type_: ColumnType, values: list[object], wrong: int) -> None:
    found = check({"x": ColumnRule(type=type_)}, pd.DataFrame({"x": values}))
    assert found["x: type"].count == wrong


@pytest.mark.parametrize(
    ("allowed", "values", "wrong"),
    [
        ((1, 2), [1.0, 2.0, np.nan], 0),
        ((True, False), [True, False], 0),
        (("a",), ["a", "A"], 1),
        ((1.5,), [1.5, 1.6], 1),
    ],
)
def test_values_are_compared_as_written(
    allowed: tuple[Label, ...], values: list[object], wrong: int
) -> None:
    found = check({"x": ColumnRule(values=allowed)}, pd.DataFrame({"x": values}))
    assert found["x: values"].count == wrong


def test_a_column_that_is_not_there_is_one_finding() -> None:
    found = check({"nothing": ColumnRule(min=0, unique=True)})
    assert {name: one.reason for name, one in found.items()} == {
        "nothing: column": "there is no such column"
    }
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert check({"a": ColumnRule()}, twice)["a: column"].count == 1
    (missing,) = check_table(FRAME, id="key", columns={})
    assert (missing.name, missing.count) == ("key: column", 1)


def test_ids_are_there_once_and_nowhere_else() -> None:
    others = {"train.csv": pd.Series(["e", "b", None]), "old.csv": pd.Series(["z"])}
    found = {one.name: one for one in check_table(FRAME, id="id", columns={}, others=others)}
    assert {name: one.count for name, one in found.items()} == {
        "id: missing ids": 1,
        "duplicate id": 1,
        "ids also in train.csv": 3,
        "ids also in old.csv": 0,
    }
    assert found["ids also in train.csv"].reason == "3 values in both: b, e"


@pytest.mark.parametrize("theirs", [[2, 3], [2.0, np.nan], ["2", "x"], pd.array([2, None])])
def test_ids_of_another_file_are_the_same_whatever_their_type(theirs: list[object]) -> None:
    frame = pd.DataFrame({"id": [1, 2]})
    found = check_table(frame, id="id", columns={}, others={"o": pd.Series(theirs)})
    assert found[-1].count == 1


def test_examples_are_few_short_and_one_line() -> None:
    frame = pd.DataFrame({"x": ["a\n\nb" + "c" * 500, "1", "2", "3", "4"]})
    reason = check({"x": ColumnRule(values=("y",))}, frame)["x: values"].reason
    assert reason.endswith("…, 1, 2, …")
    assert "\n" not in reason
    assert len(reason) < 150


def test_an_empty_table_can_be_checked() -> None:
    found = check_table(
        FRAME.head(0),
        id="id",
        columns={
            "age": ColumnRule(type=ColumnType.INTEGER, min=0, values=(1,), max_missing=0.0),
            "region": ColumnRule(type=ColumnType.STRING, unique=True),
        },
        min_rows=1,
        others={"o": pd.Series(["a"])},
    )
    assert {one.name: one.count for one in found if one.count} == {"min rows": 1}
