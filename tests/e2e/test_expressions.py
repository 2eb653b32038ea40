"""Expressions mean here what they mean to GitHub: held to what its own evaluator said."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.expressions import ExpressionError, evaluate, holds
from tools.record_expressions import said_by_files

TABLE = json.loads((Path(__file__).parent / "expressions.json").read_text(encoding="utf-8"))
SITUATIONS = TABLE["situations"]


@pytest.mark.parametrize("number", range(len(SITUATIONS)))
def test_every_expression_has_the_value_that_github_s_own_evaluator_gives(number: int) -> None:
    contexts = dict(SITUATIONS[number])
    status = {name: lambda said=said: said for name, said in contexts.pop("status").items()}
    wrong = [
        row["expression"]
        for row in TABLE["rows"]
        if not is_same(result_of(row["expression"], contexts, status), row["results"][number])
    ]
    assert wrong == []


def test_the_table_knows_all_that_our_workflows_say() -> None:
    known = {row["expression"] for row in TABLE["rows"]}
    missing = set(said_by_files()) - known
    assert not missing, "record them: python tools/record_expressions.py FOLDER"


@pytest.mark.parametrize(
    "expression", ["", "'open", "1 +", "(1", "github.", "a b", "unknown()", "nobody.knows", "1 2"]
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, {"github": {}, "a": 1})


def test_a_condition_that_asks_for_no_status_wants_success() -> None:
    contexts = {"github": {"ref": "main"}}
    failed = {"success": lambda: False, "always": lambda: True, "cancelled": lambda: False}
    went_well = {**failed, "success": lambda: True}
    assert holds("", contexts, went_well)
    assert not holds("", contexts, failed)
    assert not holds("github.ref == 'main'", contexts, failed)
    assert holds("always() && github.ref == 'main'", contexts, failed)
    assert not holds("${{ !cancelled() && github.ref == 'other' }}", contexts, failed)


def result_of(
    expression: str, contexts: Mapping[str, Any], status: Mapping[str, Callable[[], bool]]
) -> Mapping[str, Any]:
    try:
        return {"value": evaluate(expression, contexts, status)}
    except ValueError as error:
        return {"error": str(error)}


def is_same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Compare values and their kinds; how an error is worded is everybody's own."""
    if "error" in ours or "error" in theirs:
        return ours.keys() == theirs.keys()
    mine, value = ours["value"], theirs["value"]
    numbers = [isinstance(one, (int, float)) and not isinstance(one, bool) for one in (mine, value)]
    return bool(mine == value) and (type(mine) is type(value) or all(numbers))
