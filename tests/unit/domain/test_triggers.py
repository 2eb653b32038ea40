"""Which actions a window sets off: rows of breaches, cooling down, ages, and one of a kind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Subject, Threshold
from modelci.domain.monitoring import (
    Action,
    ActionKind,
    ColumnDrift,
    Monitoring,
    TriggerKind,
    Watched,
)
from modelci.domain.profile import ColumnKind, ColumnProfile
from modelci.domain.triggers import (
    Trigger,
    count_in_a_row,
    count_kinds,
    decide_actions,
    has_fired,
    parse_count,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
FAILED, PASSED, WARNED = Outcome.FAILED, Outcome.PASSED, Outcome.WARNED
UNCLEAR, MISSING = Outcome.INCONCLUSIVE, Outcome.MISSING
DRIFT = Trigger(when=TriggerKind.DRIFT, action=ActionKind.RETRAIN_PR)
TELL = Trigger(when=TriggerKind.DRIFT, action=ActionKind.ISSUE)


def gate(
    outcome: Outcome, metric: str = "psi of a", subject: Subject = Subject.DRIFT
) -> GateResult:
    rule = Gate(metric=metric, rule=Rule.MAX, threshold=Threshold(value=0.25))
    return GateResult(gate=rule, outcome=outcome, reason="", subject=subject)


def window(
    *outcomes: Outcome, name: str = "2026-05", commit: str = "c1", age: float = 10.0
) -> Monitoring:
    return Monitoring(
        watched=Watched(
            artifact="credit", stage="prod", version="v1", tag=None, commit=commit, age_days=age
        ),
        window=name,
        current="",
        created=NOW.isoformat(),
        version="1",
        rows=1000,
        columns=tuple(column(name) for name in "abc"),
        gates=tuple(gate(one) for one in outcomes),
    )


def column(name: str) -> ColumnDrift:
    profile = ColumnProfile(name=name, kind=ColumnKind.NUMBER, dtype="double", rows=1000)
    return ColumnDrift(name=name, reference=profile, current=profile)


def decide(
    triggers: Sequence[Trigger],
    current: Monitoring,
    earlier: Sequence[Monitoring] = (),
    others: Sequence[Monitoring] | None = None,
) -> tuple[Action, ...]:
    return decide_actions(
        triggers,
        current,
        earlier,
        others=earlier if others is None else others,
        now=NOW,
        cooldown=WEEK,
    )


@pytest.mark.parametrize(
    ("outcomes", "fires"),
    [
        ([FAILED, PASSED], True),
        ([WARNED, PASSED], False),
        ([PASSED], False),
        ([UNCLEAR], None),
        ([MISSING], None),
        ([], None),
    ],
)
def test_only_a_gate_that_fails_sets_a_trigger_off(
    outcomes: list[Outcome], fires: bool | None
) -> None:
    assert has_fired(DRIFT, window(*outcomes)) is fires


def test_gates_of_other_kinds_set_off_nothing() -> None:
    schema = replace(window(PASSED), gates=(gate(PASSED), gate(FAILED, subject=Subject.SCHEMA)))
    assert has_fired(DRIFT, schema) is False


def test_a_number_of_columns_counts_columns_alone() -> None:
    two = replace(DRIFT, columns=">=2")
    scores = (gate(FAILED), gate(FAILED, "psi of score"), gate(FAILED, "psi of decision rate"))
    assert has_fired(two, replace(window(), gates=scores)) is False
    columns = (gate(FAILED), gate(FAILED, "ks of b"))
    assert has_fired(two, replace(window(), gates=columns)) is True


@pytest.mark.parametrize(("text", "count"), [(">=2", 2), (">= 12", 12), ("3", 3), (1, 1)])
def test_counts_are_read(text: str | int, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "0", ">2", "<=2", "two", ">=0", -1])
def test_what_is_no_count_says_so(text: str | int) -> None:
    with pytest.raises(ValueError, match="how many must have drifted"):
        parse_count(text)


@pytest.mark.parametrize(
    ("before", "count"),
    [
        ([], 1),
        ([FAILED], 2),
        ([FAILED, FAILED], 3),
        ([FAILED, PASSED], 1),
        ([FAILED, WARNED, FAILED], 2),
        ([FAILED, UNCLEAR], 2),  # what decides nothing neither counts nor breaks the row
    ],
)
def test_windows_in_a_row_are_counted(before: list[Outcome], count: int) -> None:
    earlier = [window(one, name=f"2026-0{n}") for n, one in enumerate(before, start=1)]
    assert count_in_a_row(DRIFT, window(FAILED), earlier) == count
    assert count_in_a_row(DRIFT, window(PASSED), earlier) == 0


def test_a_new_version_begins_a_new_row() -> None:
    assert count_in_a_row(DRIFT, window(FAILED), [window(FAILED, commit="c0")]) == 1


def test_each_kind_that_is_decided_has_its_count() -> None:
    current = replace(
        window(),
        gates=(
            gate(FAILED),
            gate(PASSED, subject=Subject.SCHEMA),
            gate(UNCLEAR, subject=Subject.PERFORMANCE),
        ),
    )
    assert count_kinds(current, [window(FAILED)]) == {"drift": 2, "schema": 0}


def test_a_breach_too_few_waits_and_says_so() -> None:
    twice = replace(DRIFT, consecutive=2)
    (waiting,) = decide([twice], window(FAILED))
    assert waiting.held_back == "in 1 of 2 windows in a row so far"
    (due,) = decide([twice], window(FAILED), [window(FAILED, name="2026-04")])
    assert due.held_back is None
    assert due.reason == "drift: psi of a; in 2 windows in a row"


def test_nothing_is_done_where_nothing_fails() -> None:
    assert decide([DRIFT, TELL], window(PASSED), [window(FAILED)]) == ()


def test_there_is_one_action_of_a_kind_with_every_reason() -> None:
    late = Trigger(when=TriggerKind.AGE, action=ActionKind.RETRAIN_PR, days=90)
    waiting = replace(DRIFT, consecutive=3)
    actions = decide([DRIFT, late, TELL, waiting], window(FAILED, age=90.4))
    assert [(one.kind, one.reason, one.held_back) for one in actions] == [
        (ActionKind.RETRAIN_PR, "drift: psi of a; the version is 90 days old", None),
        (ActionKind.ISSUE, "drift: psi of a", None),
    ]


@pytest.mark.parametrize(("age", "fires"), [(89.9, 0), (90.0, 1), (None, 0)])
def test_age_is_counted_in_days(age: float | None, fires: int) -> None:
    current = window(PASSED)
    current = replace(current, watched=replace(current.watched, age_days=age))
    trigger = Trigger(when=TriggerKind.AGE, action=ActionKind.ISSUE, days=90)
    assert len(decide([trigger], current)) == fires


def asked(name: str, *, days_ago: float, kind: ActionKind = ActionKind.RETRAIN_PR) -> Monitoring:
    done = Action(kind=kind, trigger=TriggerKind.DRIFT, reason="", done="opened")
    created = (NOW - timedelta(days=days_ago)).isoformat()
    return replace(window(FAILED, name=name), actions=(done,), created=created)


def test_a_retraining_holds_back_the_next_until_it_has_cooled_down() -> None:
    (held,) = decide([DRIFT], window(FAILED), [asked("2026-04", days_ago=6.9)])
    assert held.held_back == "cooling down until 2026-06-01 14:24 UTC: 2026-04 asked for one"
    (due,) = decide([DRIFT], window(FAILED), [asked("2026-04", days_ago=7)])
    assert due.held_back is None


def test_the_same_window_asks_for_the_same_retraining_again() -> None:
    (due,) = decide([DRIFT], window(FAILED), others=[asked("2026-05", days_ago=1)])
    assert due.held_back is None


def test_a_later_window_that_asked_holds_an_earlier_one_back() -> None:
    (held,) = decide([DRIFT], window(FAILED, name="2026-03"), others=[asked("2026-05", days_ago=1)])
    assert held.held_back is not None


def test_what_was_only_wanted_cools_nothing_down() -> None:
    held = Action(
        kind=ActionKind.RETRAIN_PR, trigger=TriggerKind.DRIFT, reason="", held_back="waits"
    )
    before = replace(window(FAILED, name="2026-04"), actions=(held,))
    assert decide([DRIFT], window(FAILED), [before])[0].held_back is None


def test_an_issue_is_brought_up_to_date_by_every_window() -> None:
    before = asked("2026-04", days_ago=1, kind=ActionKind.ISSUE)
    assert decide([TELL], window(FAILED), [before])[0].held_back is None


def test_what_is_not_decided_asks_for_nothing() -> None:
    assert decide([TELL, DRIFT], window(UNCLEAR), [window(FAILED, name="2026-04")]) == ()


def test_many_failures_are_named_in_part() -> None:
    gates = tuple(gate(FAILED, f"psi of {number}") for number in range(8))
    (action,) = decide([TELL], replace(window(), gates=gates))
    assert action.reason == ("drift: psi of 0, psi of 1, psi of 2, psi of 3, psi of 4 and 3 more")
