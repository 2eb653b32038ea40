from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.evaluation import Mode
from modelci.domain.evidence import Evidence
from modelci.domain.gates import (
    Gate,
    GateResult,
    Grounds,
    Outcome,
    Rule,
    Severity,
    Subject,
    Threshold,
    WhenUnclear,
    judge_all,
    on_the_same_rows,
    reach_verdict,
)
from modelci.domain.metrics import Direction, MetricDelta, MetricKey

KEY = MetricKey(path="metrics.json", name="score")
HIGHER, LOWER, UNKNOWN = Direction.HIGHER, Direction.LOWER, Direction.UNKNOWN
PASSED, FAILED, WARNED = Outcome.PASSED, Outcome.FAILED, Outcome.WARNED
INCONCLUSIVE, INCOMPARABLE = Outcome.INCONCLUSIVE, Outcome.INCOMPARABLE


def evidence(difference: float, half: float, *, base: float = 0.8) -> Evidence:
    """Return evidence whose bounds lie ``half`` on both sides of the difference."""
    return Evidence(
        measure="score",
        method="test",
        rows=4000,
        head=base + difference,
        base=base,
        difference=difference,
        standard_error=half / 1.645,
        low=difference - half,
        high=difference + half,
        alpha=0.05,
        detectable=half * 1.5,
    )


def judge(
    rule: Rule,
    limit: float,
    difference: float,
    grounds: Grounds | None,
    *,
    direction: Direction = HIGHER,
    mode: Mode | None = None,
    relative: bool = False,
    severity: Severity = Severity.BLOCK,
    unclear: WhenUnclear = WhenUnclear.WARN,
) -> GateResult:
    gate = Gate(
        metric="score",
        rule=rule,
        threshold=Threshold(value=limit, relative=relative),
        mode=mode,
        severity=severity,
        inconclusive=unclear,
        incomparable=unclear,
    )
    delta = MetricDelta(key=KEY, base=0.8, head=0.8 + difference, direction=direction)
    (result,) = judge_all([gate], [delta], {KEY: grounds} if grounds else {})
    return result


@pytest.mark.parametrize(
    ("rule", "limit", "direction", "difference", "half", "outcome"),
    [
        # Worse by more than allowed: proven, not proven, and not at all.
        (Rule.MAX_DROP, 0.005, HIGHER, -0.02, 0.014, FAILED),
        (Rule.MAX_DROP, 0.005, HIGHER, -0.02, 0.016, INCONCLUSIVE),
        (Rule.MAX_DROP, 0.005, HIGHER, -0.004, 0.001, PASSED),
        (Rule.MAX_DROP, 0.005, HIGHER, -0.005, 0.0, PASSED),
        (Rule.MAX_DROP, 0.005, HIGHER, 0.02, 0.5, PASSED),
        (Rule.MAX_DROP, 0.005, LOWER, 0.02, 0.014, FAILED),
        (Rule.MAX_DROP, 0.005, LOWER, 0.02, 0.016, INCONCLUSIVE),
        (Rule.MAX_DROP, 0.005, LOWER, -0.02, 0.001, PASSED),
        (Rule.MAX_INCREASE, 0.005, UNKNOWN, 0.02, 0.014, FAILED),
        (Rule.MAX_INCREASE, 0.005, HIGHER, 0.02, 0.016, INCONCLUSIVE),
        (Rule.MAX_INCREASE, 0.005, HIGHER, -0.5, 0.001, PASSED),
        (Rule.MIN_GAIN, 0.01, HIGHER, 0.005, 0.004, FAILED),
        (Rule.MIN_GAIN, 0.01, HIGHER, 0.005, 0.006, INCONCLUSIVE),
        (Rule.MIN_GAIN, 0.01, HIGHER, 0.02, 0.5, PASSED),
        (Rule.MIN_GAIN, 0.01, LOWER, -0.02, 0.5, PASSED),
        (Rule.MIN_GAIN, 0.01, LOWER, 0.02, 0.01, FAILED),
    ],
)
def test_evidence_fails_only_what_is_worse_and_provably_so(
    rule: Rule,
    limit: float,
    direction: Direction,
    difference: float,
    half: float,
    outcome: Outcome,
) -> None:
    grounds = Grounds(evidence=evidence(difference, half))
    result = judge(rule, limit, difference, grounds, direction=direction)
    assert result.outcome is outcome
    assert result.mode is Mode.EVIDENCE
    assert result.evidence is not None
    assert ("may be chance" in result.reason) is (outcome is INCONCLUSIVE)


@pytest.mark.parametrize(
    ("mode", "rule", "limit", "difference", "half", "outcome"),
    [
        # Non-inferior: the bound itself must be within what is allowed.
        (Mode.NONINFERIOR, Rule.MAX_DROP, 0.005, -0.001, 0.003, PASSED),
        (Mode.NONINFERIOR, Rule.MAX_DROP, 0.005, -0.001, 0.005, FAILED),
        (Mode.NONINFERIOR, Rule.MAX_DROP, 0.005, 0.01, 0.02, FAILED),
        (Mode.NONINFERIOR, Rule.MAX_DROP, 0.0, 0.0, 0.0, PASSED),
        (Mode.NONINFERIOR, Rule.MIN_GAIN, 0.01, 0.02, 0.005, PASSED),
        (Mode.NONINFERIOR, Rule.MIN_GAIN, 0.01, 0.02, 0.015, FAILED),
        (Mode.NONINFERIOR, Rule.MAX_INCREASE, 0.01, 0.005, 0.001, PASSED),
        (Mode.NONINFERIOR, Rule.MAX_INCREASE, 0.01, 0.005, 0.006, FAILED),
        # Superior: better than the base, whatever drop would have been allowed.
        (Mode.SUPERIOR, Rule.MAX_DROP, 0.005, 0.01, 0.009, PASSED),
        (Mode.SUPERIOR, Rule.MAX_DROP, 0.005, 0.01, 0.011, FAILED),
        (Mode.SUPERIOR, Rule.MAX_DROP, 0.005, 0.0, 0.0, FAILED),
        (Mode.SUPERIOR, Rule.MIN_GAIN, 0.01, 0.02, 0.009, PASSED),
        (Mode.SUPERIOR, Rule.MIN_GAIN, 0.01, 0.02, 0.011, FAILED),
        (Mode.SUPERIOR, Rule.MAX_INCREASE, 0.01, -0.02, 0.01, PASSED),
        (Mode.SUPERIOR, Rule.MAX_INCREASE, 0.01, -0.02, 0.03, FAILED),
    ],
)
def test_a_proof_that_is_demanded_must_be_there(
    mode: Mode, rule: Rule, limit: float, difference: float, half: float, outcome: Outcome
) -> None:
    result = judge(rule, limit, difference, Grounds(evidence=evidence(difference, half)), mode=mode)
    assert result.outcome is outcome
    assert result.mode is mode
    assert ("not proven" in result.reason) is (outcome is FAILED)
    bound = ("equal at worst",) if difference == half == 0 else (" at most", " at least")
    assert any(one in result.reason for one in bound)


@given(
    difference=st.floats(-0.2, 0.2),
    half=st.floats(0, 0.2),
    limit=st.floats(0, 0.1),
    direction=st.sampled_from([HIGHER, LOWER]),
)
def test_a_stricter_mode_never_passes_what_a_milder_one_fails(
    difference: float, half: float, limit: float, direction: Direction
) -> None:
    grounds = Grounds(evidence=evidence(difference, half))
    outcomes = [
        judge(Rule.MAX_DROP, limit, difference, grounds, direction=direction, mode=mode).outcome
        for mode in (Mode.EVIDENCE, Mode.POINT, Mode.NONINFERIOR, Mode.SUPERIOR)
    ]
    passed = [outcome is not FAILED for outcome in outcomes]
    assert passed == sorted(passed, reverse=True)


@pytest.mark.parametrize(
    ("rule", "mode", "difference", "half", "p_value", "reason"),
    [
        (Rule.MAX_DROP, None, -0.02, 0.01, 0.0021, "worse by 0.02, allowed drop 0.005, p = 0.0021"),
        (Rule.MAX_DROP, None, -0.02, 0.01, 1e-9, "worse by 0.02, allowed drop 0.005, p < 0.0001"),
        (
            Rule.MAX_DROP,
            None,
            -0.02,
            0.1,
            0.31,
            "worse by 0.02, allowed drop 0.005, but that may be chance, p = 0.31",
        ),
        (Rule.MAX_DROP, None, 0.02, 0.1, 0.9, "better by 0.02, allowed drop 0.005"),
        (
            Rule.MAX_DROP,
            Mode.NONINFERIOR,
            -0.001,
            0.01,
            0.9,
            "drop 0.005; not proven to be within that: worse by 0.011 at most",
        ),
        (
            Rule.MAX_DROP,
            Mode.SUPERIOR,
            0.02,
            0.01,
            0.9,
            "better by 0.02, allowed drop 0.005; proven to be better: better by 0.01 at least",
        ),
        (
            Rule.MAX_INCREASE,
            Mode.NONINFERIOR,
            0.02,
            0.01,
            0.9,
            "+0.02, allowed +0.005; not proven to be within that: +0.03 at most",
        ),
    ],
)
def test_a_reason_says_what_was_seen_and_how_sure_it_is(
    rule: Rule, mode: Mode | None, difference: float, half: float, p_value: float, reason: str
) -> None:
    grounds = Grounds(evidence=evidence(difference, half), p_value=lambda _: p_value)
    assert judge(rule, 0.005, difference, grounds, mode=mode).reason.endswith(reason)


def test_a_gates_own_mode_beats_the_evaluations() -> None:
    unsure = Grounds(mode=Mode.NONINFERIOR, evidence=evidence(-0.02, 0.1))
    assert judge(Rule.MAX_DROP, 0.03, -0.02, unsure).outcome is FAILED
    own = judge(Rule.MAX_DROP, 0.03, -0.02, unsure, mode=Mode.POINT)
    assert (own.outcome, own.mode, own.evidence) == (PASSED, Mode.POINT, None)
    assert judge(Rule.MAX_DROP, 0.01, -0.02, unsure, mode=Mode.EVIDENCE).outcome is INCONCLUSIVE


def test_a_share_is_of_the_bases_value_for_evidence_too() -> None:
    grounds = Grounds(evidence=evidence(-0.1, 0.01))
    assert judge(Rule.MAX_DROP, 0.10, -0.1, grounds, relative=True).outcome is FAILED
    assert judge(Rule.MAX_DROP, 0.13, -0.1, grounds, relative=True).outcome is PASSED


def test_bounds_are_judged_by_the_head_alone() -> None:
    result = judge(Rule.MIN, 0.79, -0.02, Grounds(evidence=evidence(-0.02, 0.5)))
    assert (result.outcome, result.evidence, result.mode) == (FAILED, None, Mode.POINT)


def test_a_warning_gate_only_warns_of_what_is_proven() -> None:
    grounds = Grounds(evidence=evidence(-0.02, 0.001))
    assert judge(Rule.MAX_DROP, 0.0, -0.02, grounds, severity=Severity.WARN).outcome is WARNED


def test_without_evidence_two_numbers_are_compared_and_the_reason_says_why() -> None:
    grounds = Grounds(reason="predictions.parquet is not in the DVC cache")
    result = judge(Rule.MAX_DROP, 0.01, -0.02, grounds)
    assert (result.outcome, result.mode, result.evidence) == (FAILED, Mode.POINT, None)
    assert result.reason.endswith("; no evidence: predictions.parquet is not in the DVC cache")
    assert judge(Rule.MAX_DROP, 0.05, -0.02, grounds).outcome is PASSED


@pytest.mark.parametrize("mode", [Mode.NONINFERIOR, Mode.SUPERIOR])
@pytest.mark.parametrize("grounds", [None, Grounds(reason="no file")])
def test_without_evidence_no_proof_is_made_up(mode: Mode, grounds: Grounds | None) -> None:
    owed = judge(Rule.MAX_DROP, 0.05, -0.02, grounds, mode=mode, unclear=WhenUnclear.FAIL)
    assert owed.outcome is INCONCLUSIVE
    assert owed.blocks
    assert "not proven" in owed.reason
    assert judge(Rule.MAX_DROP, 0.01, -0.02, grounds, mode=mode).outcome is FAILED


@pytest.mark.parametrize("difference", [-0.3, 0.0, 0.3])
def test_other_test_rows_make_values_incomparable(difference: float) -> None:
    grounds = Grounds(incomparable=True, reason="the test sets differ: 3 of 7 ids are in both")
    result = judge(Rule.MAX_DROP, 0.01, difference, grounds)
    assert result.outcome is INCOMPARABLE
    assert not result.blocks
    assert "3 of 7" in result.reason
    assert judge(Rule.MAX_DROP, 0.01, -0.3, grounds, mode=Mode.POINT).outcome is FAILED


def test_a_base_that_was_scored_anew_is_what_counts() -> None:
    grounds = Grounds(evidence=evidence(-0.02, 0.001, base=0.7), base=0.7)
    gate = Gate(metric="score", rule=Rule.MAX_DROP, threshold=Threshold(value=0.01))
    for recorded in (0.8, None):
        delta = MetricDelta(key=KEY, base=recorded, head=0.71, direction=HIGHER)
        rescored = on_the_same_rows([delta], {KEY: grounds})
        assert rescored == (replace(delta, base=0.7),)
        (result,) = judge_all([gate], rescored, {KEY: grounds})
        assert (result.outcome, result.delta) == (PASSED, *rescored)
    assert on_the_same_rows([delta], {KEY: Grounds()}) == (delta,)


@pytest.mark.parametrize(
    ("rule", "mode", "asked"),
    [
        (Rule.MAX_DROP, Mode.EVIDENCE, [0.01]),
        (Rule.MIN_GAIN, Mode.EVIDENCE, [-0.01]),
        (Rule.MAX_DROP, Mode.SUPERIOR, [0.0]),
        (Rule.MAX_INCREASE, Mode.EVIDENCE, []),
    ],
)
def test_the_p_value_is_of_the_very_limit(rule: Rule, mode: Mode, asked: list[float]) -> None:
    seen: list[float] = []

    def answer(allowed: float) -> float:
        seen.append(allowed)
        return 0.03

    grounds = Grounds(evidence=evidence(-0.02, 0.001), p_value=answer)
    result = judge(rule, 0.01, -0.02, grounds, mode=mode)
    assert seen == pytest.approx(asked)
    assert result.evidence is not None
    assert result.evidence.p_value == (0.03 if asked else None)


@pytest.mark.parametrize(
    ("outcomes", "blocked", "unclear"),
    [
        ([], False, False),
        ([PASSED, WARNED], False, False),
        ([INCONCLUSIVE], True, True),
        ([INCONCLUSIVE, INCOMPARABLE, PASSED], True, True),
        ([INCONCLUSIVE, FAILED], True, False),
        ([FAILED], True, False),
        ([INCOMPARABLE, Outcome.MISSING], True, False),
    ],
)
def test_a_verdict_is_unclear_where_nothing_else_blocks(
    outcomes: list[Outcome], blocked: bool, unclear: bool
) -> None:
    gate = Gate(
        metric="score",
        rule=Rule.MAX_DROP,
        threshold=Threshold(value=0.0),
        inconclusive=WhenUnclear.FAIL,
        incomparable=WhenUnclear.FAIL,
    )
    results = [GateResult(gate=gate, outcome=outcome, reason="") for outcome in outcomes]
    verdict = reach_verdict(results)
    assert (verdict.blocked, verdict.unclear) == (blocked, unclear)


def test_results_carry_the_subject_that_was_asked_for() -> None:
    gate = Gate(metric="*", rule=Rule.MIN, threshold=Threshold(value=0.0))
    (missing,) = judge_all([gate], [], subject=Subject.BUDGET)
    assert (missing.subject, missing.outcome) == (Subject.BUDGET, Outcome.MISSING)
