import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.gates import (
    Gate,
    GateResult,
    Outcome,
    Rule,
    Severity,
    Threshold,
    WhenMissing,
    judge_all,
    reach_verdict,
)
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, MetricValue, NonFinite

HIGHER, LOWER, UNKNOWN = Direction.HIGHER, Direction.LOWER, Direction.UNKNOWN
PASSED, FAILED, WARNED = Outcome.PASSED, Outcome.FAILED, Outcome.WARNED
INCOMPARABLE, MISSING = Outcome.INCOMPARABLE, Outcome.MISSING


def delta(
    base: MetricValue | None,
    head: MetricValue | None,
    direction: Direction = HIGHER,
    name: str = "score",
) -> MetricDelta:
    key = MetricKey(path="metrics.json", name=name)
    return MetricDelta(key=key, base=base, head=head, direction=direction)


def gate(
    rule: Rule,
    value: float,
    *,
    relative: bool = False,
    severity: Severity = Severity.BLOCK,
    missing: WhenMissing = WhenMissing.FAIL,
    metric: str = "score",
) -> Gate:
    return Gate(
        metric=metric,
        rule=rule,
        threshold=Threshold(value=value, relative=relative),
        severity=severity,
        missing=missing,
    )


def judge(one: Gate, *deltas: MetricDelta) -> GateResult:
    (result,) = judge_all([one], deltas)
    return result


@pytest.mark.parametrize(
    ("rule", "limit", "relative", "direction", "base", "head", "outcome"),
    [
        # Bounds hold for the head alone, whatever is better.
        (Rule.MIN, 0.8, False, HIGHER, None, 0.8, PASSED),
        (Rule.MIN, 0.8, False, LOWER, 0.1, 0.7999, FAILED),
        (Rule.MIN, 0.8, False, UNKNOWN, 0.1, 0.81, PASSED),
        (Rule.MAX, 0.2, False, LOWER, None, 0.2, PASSED),
        (Rule.MAX, 0.2, False, HIGHER, 0.1, 0.2001, FAILED),
        (Rule.MAX, -1.0, False, UNKNOWN, None, -1.0, PASSED),
        # max_drop: worse by, in the metric's own direction.
        (Rule.MAX_DROP, 0.01, False, HIGHER, 0.80, 0.79, PASSED),
        (Rule.MAX_DROP, 0.01, False, HIGHER, 0.80, 0.7899, FAILED),
        (Rule.MAX_DROP, 0.01, False, HIGHER, 0.80, 0.99, PASSED),
        (Rule.MAX_DROP, 0.01, False, LOWER, 0.80, 0.81, PASSED),
        (Rule.MAX_DROP, 0.01, False, LOWER, 0.80, 0.8101, FAILED),
        (Rule.MAX_DROP, 0.01, False, LOWER, 0.80, 0.10, PASSED),
        (Rule.MAX_DROP, 0.0, False, HIGHER, 0.3, 0.1 + 0.2, PASSED),
        (Rule.MAX_DROP, 0.0, False, HIGHER, 0.3, 0.2999, FAILED),
        (Rule.MAX_DROP, 0.1, True, HIGHER, 0.80, 0.72, PASSED),
        (Rule.MAX_DROP, 0.1, True, HIGHER, 0.80, 0.7199, FAILED),
        (Rule.MAX_DROP, 0.1, True, LOWER, 0.80, 0.88, PASSED),
        (Rule.MAX_DROP, 0.1, True, LOWER, 0.80, 0.8801, FAILED),
        # A share is of the base's magnitude, also where that is negative.
        (Rule.MAX_DROP, 0.1, True, HIGHER, -2.0, -2.2, PASSED),
        (Rule.MAX_DROP, 0.1, True, HIGHER, -2.0, -2.21, FAILED),
        (Rule.MAX_DROP, 0.1, True, HIGHER, 0.0, 0.0, PASSED),
        (Rule.MAX_DROP, 0.1, True, HIGHER, 0.0, -1e-9, FAILED),
        # max_increase: head minus base, whatever is better.
        (Rule.MAX_INCREASE, 5.0, False, UNKNOWN, 10.0, 15.0, PASSED),
        (Rule.MAX_INCREASE, 5.0, False, HIGHER, 10.0, 15.1, FAILED),
        (Rule.MAX_INCREASE, 0.5, True, LOWER, 10.0, 15.0, PASSED),
        (Rule.MAX_INCREASE, 0.5, True, LOWER, -10.0, -4.9, FAILED),
        (Rule.MAX_INCREASE, 0.0, False, UNKNOWN, 10.0, 1.0, PASSED),
        # min_gain: better by at least.
        (Rule.MIN_GAIN, 0.01, False, HIGHER, 0.79, 0.80, PASSED),
        (Rule.MIN_GAIN, 0.01, False, HIGHER, 0.79, 0.7999, FAILED),
        (Rule.MIN_GAIN, 0.01, False, LOWER, 0.80, 0.79, PASSED),
        (Rule.MIN_GAIN, 0.01, False, LOWER, 0.79, 0.80, FAILED),
        (Rule.MIN_GAIN, 0.0, False, HIGHER, 0.5, 0.5, PASSED),
        (Rule.MIN_GAIN, 0.1, True, LOWER, -2.0, -2.2, PASSED),
        (Rule.MIN_GAIN, 0.1, True, LOWER, -2.0, -2.19, FAILED),
        # The tolerance follows the numbers' own size.
        (Rule.MAX_INCREASE, 0.1, False, UNKNOWN, 1e9, 1e9 + 0.1, PASSED),
        (Rule.MAX_DROP, 1e-15, False, LOWER, 1e-14, 1.2e-14, FAILED),
    ],
)
def test_a_rule_compares_as_its_name_says(
    rule: Rule,
    limit: float,
    relative: bool,
    direction: Direction,
    base: float | None,
    head: float,
    outcome: Outcome,
) -> None:
    result = judge(gate(rule, limit, relative=relative), delta(base, head, direction))
    assert result.outcome is outcome
    assert result.blocks is (outcome is FAILED)
    assert result.reason


@given(
    base=st.integers(-10_000, 10_000),
    tolerance=st.integers(0, 10_000),
    power=st.integers(-6, 6),
    direction=st.sampled_from([HIGHER, LOWER]),
)
def test_a_change_of_just_the_tolerance_is_within_it(
    base: int, tolerance: int, power: int, direction: Direction
) -> None:
    unit = 10.0**power
    worse = -tolerance if direction is HIGHER else tolerance
    change = delta(base * unit, (base + worse) * unit, direction)
    assert judge(gate(Rule.MAX_DROP, tolerance * unit), change).outcome is PASSED
    over = delta(base * unit, (base + worse * 1.01 + worse / 100) * unit, direction)
    assert judge(gate(Rule.MAX_DROP, tolerance * unit), over).outcome is (
        FAILED if tolerance else PASSED
    )


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("head", [*NonFinite, math.nan])
def test_a_head_that_is_no_number_fails_every_rule(rule: Rule, head: MetricValue) -> None:
    result = judge(gate(rule, 0.5), delta(0.5, head))
    assert result.outcome is FAILED
    assert result.blocks
    assert "nan" in result.reason.lower() or "infinity" in result.reason.lower()


@pytest.mark.parametrize("rule", [Rule.MAX_DROP, Rule.MAX_INCREASE, Rule.MIN_GAIN])
@pytest.mark.parametrize("base", [None, *NonFinite])
def test_without_a_base_to_compare_with_nothing_is_blocked(
    rule: Rule, base: MetricValue | None
) -> None:
    result = judge(gate(rule, 0.5), delta(base, 0.5))
    assert result.outcome is INCOMPARABLE
    assert not result.blocks


@pytest.mark.parametrize("rule", [Rule.MAX_DROP, Rule.MIN_GAIN])
def test_an_unknown_direction_fails_and_names_the_line_that_helps(rule: Rule) -> None:
    result = judge(gate(rule, 0.5, metric="*"), delta(0.5, 0.5, UNKNOWN, name="test.my_score"))
    assert result.blocks
    assert "metrics: {my_score: higher}" in result.reason


@pytest.mark.parametrize(
    ("severity", "missing", "outcomes", "blocked"),
    [
        (Severity.BLOCK, WhenMissing.FAIL, [MISSING], True),
        (Severity.BLOCK, WhenMissing.WARN, [MISSING], False),
        (Severity.BLOCK, WhenMissing.IGNORE, [], False),
        (Severity.WARN, WhenMissing.FAIL, [MISSING], False),
        (Severity.WARN, WhenMissing.IGNORE, [], False),
    ],
)
@pytest.mark.parametrize("deltas", [[], [delta(0.5, None)]], ids=["nowhere", "only at the base"])
def test_a_missing_metric_does_what_the_gate_says(
    severity: Severity,
    missing: WhenMissing,
    outcomes: list[Outcome],
    deltas: list[MetricDelta],
    *,
    blocked: bool,
) -> None:
    results = judge_all([gate(Rule.MIN, 0.5, severity=severity, missing=missing)], deltas)
    assert [result.outcome for result in results] == outcomes
    assert reach_verdict(results).blocked is blocked


def test_a_warning_gate_that_fails_only_warns() -> None:
    result = judge(gate(Rule.MIN, 0.9, severity=Severity.WARN), delta(None, 0.5))
    assert result.outcome is WARNED
    assert not result.blocks
    assert judge(gate(Rule.MIN, 0.9, severity=Severity.WARN), delta(None, 0.95)).outcome is PASSED


def test_a_glob_is_judged_on_each_metric_that_it_means() -> None:
    deltas = [
        delta(0.5, 0.5, name="a.auc"),
        delta(0.5, 0.4, name="b.auc"),
        delta(0.5, None, name="c.auc"),
        delta(0.5, 0.1, name="other"),
    ]
    results = judge_all([gate(Rule.MAX_DROP, 0.0, metric="auc")], deltas)
    assert [(str(one.key), one.outcome) for one in results] == [
        ("metrics.json:a.auc", PASSED),
        ("metrics.json:b.auc", FAILED),
        ("metrics.json:c.auc", MISSING),
    ]


def test_the_verdict_counts_every_outcome() -> None:
    gates = [
        gate(Rule.MIN, 0.5),
        gate(Rule.MIN, 0.9),
        gate(Rule.MIN, 0.9, severity=Severity.WARN),
        gate(Rule.MAX_DROP, 0.1),
        gate(Rule.MIN, 0.1, metric="gone"),
    ]
    verdict = reach_verdict(judge_all(gates, [delta(None, 0.6)]))
    assert verdict.blocked
    assert (verdict.passed, verdict.failed, verdict.warned) == (1, 1, 1)
    assert (verdict.incomparable, verdict.missing, verdict.inconclusive) == (1, 1, 0)
    assert not reach_verdict([]).blocked


@pytest.mark.parametrize(
    ("threshold", "text"),
    [
        (Threshold(value=0.01), "0.01"),
        (Threshold(value=0.01, relative=True), "1%"),
        (Threshold(value=0.005, relative=True), "0.5%"),
        (Threshold(value=1.0), "1"),
    ],
)
def test_a_limit_is_shown_as_it_was_written(threshold: Threshold, text: str) -> None:
    assert str(threshold) == text


def test_a_negative_number_has_the_same_minus_as_in_every_column() -> None:
    loss = judge(gate(Rule.MIN, -800_000.0), delta(-700_000.0, -803_906.0))
    assert loss.reason == "−803,906 must be ≥ −800,000"
    assert judge(gate(Rule.MIN, 0.1), delta(0.2, -1e-05)).reason == "−1e-05 must be ≥ 0.1"


def test_thousands_have_a_comma_as_in_every_column() -> None:
    loss = judge(gate(Rule.MAX_DROP, 500.0), delta(18_608.0, 22_613.0, LOWER))
    assert loss.reason == "worse by 4,005, allowed drop 500"
