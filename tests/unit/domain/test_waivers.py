from dataclasses import replace
from datetime import date, timedelta

import pytest

from modelci.domain.gates import (
    Gate,
    GateResult,
    Outcome,
    Rule,
    Severity,
    Threshold,
    Waiver,
    reach_verdict,
)
from modelci.domain.pipeline import ChangeKind
from modelci.domain.waivers import diff_waivers, notes_on, waive

TODAY = date(2026, 3, 1)
WAIVER = Waiver(gate="roc_auc", reason="label fix", author="Ada", expires=TODAY)


def result(
    outcome: Outcome, metric: str = "roc_auc", severity: Severity = Severity.BLOCK
) -> GateResult:
    threshold = Threshold(value=0.01)
    gate = Gate(metric=metric, rule=Rule.MAX_DROP, threshold=threshold, severity=severity)
    return GateResult(gate=gate, outcome=outcome, reason="because")


def test_a_waiver_keeps_a_failed_gate_from_blocking_and_is_counted() -> None:
    results = waive([result(Outcome.FAILED), result(Outcome.PASSED)], [WAIVER], TODAY)
    assert [one.waiver for one in results] == [WAIVER, None]
    verdict = reach_verdict(results)
    assert (verdict.blocked, verdict.failed, verdict.waived) == (False, 1, 1)


@pytest.mark.parametrize(
    "other",
    [
        result(Outcome.FAILED, metric="pr_auc"),
        result(Outcome.WARNED, severity=Severity.WARN),
        result(Outcome.INCONCLUSIVE),
    ],
)
def test_a_waiver_is_only_for_its_gate_and_only_where_that_would_block(other: GateResult) -> None:
    assert waive([other], [WAIVER], TODAY) == (other,)


@pytest.mark.parametrize(("days", "holds"), [(-1, True), (0, True), (1, False)])
def test_a_waiver_holds_through_its_last_day(days: int, holds: bool) -> None:
    today = TODAY + timedelta(days=days)
    (one,) = waive([result(Outcome.FAILED)], [WAIVER], today)
    assert one.blocks is not holds
    assert bool(notes_on([WAIVER], {"roc_auc"}, today)) is not holds


def test_of_two_waivers_the_first_that_holds_counts() -> None:
    old = replace(WAIVER, expires=TODAY - timedelta(days=1))
    second = replace(WAIVER, author="Grace")
    (one,) = waive([result(Outcome.FAILED)], [old, WAIVER, second], TODAY)
    assert one.waiver == WAIVER


def test_what_has_expired_or_means_nothing_is_said() -> None:
    late = replace(WAIVER, expires=date(2026, 1, 31))
    stray = replace(WAIVER, gate="roc_au")
    notes = notes_on([late, stray, WAIVER], {"roc_auc", "brier"}, TODAY)
    assert notes == (
        "The waiver of Ada for roc_auc expired on 2026-01-31.",
        "The waiver of Ada for roc_au means no gate; gates here: brier, roc_auc.",
    )
    assert notes_on([stray], set(), TODAY) == (
        "The waiver of Ada for roc_au means no gate; there are no gates.",
    )


def test_an_edited_waiver_is_one_gone_and_one_new() -> None:
    longer = replace(WAIVER, expires=TODAY + timedelta(days=30))
    assert [(one.kind, one.waiver) for one in diff_waivers([WAIVER], [longer])] == [
        (ChangeKind.DELETED, WAIVER),
        (ChangeKind.ADDED, longer),
    ]
    assert diff_waivers([WAIVER], [WAIVER]) == ()
