"""What held for every row of the reference: what breaks it is found, and chance is not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelci.analysis.profile import build, count
from modelci.domain.gates import GateResult, Outcome, Subject
from modelci.domain.invariants import SchemaRules, judge_schema
from modelci.domain.profile import Profile

ROWS = 4000


def draw(rows: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "id": [f"{seed}-{place}" for place in range(rows)],
        "age": rng.integers(18, 80, rows),
        "income": rng.lognormal(3, 1, rows),
        "purpose": rng.choice(["car", "house", "other"], rows, p=[0.5, 0.3, 0.2]),
        "seldom": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.3),
        "owner": rng.random(rows) < 0.4,
        "fixed": np.ones(rows),
        "nothing": pa.nulls(rows),
        "when": [start + timedelta(hours=int(hour)) for hour in rng.integers(0, 700, rows)],
        "score": rng.beta(2, 4, rows),
    }


def reference() -> Profile:
    return build([pa.record_batch(draw(ROWS, 0))], id="id", score="score", threshold=0.5)


REFERENCE = reference()


def window(rows: int = 1000, *, seed: int = 1, **changed: Any) -> Profile:
    columns = draw(rows, seed) | changed
    kept = {name: value for name, value in columns.items() if value is not None}
    return count([pa.record_batch(kept)], REFERENCE)


def judge(current: Profile) -> tuple[GateResult, ...]:
    return judge_schema(REFERENCE, current)


def broken(current: Profile) -> dict[str, GateResult]:
    return {one.gate.metric: one for one in judge(current) if one.outcome is not Outcome.PASSED}


def only(current: Profile, name: str) -> GateResult:
    found = broken(current)
    assert list(found) == [name]
    assert found[name].subject is Subject.SCHEMA
    return found[name]


def test_a_window_of_the_same_kind_holds_in_one_result() -> None:
    (found,) = judge(window())
    assert (found.outcome, found.gate.metric) == (Outcome.PASSED, "schema")
    assert found.reason.endswith("checks hold for 1,000 rows")


@pytest.mark.parametrize("rows", [1, 2, 30, 300])
def test_windows_of_any_size_hold_by_chance(rows: int) -> None:
    alarms = [bool(broken(window(rows, seed=seed))) for seed in range(1, 40)]
    assert not any(alarms)


def test_no_rows_are_not_enough_data() -> None:
    (found,) = judge(window(0))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason == "the window has no rows"


def test_a_lost_column_fails_and_a_new_one_warns() -> None:
    assert only(window(age=None), "age: column").outcome is Outcome.FAILED
    found = only(window(extra=np.arange(1000) % 7), "extra: column")
    assert found.outcome is Outcome.WARNED
    assert found.reason == "the reference has no such column (int64)"


@pytest.mark.parametrize("name", ["age", "purpose"])
def test_a_renamed_column_is_told_by_its_values(name: str) -> None:
    moved = draw(1000, 1)[name]
    found = broken(window(**{name: None, f"the_{name}": moved}))
    assert list(found) == [f"{name}: column", f"the_{name}: column"]
    assert found[f"{name}: column"].reason == (
        f"the window has no such column; 'the_{name}' looks like it, renamed"
    )


def test_a_column_of_other_values_is_not_taken_for_a_renamed_one() -> None:
    found = broken(window(age=None, other=np.arange(1000) * 1e6))
    assert found["age: column"].reason == "the window has no such column"


@pytest.mark.parametrize(
    ("share", "outcome"), [(0.002, Outcome.WARNED), (0.01, Outcome.FAILED), (1.0, Outcome.FAILED)]
)
def test_values_of_another_type_are_found(share: float, outcome: Outcome) -> None:
    bad = round(1000 * share)
    values = ["n/a"] * bad + [str(40 + place % 9) for place in range(1000 - bad)]
    found = broken(window(age=values))
    assert found["age: type"].outcome is outcome
    assert found["age: type"].reason == (
        f"{bad:,} of 1,000 values are no number (string, was int64)"
    )


@pytest.mark.parametrize(
    ("share", "outcome"), [(0.02, Outcome.WARNED), (0.1, Outcome.FAILED), (1.0, Outcome.FAILED)]
)
def test_more_missing_values_are_found(share: float, outcome: Outcome) -> None:
    income = pa.array(draw(1000, 1)["income"], mask=np.arange(1000) < 1000 * share)
    found = broken(window(income=income))["income: missing"]
    assert found.outcome is outcome
    assert found.reason == (
        f"{round(1000 * share):,} of 1,000 values are missing ({share:.1%}, were 0.0%)"
    )


def test_as_many_missing_as_ever_and_fewer_are_no_news() -> None:
    assert broken(window(seldom=np.random.default_rng(0).normal(size=1000))) == {}


def test_values_out_of_range_are_found() -> None:
    ages = np.append(draw(980, 1)["age"], np.full(20, 900))
    found = only(window(age=ages), "age: range")
    assert found.outcome is Outcome.WARNED
    assert found.reason == "20 of 1,000 values lie outside 18 to 79, from 18 to 900"
    ages = np.append(draw(800, 1)["age"], np.full(200, -1))
    assert only(window(age=ages), "age: range").outcome is Outcome.FAILED


def test_dates_go_beyond_those_of_the_reference() -> None:
    later = [datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(1000)]
    assert broken(window(when=later)) == {}


def test_infinite_numbers_are_found_with_the_first() -> None:
    incomes = np.append(draw(999, 1)["income"], np.inf)
    assert only(window(income=incomes), "income: infinite").outcome is Outcome.WARNED
    incomes = np.append(draw(990, 1)["income"], np.full(10, -np.inf))
    assert only(window(income=incomes), "income: infinite").outcome is Outcome.FAILED


def test_new_values_warn_and_are_named() -> None:
    purposes = np.append(draw(900, 1)["purpose"], ["boat"] * 60 + ["plane"] * 40)
    found = only(window(purpose=purposes), "purpose: values")
    assert found.outcome is Outcome.WARNED
    assert found.reason == "100 of 1,000 values are new: boat, plane"


def test_new_values_are_expected_where_many_occurred_once() -> None:
    rng = np.random.default_rng(0)
    names = [[f"v{place}" for place in rng.zipf(1.5, rows)] for rows in (5000, 1000)]
    before = build([pa.record_batch({"town": names[0]})])
    now = count([pa.record_batch({"town": names[1]})], before)
    assert [one.outcome for one in judge_schema(before, now)] == [Outcome.PASSED]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("age", 40, "40"), ("purpose", "car", "'car'"), ("owner", True, "'true'")],
)
def test_a_column_that_is_stuck_fails(name: str, value: object, shown: str) -> None:
    stuck: dict[str, Any] = {name: [value] * 1000}
    found = broken(window(**stuck))[f"{name}: constant"]
    assert found.outcome is Outcome.FAILED
    assert found.reason == f"all 1,000 values are {shown}; they varied"


def test_a_constant_column_may_be_constant_and_few_rows_may_be_alike() -> None:
    assert broken(window(fixed=np.ones(1000))) == {}
    assert broken(window(3, purpose=["car"] * 3)) == {}


def test_repeated_ids_warn_with_the_first_and_fail_with_many() -> None:
    ids = draw(1000, 1)["id"]
    found = only(window(id=[*ids[:999], ids[0]]), "id: repeated")
    assert (found.outcome, found.reason) == (Outcome.WARNED, "1 of 1,000 rows repeat an earlier id")
    assert only(window(id=[*ids[:990], *ids[:10]]), "id: repeated").outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("bad", "name", "reason"),
    [
        (np.nan, "score: missing", "1 of 1,000 scores are no number"),
        (np.inf, "score: infinite", "1 of 1,000 scores are infinite"),
        (1.5, "score: range", "are no probabilities; they were"),
    ],
)
def test_one_wrong_score_fails(bad: float, name: str, reason: str) -> None:
    found = only(window(score=np.append(draw(999, 1)["score"], bad)), name)
    assert found.outcome is Outcome.FAILED
    assert reason in found.reason


def test_scores_that_are_stuck_or_absent_fail() -> None:
    assert only(window(score=np.full(1000, 0.3)), "score: constant").outcome is Outcome.FAILED
    assert only(window(score=None), "score: column").outcome is Outcome.FAILED


def test_scores_that_are_text_fail() -> None:
    assert broken(window(score=["high"] * 1000))["score: missing"].outcome is Outcome.FAILED


def test_scores_beyond_probabilities_are_free_to_be_so() -> None:
    before = build([pa.record_batch({"score": np.arange(-50.0, 50)})], score="score")
    now = count([pa.record_batch({"score": np.arange(-80.0, 80)})], before)
    assert [one.outcome for one in judge_schema(before, now)] == [Outcome.PASSED]


def test_ignored_columns_are_not_looked_at() -> None:
    current = window(age=None, extra=[1] * 1000)
    assert [one.outcome for one in judge_schema(REFERENCE, current, ignore={"age", "extra"})] == [
        Outcome.PASSED
    ]


def test_rules_say_which_share_matters() -> None:
    income = pa.array(draw(1000, 1)["income"], mask=np.arange(1000) < 50)
    current = window(income=income)

    def outcomes(rules: SchemaRules) -> Sequence[Outcome]:
        found = judge_schema(REFERENCE, current, rules=rules)
        return [one.outcome for one in found if one.gate.metric == "income: missing"]

    assert outcomes(SchemaRules(warn=0.06)) == []
    assert outcomes(SchemaRules(warn=0.04)) == [Outcome.WARNED]
    assert outcomes(SchemaRules(fail=0.05)) == [Outcome.FAILED]
    assert outcomes(SchemaRules(alpha=1e-200)) == []


def test_what_the_reference_has_too_is_judged_by_how_much_more_there_is() -> None:
    before = replace(REFERENCE, duplicates=400)
    current = replace(window(), duplicates=110)
    assert [one.outcome for one in judge_schema(before, current)] == [Outcome.PASSED]
    current = replace(current, duplicates=300)
    assert next(one.gate.metric for one in judge_schema(before, current)) == "id: repeated"
