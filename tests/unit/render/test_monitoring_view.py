"""The sentence that a watched window comes to, and what its findings mean together."""

from dataclasses import replace

import pytest
from tests.golden import windows

from modelci.domain.gates import GateResult, Outcome, Subject, WhenUnclear
from modelci.domain.monitoring import Monitoring, Skew
from modelci.render.digest import Tone
from modelci.render.monitoring.rows import column_of, course, facts, place, window_state
from modelci.render.monitoring.view import (
    explanation,
    headline,
    issue_title,
    pull_request_title,
    say,
)


def with_gates(one: Monitoring, *gates: GateResult) -> Monitoring:
    return replace(one, gates=gates)


@pytest.mark.parametrize(
    ("one", "tone", "start"),
    [
        (windows.quiet(), Tone.GOOD, "Well in credit v1.4.0 (prod), window 2026-03: all 4 gates"),
        (windows.warned(), Tone.WARNING, "Well, with warnings in credit v1.4.0 (prod)"),
        (
            windows.drifted(),
            Tone.BAD,
            "Drift found in credit v1.4.0 (prod), window 2026-05: 3",
        ),
        (
            windows.concept(),
            Tone.BAD,
            "Performance fell in credit v1.4.0 (prod), window 2026-06",
        ),
        (windows.too_few(), Tone.WARNING, "Undecided in credit v1.4.0 (prod), window 2026-07"),
        (windows.unwatched(), Tone.INFO, "Nothing is judged in credit, window 2026-08."),
    ],
)
def test_the_verdict_is_a_sentence(one: Monitoring, tone: Tone, start: str) -> None:
    assert headline(one).tone is tone
    assert say(one).startswith(start)
    assert say(one).endswith(".")


def test_what_cannot_be_decided_says_why_once() -> None:
    said = say(windows.too_few())
    assert said.count("not enough data: 120 rows, at least 300 wanted") == 1


def test_a_window_without_rows_is_never_well() -> None:
    one = replace(windows.quiet(), rows=0)
    assert headline(one).tone is Tone.WARNING
    assert say(one) == (
        "Undecided in credit v1.4.0 (prod), window 2026-03: the window has no rows."
    )


def test_what_cannot_be_decided_and_must_be_is_unclear() -> None:
    one = windows.too_few()
    strict = replace(one.gates[0].gate, inconclusive=WhenUnclear.FAIL)
    unclear = with_gates(one, replace(one.gates[0], gate=strict))
    assert headline(unclear).tone is Tone.BAD
    assert say(unclear).startswith("Unclear in credit")
    assert window_state(unclear)[0] == "unclear"


def test_several_findings_are_told_the_gravest_first() -> None:
    drifted, concept = windows.drifted(), windows.concept()
    both = with_gates(drifted, *drifted.gates, *concept.gates)
    assert say(both).startswith("Performance fell, drift found in")


def test_labels_alone_show_concept_drift() -> None:
    assert "concept drift" in explanation(windows.concept())
    assert explanation(windows.quiet()) == ""
    estimated = replace(
        windows.concept(),
        performance=tuple(replace(one, realised=None) for one in windows.concept().performance),
    )
    assert explanation(estimated) == ""  # without labels nobody can know


def test_what_cannot_be_judged_is_no_concept_drift() -> None:
    concept = windows.concept()
    unclear = tuple(replace(one, outcome=Outcome.INCOMPARABLE) for one in concept.gates)
    assert explanation(replace(concept, gates=unclear)) == ""


def test_drift_that_costs_nothing_is_told_from_drift_that_does() -> None:
    drifted = windows.drifted()
    assert explanation(drifted) == ""  # no label is there yet
    known = windows.performance(realised=0.7801)
    gates = [one for one in drifted.gates if one.subject is not Subject.PERFORMANCE]
    harmless = replace(
        drifted, performance=known, gates=(*gates, windows.performance_gate(known[0]))
    )
    assert "as good as before" in explanation(harmless)


def test_titles_hold_one_line_whatever_the_names() -> None:
    assert pull_request_title(windows.drifted()) == "Retrain credit: drift found in 2026-05"
    assert issue_title(windows.drifted()) == "credit in prod needs attention"
    for title in (pull_request_title(windows.hostile()), issue_title(windows.hostile())):
        assert title.isprintable()
        assert len(title) < 250


def test_an_issue_keeps_its_title_from_window_to_window() -> None:
    assert issue_title(windows.drifted()) == issue_title(windows.concept())


@pytest.mark.parametrize(
    ("subject", "metric", "column"),
    [
        (Subject.DRIFT, "psi of income", "income"),
        (Subject.DRIFT, "psi of share of loans", "share of loans"),
        (Subject.DRIFT, "drift", "drift"),
        (Subject.SCHEMA, "income: type", "income"),
        (Subject.SCHEMA, "a: b: missing", "a: b"),
        (Subject.SCHEMA, "schema", "schema"),
        (Subject.PERFORMANCE, "roc_auc", "roc_auc"),
    ],
)
def test_a_gate_speaks_of_a_column(subject: Subject, metric: str, column: str) -> None:
    gate = replace(windows.AGE_HOLDS.gate, metric=metric)
    result = GateResult(gate=gate, outcome=Outcome.PASSED, reason="", subject=subject)
    assert column_of(result) == column


def test_a_window_that_is_judged_again_takes_its_place() -> None:
    again = replace(windows.warned(), rows=1)
    names = [(one.window, one.rows) for one in course(again, windows.year())]
    assert names[5] == ("2026-04", 1)
    assert len(names) == 9


def test_windows_of_another_model_are_no_history() -> None:
    other = windows.renamed(windows.warned(), {}, artifact="churn")
    assert course(windows.drifted(), [other]) == [windows.drifted()]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("data/2026-03.parquet", "data/2026-03.parquet"),
        ("s3://bucket/a@b.parquet", "s3://bucket/a@b.parquet"),
        ("s3://key:secret@bucket/a.parquet", "s3://bucket/a.parquet"),
        ("https://host/a.csv?X-Amz-Signature=secret", "https://host/a.csv"),
    ],
)
def test_an_address_loses_its_keys(location: str, shown: str) -> None:
    assert place(location) == shown


def test_skew_is_told_in_words() -> None:
    same = {label: words for label, _, words in facts(windows.quiet())}
    assert same["Skew"] == "200 logged answers asked of the tagged model again: all the same"
    other = replace(windows.quiet(), skew=Skew(rows=200, differing=3, worst=0.0412))
    told = {label: words for label, _, words in facts(other)}
    assert told["Skew"].endswith("3 differ, by 0.041 at worst")
