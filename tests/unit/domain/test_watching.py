"""What drift and lost performance come to: an effect that matters, and evidence of it."""

from dataclasses import replace
from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.gates import (
    GateResult,
    Outcome,
    Rule,
    Severity,
    Subject,
    Threshold,
    WhenUnclear,
    reach_verdict,
)
from modelci.domain.monitoring import ColumnDrift, DriftStatistic, Estimate, Performance
from modelci.domain.profile import ColumnKind, ColumnProfile, Realised
from modelci.domain.watching import (
    DriftRule,
    DriftRules,
    Known,
    PerformanceRule,
    effect_of,
    judge_drift,
    judge_performance,
)

RULES = DriftRules()


def column(name: str = "income", kind: ColumnKind = ColumnKind.NUMBER) -> ColumnProfile:
    return ColumnProfile(name=name, kind=kind, dtype="double", rows=1000)


INCOME = ColumnDrift(
    name="income",
    reference=column(),
    current=column(),
    psi=0.3,
    ks=0.2,
    wasserstein=0.5,
    jensen_shannon=0.2,
    cramers_v=0.25,
    p_value=1e-6,
)


def judge(
    *found: ColumnDrift, rules: DriftRules = RULES, rows: int = 1000
) -> tuple[GateResult, ...]:
    return judge_drift(found, rules, rows=rows)


@pytest.mark.parametrize(
    ("psi", "p_value", "outcome", "severity"),
    [
        (0.3, 1e-6, Outcome.FAILED, Severity.BLOCK),
        (0.25, 0.0099, Outcome.FAILED, Severity.BLOCK),
        (0.2, 1e-6, Outcome.WARNED, Severity.WARN),
        (0.1, 0.0099, Outcome.WARNED, Severity.WARN),
        (0.0999, 1e-300, Outcome.PASSED, Severity.BLOCK),  # nothing that matters, however sure
        (9.0, 0.01, Outcome.PASSED, Severity.BLOCK),  # and nothing that may be chance
    ],
)
def test_drift_is_an_effect_that_matters_and_evidence(
    psi: float, p_value: float, outcome: Outcome, severity: Severity
) -> None:
    (found,) = judge(replace(INCOME, psi=psi, p_value=p_value))
    assert (found.outcome, found.gate.severity, found.subject) == (outcome, severity, Subject.DRIFT)
    assert found.blocks is (outcome is Outcome.FAILED)


def test_a_result_says_the_effect_the_limit_and_how_sure_it_is() -> None:
    (found,) = judge(replace(INCOME, psi=0.3124, p_value=0.0004))
    assert found.gate.metric == "psi of income"
    assert found.gate.threshold == Threshold(value=0.25)
    assert found.reason == "0.312, below 0.25 wanted, p = 0.0004"


def test_new_and_lost_values_are_named_the_most_frequent_first() -> None:
    (found,) = judge(
        replace(INCOME, new={"a": 0.1, "b": 0.2, "c\nc": 0.05, "d": 0.01}, lost={"x" * 60: 0.5})
    )
    assert found.reason.endswith(
        f"; new: b (20.0%), a (10.0%), c c (5.0%), …; lost: {'x' * 39}… (50.0%)"
    )


def test_what_chance_gives_on_average_is_taken_off() -> None:
    assert judge(replace(INCOME, by_chance=0.1))[0].outcome is Outcome.WARNED
    assert judge(replace(INCOME, by_chance=0.25))[0].outcome is Outcome.PASSED
    few = replace(INCOME, by_chance=0.04)
    assert effect_of(few, DriftStatistic.PSI) == pytest.approx(0.26)
    assert effect_of(few, DriftStatistic.CRAMERS_V) == pytest.approx(sqrt(0.25**2 - 0.01))
    assert effect_of(few, DriftStatistic.JENSEN_SHANNON) == pytest.approx(
        sqrt(0.04 - 0.04 / (8 * log(2)))
    )
    assert effect_of(few, DriftStatistic.KS) == 0.2
    assert effect_of(few, DriftStatistic.WASSERSTEIN) == 0.5


@given(st.sampled_from(DriftStatistic), st.floats(0, 2))
def test_an_effect_is_never_negative(statistic: DriftStatistic, chance: float) -> None:
    found = effect_of(replace(INCOME, by_chance=chance), statistic)
    assert found is not None
    assert found >= 0


def test_what_holds_is_one_result_for_all_of_it() -> None:
    calm = [replace(INCOME, name=f"c{place}", p_value=0.5) for place in range(5000)]
    found = judge(INCOME, *calm)
    assert [one.gate.metric for one in found] == ["psi of income", "drift"]
    assert found[1].reason == "none in the other 5,000 of 5,001 distributions"
    assert found[1].outcome is Outcome.PASSED
    assert judge(*calm)[0].reason == "none in 5,000 of 5,000 distributions"


def test_a_column_may_have_a_rule_of_its_own() -> None:
    rules = DriftRules(
        columns={"income": DriftRule(statistic=DriftStatistic.KS, warn=0.1, fail=0.5)}
    )
    (found,) = judge(INCOME, rules=rules)
    assert (found.gate.metric, found.outcome) == ("ks of income", Outcome.WARNED)


def test_a_statistic_that_says_nothing_gives_way_to_psi_and_its_limits() -> None:
    rules = DriftRules(usual=DriftRule(statistic=DriftStatistic.WASSERSTEIN, warn=5, fail=9))
    (found,) = judge(replace(INCOME, wasserstein=None), rules=rules)
    assert (found.gate.metric, found.gate.threshold.value) == ("psi of income", 0.25)


def test_dates_move_on_and_are_judged_where_named() -> None:
    moved = replace(INCOME, reference=column(kind=ColumnKind.DATETIME), psi=8.0)
    assert judge(moved) == ()
    assert judge(moved, rules=DriftRules(columns={"income": DriftRule()}))[0].blocks


def test_columns_that_were_not_compared_are_not_judged() -> None:
    assert judge(replace(INCOME, psi=None, p_value=None, note="an identifier")) == ()


def test_too_few_rows_are_not_enough_data() -> None:
    (found,) = judge(INCOME, rows=299)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason == "not enough data: 299 rows, at least 300 wanted"
    assert not reach_verdict([found]).blocked
    assert judge(INCOME, rows=300)[0].blocks


# Performance


def realised(value: float, half: float = 0.02, rows: int = 1000) -> Realised:
    return Realised(value=value, low=value - half, high=value + half, rows=rows)


BEFORE = realised(0.75)
DROP = PerformanceRule(max_drop=Threshold(value=0.03))


UNKNOWN = Known(rows=800)


def perform(
    now: Realised | None = None,
    estimated: Estimate | None = None,
    *,
    measure: str = "roc_auc",
    rule: PerformanceRule = DROP,
    reference: Realised | None = BEFORE,
    known: Known = UNKNOWN,
) -> tuple[GateResult, ...]:
    one = Performance(measure=measure, reference=reference, realised=now, estimated=estimated)
    return judge_performance([one], {measure: rule}, known=known)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (0.80, Outcome.PASSED),
        (0.75, Outcome.PASSED),
        (0.72, Outcome.PASSED),
        (0.71, Outcome.INCONCLUSIVE),
        (0.65, Outcome.FAILED),
    ],
)
def test_a_drop_beyond_what_is_allowed_fails_where_it_is_proven(
    value: float, outcome: Outcome
) -> None:
    (found,) = perform(realised(value))
    assert (found.outcome, found.subject) == (outcome, Subject.PERFORMANCE)


def test_both_samples_have_their_part_in_how_sure_a_drop_is() -> None:
    (found,) = perform(realised(0.65, half=0.03))
    assert found.evidence is not None
    assert found.evidence.standard_error == pytest.approx(
        sqrt(0.02**2 + 0.03**2) / 1.959964, rel=1e-6
    )
    assert (found.evidence.low, found.evidence.high) == pytest.approx(
        (-0.1 - sqrt(0.0013), -0.1 + sqrt(0.0013))
    )
    assert found.evidence.p_value == pytest.approx(7.1e-5, rel=0.01)
    assert found.reason == "worse by 0.1, allowed drop 0.03, p < 0.0001"


def test_a_loss_is_worse_where_it_grows() -> None:
    before = realised(0.2, half=0.01)
    (found,) = perform(realised(0.3, half=0.01), measure="brier", reference=before)
    assert found.outcome is Outcome.FAILED
    (found,) = perform(realised(0.1, half=0.01), measure="brier", reference=before)
    assert found.outcome is Outcome.PASSED


def test_a_relative_drop_is_a_share_of_the_reference() -> None:
    rule = PerformanceRule(max_drop=Threshold(value=0.1, relative=True))
    assert perform(realised(0.70), rule=rule)[0].outcome is Outcome.PASSED
    assert perform(realised(0.60), rule=rule)[0].outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("rule", "value", "outcome"),
    [
        (PerformanceRule(min=0.65), 0.66, Outcome.PASSED),
        (PerformanceRule(min=0.65), 0.64, Outcome.INCONCLUSIVE),
        (PerformanceRule(min=0.65), 0.62, Outcome.FAILED),
        (PerformanceRule(max=0.2), 0.2, Outcome.PASSED),
        (PerformanceRule(max=0.2), 0.21, Outcome.INCONCLUSIVE),
        (PerformanceRule(max=0.2), 0.23, Outcome.FAILED),
    ],
)
def test_a_bound_fails_where_the_interval_is_beyond_it(
    rule: PerformanceRule, value: float, outcome: Outcome
) -> None:
    (found,) = perform(realised(value), rule=rule, reference=None)
    assert found.outcome is outcome
    assert ("that may be chance" in found.reason) is (outcome is Outcome.INCONCLUSIVE)


def test_each_limit_of_a_measure_is_a_result() -> None:
    rule = replace(DROP, min=0.6, max=0.9)
    assert [one.gate.rule for one in perform(realised(0.75), rule=rule)] == [
        Rule.MAX_DROP,
        Rule.MIN,
        Rule.MAX,
    ]


GUESS = Estimate(method="cbpe", value=0.6, low=0.57, high=0.63, rows=2000)


def test_an_estimate_is_judged_and_says_what_it_is() -> None:
    (found,) = perform(None, GUESS)
    assert found.outcome is Outcome.FAILED
    assert found.reason.endswith(
        "; estimated (cbpe) from scores: blind to a change of what they mean"
    )


def test_what_is_realised_overrides_an_estimate() -> None:
    (found,) = perform(realised(0.75), GUESS)
    assert found.outcome is Outcome.PASSED
    assert "estimated" not in found.reason


WELL = Estimate(method="cbpe", value=0.75, low=0.72, high=0.78, rows=800)


@pytest.mark.parametrize("estimated", [None, WELL])
def test_few_outcomes_overrule_the_estimate_where_they_prove_that_it_fails(
    estimated: Estimate | None,
) -> None:
    (found,) = perform(realised(0.2, rows=199), estimated)
    assert found.outcome is Outcome.FAILED
    assert found.reason.endswith("; 199 of 800 outcomes known")
    assert "estimated" not in found.reason


@pytest.mark.parametrize("estimated", [None, WELL, GUESS])
def test_few_outcomes_let_nothing_pass(estimated: Estimate | None) -> None:
    (found,) = perform(realised(0.75, rows=299), estimated)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason.startswith(
        "not enough data: 299 of 800 outcomes known, at least 300 wanted; "
    )
    assert "estimated" not in found.reason
    assert perform(realised(0.75, rows=300), estimated)[0].outcome is Outcome.PASSED


def test_outcomes_too_few_to_measure_do_not_pass_by_the_estimate() -> None:
    few = Known(rows=800, labelled=15)
    (found,) = perform(None, WELL, known=few)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason.startswith("not enough data: 15 of 800 outcomes known")
    assert "estimated (cbpe)" in found.reason
    (found,) = perform(known=few)
    assert found.reason == "not enough data: 15 of 800 outcomes known, at least 300 wanted"


@pytest.mark.parametrize("estimated", [None, WELL])
def test_outcomes_that_should_be_there_and_are_not_warn(estimated: Estimate | None) -> None:
    doubtful = Known(rows=800, doubt="march.csv holds no outcome of the window")
    (found,) = perform(None, estimated, known=doubtful)
    assert found.outcome is Outcome.WARNED
    assert not found.blocks
    assert found.reason.startswith("march.csv holds no outcome of the window")
    (found,) = perform(None, GUESS, known=doubtful)
    assert found.outcome is Outcome.FAILED, "what the estimate shows to fail is no less so"


def test_what_must_be_decided_is_not_made_a_warning() -> None:
    rules, doubtful = {"roc_auc": DROP}, Known(rows=800, doubt="no file")
    (found,) = judge_performance([], rules, known=doubtful, inconclusive=WhenUnclear.FAIL)
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "no file")


def test_an_empty_window_decides_nothing() -> None:
    empty = Known(rows=0, doubt="no file")
    (found,) = judge_performance([], {"roc_auc": DROP}, known=empty)
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, "the window has no rows")
    (drift,) = judge_drift([INCOME], RULES, rows=0)
    assert (drift.outcome, drift.reason) == (Outcome.INCONCLUSIVE, "the window has no rows")


def test_nothing_known_is_inconclusive() -> None:
    results = (*perform(), *judge_performance([], {"roc_auc": DROP}, known=UNKNOWN))
    assert [one.outcome for one in results] == [Outcome.INCONCLUSIVE] * 2
    assert all(one.gate.metric == "roc_auc" for one in results)


def test_a_drop_from_nothing_is_incomparable() -> None:
    (found,) = perform(realised(0.7), reference=None)
    assert found.outcome is Outcome.INCOMPARABLE
    assert found.reason == "0.7; the reference has no roc_auc to compare with"


def test_measures_without_a_rule_are_not_judged() -> None:
    one = Performance(measure="brier", reference=None, realised=realised(0.9))
    assert judge_performance([one], {}, known=UNKNOWN) == ()


def test_an_interval_that_a_bound_of_the_measure_cut_is_as_wide_as_it_was() -> None:
    cut = Realised(value=0.99, low=0.95, high=1.0, rows=500)
    (found,) = perform(cut)
    assert found.evidence is not None
    assert found.evidence.standard_error == pytest.approx(
        sqrt(0.02**2 + 0.04**2) / 1.959964, rel=1e-6
    )
